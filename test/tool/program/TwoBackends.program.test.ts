/** Two whole backends on one database: whichever is called, killed or frozen, a chat has one workspace and one build. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { emptyDatabase } from "../../postgres.ts"
import * as backends from "./support/Backends.ts"
import * as places from "./support/Place.ts"
import * as world from "./support/World.ts"

const all = Layer.provideMerge(world.layer, emptyDatabase())

/** Two backends, each of which finds the agents of the other. */
const two = Effect.fnUntraced(function*(bounds?: Readonly<Record<string, string>>) {
  const [first, second] = yield* Effect.all([backends.start({ bounds }), backends.start({ bounds })], {
    concurrency: 2
  })
  yield* first.peer(second)
  yield* second.peer(first)
  return [first, second] as const
})

/** A chat for which both backends wait for the start of a workspace, which one of them runs. */
const building = Effect.fnUntraced(function*(nodes: readonly [backends.Backend, backends.Backend], template: string) {
  const { at } = yield* places.Place
  const chat = backends.chat()
  const gate = at(backends.fresh("gate"))
  const args = { template_id: template, parameters: { gate } }
  const calls = yield* Effect.forEach(nodes, (node) => node.begin(chat, "create_workspace", args))
  yield* Effect.forEach(calls, (call) => backends.untilTold(call, "Building"))
  const { buildId } = yield* world.binding(chat)
  const build = buildId ?? assert.fail("the chat is not bound")
  yield* backends.eventually("the command runs", world.log(build), (lines) => lines.length === 2)
  const nodeId = yield* world.runnerOf(build)
  const [one, other] = nodes
  const [first, second] = calls
  const [runner, waiting, call] = one.nodeId === nodeId
    ? [one, other, second ?? assert.fail()] as const
    : [other, one, first ?? assert.fail()] as const
  return { chat, gate, build, runner, waiting, call, calls }
})

layer(all, { excludeTestServices: true, timeout: "60 seconds" })("two backends on one database", (it) => {
  it.effect(
    "64 calls of create_workspace: one workspace, one build, 64 equal answers; none more while agents are silent",
    () =>
      Effect.gen(function*() {
        const { at } = yield* places.Place
        // No heartbeat comes in the time of the test. Here they would even replace a workspace whose agent is gone.
        const nodes = yield* two({
          GATEWAY_HEARTBEAT: "1 hour",
          TOOL_UNREACHABLE_DIAL: "2 seconds",
          TOOL_ON_UNREACHABLE: "create"
        })
        const chat = backends.chat()
        const gate = at(backends.fresh("gate"))
        const args = { template_id: "held", parameters: { gate } }
        const crowd = Effect.forEach(
          Array.from({ length: 32 }, () => nodes).flat(),
          (node) => node.begin(chat, "create_workspace", args),
          { concurrency: "unbounded" }
        )
        const calls = yield* crowd
        yield* Effect.forEach(calls, (call) => backends.untilTold(call, "Building"))
        yield* places.open(gate)
        const answers = yield* Effect.forEach(calls, ({ answer }) => answer, { concurrency: "unbounded" })
        const [answer] = answers
        assert.strictEqual(answers.length, 64)
        for (const each of answers) assert.deepStrictEqual(each, answer)
        assert.deepInclude(answer, { created: true, build_id: (yield* world.binding(chat)).buildId })
        assert.notProperty(answer, "agent_status")
        assert.deepStrictEqual(yield* world.counts, [{ workspaces: 1, builds: 1 }])

        yield* world.silence
        // The one that does not hold the agent cannot reach it either.
        yield* Effect.forEach(nodes, (node) => node.peer({ port: 1 }))
        const late = yield* Effect.flatMap(crowd, (calls) => Effect.forEach(calls, ({ answer }) => answer))
        for (const each of late) assert.deepInclude(each, { created: false, workspace_id: answer?.["workspace_id"] })
        const statuses = new Set(late.map(({ status }) => status))
        assert.deepStrictEqual(statuses, new Set(["already_exists", "unreachable"]))
        assert.deepStrictEqual(yield* world.counts, [{ workspaces: 1, builds: 1 }])
      }),
    90_000
  )

  it.effect(
    "the one that runs a build is killed: the other finishes it, and who waits there gets the workspace",
    () =>
      Effect.gen(function*() {
        const { build, call, chat, gate, runner, waiting } = yield* building(yield* two(), "held")
        yield* runner.kill
        yield* backends.until("it runs again", () => places.ledger(gate).length === 3)
        assert.deepStrictEqual(places.ledger(gate), ["begun", "left", "begun"])
        yield* places.open(gate)
        assert.deepInclude(yield* call.answer, { created: true, build_id: build })
        assert.deepInclude(yield* waiting.call(chat, "execute", { command: "echo works" }), { output: "works\n" })
        const { attempt, build: { status } } = yield* world.record(build)
        assert.deepStrictEqual([status, attempt], ["succeeded", 2])
        // As each run printed it: with another token, which nobody sees.
        assert.deepStrictEqual((yield* world.log(build)).slice(0, 4), ["run 1", "***", "run 2", "***"])
      }),
    90_000
  )

  it.effect(
    "the same with a template that may not be run twice: it was run once, and both are told",
    () =>
      Effect.gen(function*() {
        const { build, call, chat, gate, runner, waiting } = yield* building(yield* two(), "once")
        yield* runner.kill
        const answer = yield* call.answer
        assert.deepInclude(answer, { created: true, status: "failed", build_id: build })
        assert.strictEqual((yield* world.record(build)).failure?.code, "runner_lost")
        assert.include(String(answer["message"]), "Call start_workspace")
        yield* backends.until("the command has left", () => places.ledger(gate).length === 2)
        assert.deepStrictEqual(places.ledger(gate), ["begun", "left"])
        yield* places.open(gate)
        const workspace = answer["workspace_id"]
        assert.deepInclude(yield* waiting.call(chat, "start_workspace"), { started: true, workspace_id: workspace })
      }),
    90_000
  )

  it.effect(
    "the one that runs a build freezes, and thaws when the other has finished it: nothing changes",
    () =>
      Effect.gen(function*() {
        const { build, call, calls, chat, gate, runner, waiting } = yield* building(yield* two(), "held")
        yield* runner.signal("SIGSTOP")
        yield* backends.until("it runs again", () => places.ledger(gate).length === 2)
        // Not for the first: that one was left without its runner, and would go on.
        yield* Effect.forEach([2, 3, 4], (run) => places.open(gate, run))
        const answer = yield* call.answer
        assert.deepInclude(answer, { created: true, build_id: build })
        const before = yield* world.stored(build)
        yield* runner.signal("SIGCONT")
        for (const call of calls) assert.deepStrictEqual(yield* call.answer, answer)
        yield* backends.until("the first run is stopped", () => places.ledger(gate).includes("stopped"))
        assert.deepStrictEqual(places.ledger(gate), ["begun", "begun", "stopped"])
        assert.deepInclude(yield* waiting.call(chat, "execute", { command: "echo works" }), { output: "works\n" })
        assert.deepStrictEqual(yield* world.stored(build), before)
      }),
    90_000
  )
})
