import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import type { Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { transport as execTransport } from "../../examples/transport-docker-exec.ts"
import { AgentTransport } from "../../src/agent/index.ts"
import { CommandNotFound } from "../../src/domain/Errors.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { AgentTransportKit, ScriptedTransport } from "../../src/testing/index.ts"
import * as h from "./support/harness.ts"
import { cuttable } from "./support/proxy.ts"

/** The harness is made once for the names of its cases, and for each case anew. */
const suite = (
  name: string,
  make: Effect.Effect<AgentTransportKit.Harness, unknown, Scope.Scope>,
  expected: number
): void => {
  describe(name, async () => {
    const first = await Effect.runPromise(Effect.scoped(make))
    const cases = AgentTransportKit.casesFor(first)
    it("runs every case that the transport declares, and names the others", () => {
      assert.strictEqual(cases.length, expected)
      assert.strictEqual(AgentTransportKit.skippedFor(first).length, 30 - expected)
    })
    for (const [index, { name }] of cases.entries()) {
      it.live(name, () =>
        Effect.gen(function*() {
          const harness = yield* make
          yield* AgentTransportKit.casesFor(harness)[index]?.run ?? Effect.die("no such case")
        }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))), 25_000)
    }
  })
}

const gateway = Effect.gen(function*() {
  const stores = yield* Layer.build(h.layerStores)
  const server = yield* Effect.provide(
    h.start({ settle: 0, pingInterval: "1 second", pingTimeout: "3 seconds" }),
    stores
  )
  const agents = new Map<AgentId, {
    readonly enrolled: h.Enrolled
    readonly proxy: Effect.Success<ReturnType<typeof cuttable>>
    program?: Effect.Success<ReturnType<typeof h.startProgram>>
  }>()
  const agent = (agentId: AgentId) => agents.get(agentId) ?? assert.fail("no such agent")
  const absent = Effect.gen(function*() {
    const enrolled = yield* Effect.provide(h.enroll(), stores)
    agents.set(enrolled.agentId, { enrolled, proxy: yield* cuttable(server.port) })
    return enrolled.agentId
  })
  const arrive = Effect.fnUntraced(function*(agentId: AgentId) {
    const { enrolled, proxy } = agent(agentId)
    agent(agentId).program = yield* h.startProgram(proxy.port, enrolled.token)
  })
  const signal = (name: NodeJS.Signals) => (agentId: AgentId) => agent(agentId).program?.kill(name) ?? Effect.void
  return {
    transport: server.transport,
    commands: AgentTransportKit.shellCommands,
    path: h.fresh,
    absent,
    arrive,
    up: Effect.tap(
      absent,
      (agentId) => Effect.andThen(arrive(agentId), h.until(() => server.transport.presence(agentId) === "live"))
    ),
    drop: (agentId: AgentId) => agent(agentId).proxy.cut(true),
    // A scripted agent under the same token is a newer session.
    replace: (agentId: AgentId) => Effect.asVoid(h.connect(server.port, agent(agentId).enrolled.token)),
    freeze: signal("SIGSTOP"),
    thaw: signal("SIGCONT"),
    halfOpen: (agentId: AgentId) => agent(agentId).proxy.mute(true),
    heal: (agentId: AgentId) => agent(agentId).proxy.mute(false),
    chatty: AgentTransportKit.shellChatty
  }
})

const exec = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/chat-workspace-exec-`)),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  // A plain shell on this host where there would be a container.
  const context = yield* Layer.build(execTransport(() => ["env", "--"]))
  return {
    transport: Context.get(context, AgentTransport.AgentTransport),
    commands: AgentTransportKit.shellCommands,
    path: (name: string) => `${directory}/${h.fresh(name)}`,
    up: Effect.sync(() => AgentId.make(h.fresh("container")))
  }
})

const scripted = Effect.gen(function*() {
  const context = yield* Layer.build(ScriptedTransport.layer)
  const control = Context.get(context, ScriptedTransport.ScriptedTransport)
  let runs = 0
  yield* control.onExecute(({ argv: [program, text, code] }) => {
    switch (program) {
      case "print":
        return Effect.succeed({ stdout: text, code: Number(code) })
      case "unique":
        return Effect.sync(() => ({ stdout: String(runs++) }))
      case "endless":
        return Effect.never
      default:
        return Effect.fail(new CommandNotFound({ command: program, detail: "is not there" }))
    }
  })
  const absent = Effect.sync(() => AgentId.make(h.fresh("scripted")))
  return {
    transport: Context.get(context, AgentTransport.AgentTransport),
    commands: {
      print: (text: string, code: number) => ["print", text, String(code)] as const,
      unique: ["unique"] as const,
      endless: ["endless"] as const,
      missing: ["missing"] as const
    } satisfies AgentTransportKit.Commands,
    path: (name: string) => `/kit/${h.fresh(name)}`,
    absent,
    arrive: control.accept,
    up: Effect.tap(absent, (agentId) => control.accept(agentId)),
    drop: (agentId: AgentId) => control.drop(agentId),
    replace: control.replace,
    freeze: control.freeze,
    thaw: control.thaw
  }
})

suite("the gateway with the real program", gateway, 30)
suite("the exec transport over a plain shell", exec, 12)
suite("the scripted transport", scripted, 27)
