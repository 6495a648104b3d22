/** What is decoded beside frames and bodies: tokens, frames between nodes, MCP messages and files, output, lines. */
import { Effect, Option, Redacted } from "effect"
import * as McpFile from "../../../src/agent/program/McpFile.ts"
import * as McpResult from "../../../src/agent/program/McpResult.ts"
import * as McpTransport from "../../../src/agent/program/McpTransport.ts"
import * as Frame from "../../../src/cluster/Frame.ts"
import { AgentId } from "../../../src/domain/Ids.ts"
import { AgentToken, PlainText } from "../../../src/domain/index.ts"
import * as CommandOutput from "../../../src/provisioner/process/CommandOutput.ts"
import type { Chance } from "./Chance.ts"
import * as Fuzz from "./Fuzz.ts"
import * as Mutation from "./Mutation.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const textOf = (chance: Chance, json: Mutation.Json): string => decoder.decode(Mutation.frame(chance, json))

const demand = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what)
}

const acts = /(?!\t)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

const escapes = [
  "\u001b[31m",
  "\u001b]0;x\u0007",
  "\u009b2J",
  "\r",
  "\n",
  "\u2028",
  "\u202e",
  "\ud800",
  "\0",
  "secret",
  "sec"
]

const told = (chance: Chance): string =>
  Array.from(
    { length: chance.below(20) },
    () => chance.sometimes(0.5) ? chance.pick(escapes) : decoder.decode(chance.bytes(chance.below(20)))
  ).join("")

const token = (chance: Chance): void => {
  const length = chance.sometimes(0.5) ? AgentToken.secretLength : chance.below(64)
  const whole = { agentId: AgentId.make(`agent-${chance.below(100)}`), secret: Redacted.make(chance.bytes(length)) }
  const text = Redacted.value(AgentToken.format(whole))
  const parsed = AgentToken.parse(Redacted.make(text))
  const back = Option.isSome(parsed) && parsed.value.agentId === whole.agentId
  demand(back === (length === AgentToken.secretLength), "A token does not come back, or comes without its secret")
  const changed = decoder.decode(Mutation.bytes(chance, encoder.encode(text)))
  const found = AgentToken.parse(Redacted.make(changed))
  // The checksum of 32 bits lets one in four billion through; what it lets through is still a token.
  if (Option.isSome(found)) demand(Redacted.value(found.value.secret).length === 32, "A token without its secret")
}

const nodes = (chance: Chance): void => {
  const kind = chance.pick(Frame.kinds)
  const sent = chance.bytes(chance.below(50))
  const whole = Frame.encode(kind, chance.below(2 ** 32), sent)
  const back = Frame.decode(whole)
  demand(back?.kind === kind && Buffer.compare(back.body, sent) === 0, "A frame does not come back")
  const frame = Frame.decode(Mutation.bytes(chance, whole))
  for (const { decode } of Object.values(Frame.bodies)) {
    decode(frame?.body ?? sent)
    decode(
      Mutation.frame(chance, {
        node: "n",
        epoch: 1,
        incarnation: "i",
        features: [],
        state: { heard: 1, confirmed: null }
      })
    )
  }
}

const mcp = (chance: Chance): void => {
  McpTransport.parse(textOf(chance, { jsonrpc: "2.0", id: 1, result: { content: [] } }))
  McpTransport.parse(textOf(chance, { jsonrpc: "2.0", id: 1, error: { code: 1, message: "x" } }))
  McpTransport.parse(textOf(chance, { jsonrpc: "2.0", id: "x", method: "ping" }))
  const file = McpFile.parse(textOf(chance, {
    mcpServers: {
      a: { command: "x", args: ["y"], env: { A: "b" } },
      b: { type: "http", url: "http://x/", headers: {} }
    }
  }))
  demand(file.entries.length <= 16, "Too many servers")
  const result = McpResult.decode(Mutation.value(chance, {
    content: [{ type: "text", text: "x" }, { type: "image", mimeType: "image/png", data: "YWJj" }, { type: "other" }],
    structuredContent: { a: [1, { b: null }] },
    isError: false
  }))
  if (Option.isSome(result)) demand(JSON.stringify(result.value.structured).length < 300_000, "Too large a result")
}

const output = (chance: Chance): void => {
  const lines: Array<string> = []
  const { end, tail, write } = CommandOutput.make({
    lines: 50,
    bytes: 10_000,
    secrets: [Redacted.make("secret")],
    emit: (line) => lines.push(line)
  })
  const text = `${told(chance)}secret${told(chance)}`
  for (const part of Mutation.torn(chance, encoder.encode(text))) {
    write(chance.pick(["stdout", "stdout", "stderr"]), part)
  }
  end()
  for (const line of [...lines, ...tail().split("\n")]) demand(!acts.test(line), `Not plain: ${JSON.stringify(line)}`)
  for (const line of PlainText.lines(text)) demand(!acts.test(line), `Not plain: ${JSON.stringify(line)}`)
  demand(PlainText.line(text).split("\n").length === 1, "More than a line")
}

const secrets = (chance: Chance): void => {
  const lines: Array<string> = []
  const { end, write } = CommandOutput.make({
    lines: 1000,
    bytes: 100_000,
    secrets: [Redacted.make("secret")],
    emit: (line) => lines.push(line)
  })
  const text = Array.from(
    { length: chance.below(30) },
    () => chance.pick(["secret", "sec", "ret", "\u001b[1m", " ", "\n", "x"])
  )
  for (const part of Mutation.torn(chance, encoder.encode(text.join("")))) write("stdout", part)
  end()
  for (const line of lines) demand(!line.includes("secret"), `A secret in ${JSON.stringify(line)}`)
}

const all = [token, nodes, mcp, output, secrets]

export const target = Fuzz.scoped(
  "decoders",
  Effect.succeed((chance) => Effect.sync(() => chance.pick(all)(chance)))
)
