import { WebSocketServer } from "@effect/platform-node/NodeWS"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Logger } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Protocol } from "../../src/agent/index.ts"
import { AgentPresence } from "../../src/store/index.ts"
import { features, furnish, scenarios, scripts, written } from "./fixtures/recorder.ts"
import type { Frame, Line } from "./fixtures/recorder.ts"
import * as h from "./support/harness.ts"

const folder = fileURLToPath(new URL("./fixtures/protocol-v1/", import.meta.url))

const recorded = (name: string): ReadonlyArray<Line> =>
  readFileSync(`${folder}${name}.ndjson`, "utf8").split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line)
  )

const framesOf = (name: string, from: "gateway" | "agent"): ReadonlyArray<Frame> =>
  recorded(name).flatMap((line) => "frame" in line && line.from === from ? [line.frame] : [])

const requestsOf = (name: string): ReadonlyArray<Frame> =>
  framesOf(name, "gateway").filter(({ _tag }) => _tag === "Request")

const resultsOf = (name: string): ReadonlyArray<unknown> =>
  recorded(name).flatMap((line) => "result" in line ? [line.result] : [])

describe("frames of version 1", () => {
  it("are those of each kind of call", () => {
    assert.deepStrictEqual(
      readdirSync(folder).sort(),
      ["errors", "follow", "hello", "kill", "lifecycle", "mcp", "move", "read", "start", "write"].map((name) =>
        `${name}.ndjson`
      )
    )
    const tags = new Set(readdirSync(folder).flatMap((file) => requestsOf(file.slice(0, -7)).map(({ tag }) => tag)))
    const unrecorded = Array.from(Protocol.AgentRpcs.requests.keys()).filter((tag) => !tags.has(tag))
    assert.deepStrictEqual(unrecorded, ["Outcome"])
  })

  for (const [name, calls] of Object.entries(scenarios)) {
    it.live(`today's gateway asks as it did and understands the answers: ${name}`, () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start({ pingInterval: "30 seconds", pingTimeout: "60 seconds" })
        const { agentId, token } = yield* h.enroll()
        const requests = requestsOf(name)
        const asked: Array<unknown> = []
        const answers = new Map<number, Array<Frame>>()
        const next = (id: number, agent: h.ScriptedAgent): void => {
          const frame = answers.get(id)?.shift()
          if (frame === undefined) return
          agent.send({ ...frame, requestId: id })
          if (frame._tag !== "Chunk") answers.delete(id)
        }
        const { agent } = yield* h.connect(port, token, {
          hello: { features },
          on: ({ id, payload, tag }, agent) => {
            const request = requests[asked.length]
            asked.push({ tag, payload })
            answers.set(id, framesOf(name, "agent").filter(({ requestId }) => requestId === request?.id))
            // What was given up was answered when it was interrupted.
            const [first] = answers.get(id) ?? []
            if (!JSON.stringify(first?.exit ?? null).includes("\"Interrupt\"")) next(id, agent)
          }
        })
        agent.socket.on("message", (data: Buffer) => {
          for (const line of String(data).split("\n").filter((line) => line !== "")) {
            const { _tag, requestId }: Frame = JSON.parse(line)
            if ((_tag === "Ack" || _tag === "Interrupt") && requestId !== undefined) next(requestId, agent)
          }
        })
        const connection = yield* transport.dial(agentId)
        const results: Array<unknown> = []
        for (const call of calls(connection)) results.push(yield* written(call))
        yield* h.until(() => asked.length === requests.length)
        assert.deepStrictEqual(asked, requests.map(({ payload, tag }) => ({ tag, payload })))
        assert.deepStrictEqual(withoutAdvice(results), withoutAdvice(resultsOf(name)))
      }).pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])))
  }

  it.live("today's gateway asks for the lifecycle of who announces it, as it did, and understands what it is told", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port } = yield* h.start({ pingInterval: "30 seconds", pingTimeout: "60 seconds" }).pipe(
        Effect.provideService(AgentPresence.AgentPresence, presence)
      )
      const told = framesOf("lifecycle", "agent")
      const play = Effect.fnUntraced(function*(features: ReadonlyArray<string>) {
        const { token } = yield* h.enroll()
        const frames = [...told]
        let asked: { readonly id: number; readonly tag: string; readonly payload: unknown } | undefined
        const { agent } = yield* h.connect(port, token, {
          hello: { features },
          on: (request, agent) => {
            asked = request
            agent.send({ ...frames.shift(), requestId: request.id })
          }
        })
        agent.socket.on("message", (data: Buffer) => {
          for (const line of String(data).split("\n").filter((line) => line !== "")) {
            const { _tag, requestId }: Frame = JSON.parse(line)
            if (_tag === "Ack") agent.send({ ...frames.shift(), requestId })
          }
        })
        return () => asked
      })
      const asked = yield* play([...h.helloAnswer.features, Protocol.lifecycleWord])
      yield* h.until(() => control.reported.at(-1)?.lifecycle === "off")
      const [request] = requestsOf("lifecycle")
      assert.deepStrictEqual([asked()?.tag, asked()?.payload], [request?.tag, request?.payload])
      const [hello] = framesOf("hello", "agent")
      assert.notInclude(JSON.stringify(hello), Protocol.lifecycleWord)
      const silent = yield* play(h.helloAnswer.features)
      yield* h.until(() => control.reported.at(-1)?.lifecycle === "ready")
      assert.isUndefined(silent())
    }).pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])))

  it.live("today's program tells its lifecycle as it did", () =>
    Effect.gen(function*() {
      const { token } = yield* h.enroll()
      const { link, program } = yield* linkedProgram(token, {
        ...scripts,
        CW_AGENT_STARTUP_SCRIPT: "until [ -e go ]; do sleep 0.05; done"
      })
      const [request] = requestsOf("lifecycle")
      if (request === undefined) return assert.fail()
      link.send(request)
      const answers = () => link.answers.get(request.id ?? -1) ?? []
      yield* h.until(() => answers().length === 1)
      writeFileSync(Path.join(program.directory, "go"), "")
      yield* h.until(() => answers().length === 2)
      yield* program.kill("SIGTERM")
      yield* program.exited
      // How many words stand in one frame is a matter of time.
      const said = (frames: ReadonlyArray<Frame>) => [frames.flatMap(({ values }) => values ?? []), frames.at(-1)]
      assert.deepStrictEqual(said(answers()), said(framesOf("lifecycle", "agent")))
    }).pipe(Effect.scoped, Effect.provide(h.layerStores)), 15_000)

  it.live("today's program answers what was asked then", () =>
    Effect.gen(function*() {
      const { token } = yield* h.enroll()
      const { link, program } = yield* linkedProgram(token)
      furnish(program.directory)
      for (const name of ["hello", ...Object.keys(scenarios)]) {
        for (const request of requestsOf(name)) {
          const id = request.id ?? -1
          link.send(request)
          const expected = framesOf(name, "agent").filter(({ requestId }) => requestId === id)
          // What is given up is not answered before it is killed.
          if (expected.at(-1)?._tag !== "Exit" || request.tag === "Follow" && name === "kill") continue
          yield* h.until(() => link.answers.get(id)?.at(-1)?._tag === "Exit", "20 seconds")
          assert.deepStrictEqual(comparable(link.answers.get(id) ?? []), comparable(expected), `${name} ${request.tag}`)
        }
      }
    }).pipe(Effect.scoped, Effect.provide(h.layerStores)), 40_000)
})

