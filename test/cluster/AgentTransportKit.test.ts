import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import type { Scope } from "effect"
import type { AgentId } from "../../src/domain/Ids.ts"
import { AgentTransportKit } from "../../src/testing/index.ts"
import * as h from "../agent/support/harness.ts"
import { cuttable } from "../agent/support/proxy.ts"
import * as nodes from "./support/nodes.ts"
import * as server from "./support/server.ts"

/** Two nodes over one NATS server. Calls are made from the first, its agents call that one or the other. */
const cluster = (where: "here" | "there") =>
  Effect.gen(function*() {
    const stores = yield* Layer.build(h.layerStores)
    const nats = yield* server.start()
    const node = Effect.provide(nodes.start(nats.port), stores)
    const [caller, other] = [yield* node, yield* node]
    const holder = where === "here" ? caller : other
    const agents = new Map<AgentId, {
      readonly enrolled: h.Enrolled
      readonly proxy: Effect.Success<ReturnType<typeof cuttable>>
      program?: Effect.Success<ReturnType<typeof h.startProgram>>
    }>()
    const agent = (agentId: AgentId) => agents.get(agentId) ?? assert.fail("no such agent")
    const absent = Effect.gen(function*() {
      const enrolled = yield* Effect.provide(h.enroll(), stores)
      agents.set(enrolled.agentId, { enrolled, proxy: yield* cuttable(holder.port) })
      return enrolled.agentId
    })
    const arrive = Effect.fnUntraced(function*(agentId: AgentId) {
      const { enrolled, proxy } = agent(agentId)
      agent(agentId).program = yield* h.startProgram(proxy.port, enrolled.token)
    })
    const signal = (name: NodeJS.Signals) => (agentId: AgentId) => agent(agentId).program?.kill(name) ?? Effect.void
    return {
      transport: caller.transport,
      commands: AgentTransportKit.shellCommands,
      path: h.fresh,
      absent,
      arrive,
      up: Effect.tap(
        absent,
        (agentId) => Effect.andThen(arrive(agentId), h.until(() => holder.transport.presence(agentId) === "live"))
      ),
      drop: (agentId: AgentId) => agent(agentId).proxy.cut(true),
      // A scripted agent under the same token is a newer session.
      replace: (agentId: AgentId) => Effect.asVoid(h.connect(holder.port, agent(agentId).enrolled.token)),
      freeze: signal("SIGSTOP"),
      thaw: signal("SIGCONT"),
      halfOpen: (agentId: AgentId) => agent(agentId).proxy.mute(true),
      heal: (agentId: AgentId) => agent(agentId).proxy.mute(false),
      chatty: AgentTransportKit.shellChatty
    } satisfies AgentTransportKit.Harness
  })

const suite = (name: string, make: Effect.Effect<AgentTransportKit.Harness, unknown, Scope.Scope>): void => {
  describe.skipIf(!server.hasServer)(name, async () => {
    if (!server.hasServer) return
    const cases = await Effect.runPromise(Effect.scoped(Effect.map(make, AgentTransportKit.casesFor)))
    it("runs every case that the transport declares", () => {
      assert.lengthOf(cases, 30)
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

suite("two nodes, the agent here", cluster("here"))
suite("two nodes, the agent on the other", cluster("there"))