/** The program, linked to a server that sends what a test says and acknowledges every chunk. */
const linkedProgram = Effect.fnUntraced(function*(
  token: h.Enrolled["token"],
  env?: Readonly<Record<string, string>>
) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
  const linked = Deferred.makeUnsafe<{
    readonly send: (frame: Frame) => void
    readonly answers: Map<number, Array<Frame>>
  }>()
  server.on("connection", (socket) => {
    const answers = new Map<number, Array<Frame>>()
    socket.on("message", (data: Buffer) => {
      for (const line of String(data).split("\n").filter((line) => line !== "")) {
        const frame: Frame = JSON.parse(line)
        const id = frame.requestId ?? -1
        answers.set(id, [...answers.get(id) ?? [], frame])
        if (frame._tag === "Chunk") socket.send(`${JSON.stringify({ _tag: "Ack", requestId: id })}\n`)
      }
    })
    Deferred.doneUnsafe(linked, Effect.succeed({ send: (frame) => socket.send(`${JSON.stringify(frame)}\n`), answers }))
  })
  yield* Effect.callback<void>((resume) => {
    server.on("listening", () => resume(Effect.void))
  })
  const program = yield* h.startProgram((server.address() as AddressInfo).port, token, env)
  const link = yield* Effect.timeout(Deferred.await(linked), "8 seconds")
  return { link, program }
})

/** Without what is no part of an answer, but advice that each version gives for it. */
const withoutAdvice = (results: ReadonlyArray<unknown>): unknown =>
  JSON.parse(JSON.stringify(results, (key, value: unknown) => key === "recovery" ? undefined : value))

/** Words of the hello that were added since. */
const added: ReadonlyArray<unknown> = [Protocol.lifecycleWord, "mcp"]

/** Without what is another in every run: identities, times, where a process happens to be, how output is cut. */
const comparable = (frames: ReadonlyArray<Frame>): unknown => {
  const values = frames.flatMap(({ values }) => values ?? [])
  const data = Buffer.concat(values.map(({ bytes }) => Buffer.from(bytes ?? "", "base64"))).toString()
  const others = values.filter(({ _tag }) => _tag !== "Data" && _tag !== "Part")
  return JSON.parse(JSON.stringify({ data, others, exit: frames.at(-1)?.exit }, (key, value: unknown) => {
    if (["incarnation", "program", "modifiedAtMillis", "ageMillis", "node"].includes(key)) return typeof value
    if (key === "features" && Array.isArray(value)) return value.filter((word) => !added.includes(word))
    if (typeof value === "object" && value !== null && "_tag" in value && "end" in value) return "ProcessState"
    return value
  }))
}
