import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Redacted } from "effect"
import { Backend } from "../../src/cli/demo/Backend.ts"
import { Model } from "../../src/cli/demo/Model.ts"
import * as Scenarios from "../../src/cli/demo/Scenarios.ts"
import type { Measured } from "../../src/cli/demo/World.ts"
import { World } from "../../src/cli/demo/World.ts"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { CallInterrupted, NoWorkspaceAgent } from "../../src/domain/Errors.ts"
import { AgentId, OperationId, WorkspaceId } from "../../src/domain/Ids.ts"
import { PostgresServer } from "../../src/testing/PostgresServer.ts"

const measured: Measured = { exit: Exit.succeed("hello"), millis: 10, queries: 2, dials: 1, timeline: [] }

const scenario = (play: Scenarios.Scenario["play"]): Scenarios.Scenario => ({
  name: "made-up",
  group: "fine",
  title: "Made up",
  expect: { got: "hello", queries: 2, dials: 1, within: 10 },
  play
})

const unused = () => {
  throw new Error("no scenario here looks at the world")
}
const nowhere = Layer.mergeAll(
  Layer.mock(World, {}),
  Layer.mock(ChatWorkspaces, { describe: unused, known: unused }),
  Layer.mock(Model, { chat: Effect.die("unused") }),
  Layer.effect(
    Backend,
    Effect.map(PostgresServer, (postgres) => ({ agentUrl: "", postgres, restartServer: Effect.die("unused") }))
  )
).pipe(
  Layer.provide(Layer.mock(PostgresServer, { url: Redacted.make(""), directory: "", passwordFile: "" }))
)

const shown = (play: Scenarios.Scenario["play"]) => Scenarios.show(scenario(play)).pipe(Effect.provide(nowhere))

const failures = (patch: Partial<Measured> & { readonly wrong?: ReadonlyArray<string> }) =>
  Effect.map(shown(Effect.succeed({ ...measured, ...patch })), (one) => one.failures)

describe("Scenarios", () => {
  it.effect("a scenario that gets exactly what its bounds allow did not fail", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failures({}), [])
    }))

  it.effect("every bound that is broken is a failure of its own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failures({ queries: 3 }), ["expected at most 2 queries"])
      assert.deepStrictEqual(yield* failures({ dials: 2 }), ["expected at most 1 dials"])
      assert.deepStrictEqual(yield* failures({ millis: 10.5 }), ["expected within 10ms"])
      assert.deepStrictEqual(yield* failures({ exit: Exit.succeed("goodbye") }), ["expected: hello"])
      assert.deepStrictEqual(yield* failures({ wrong: ["2 waiters are left"] }), ["2 waiters are left"])
    }))

  it.effect("names the fields of an error that tell it from its like", () =>
    Effect.gen(function*() {
      const workspaceId = WorkspaceId.make("w")
      const agentId = AgentId.make("a")
      const got = (error: NoWorkspaceAgent | CallInterrupted) =>
        Effect.map(shown(Effect.succeed({ ...measured, exit: Exit.fail(error) })), (one) => one.got)
      assert.strictEqual(
        yield* got(new NoWorkspaceAgent({ workspaceId, buildId: null, reason: "stopped", logTail: null })),
        "NoWorkspaceAgent (stopped)"
      )
      assert.strictEqual(
        yield* got(new CallInterrupted({ agentId, operationId: OperationId.make("1"), sent: "mayHaveRun" })),
        "CallInterrupted (mayHaveRun)"
      )
    }))

  it.effect("a scenario that cannot be played is a failure, not the end of the demo", () =>
    Effect.gen(function*() {
      const { failures, got } = yield* shown(Effect.die(new Error("no agent came")))
      assert.strictEqual(got, "nothing")
      assert.lengthOf(failures, 1)
      assert.include(failures[0], "could not be played")
      assert.include(failures[0], "no agent came")
    }))

  it.effect("a defect of the call is shown whole", () =>
    Effect.gen(function*() {
      const cause = Cause.die(new Error("a bug"))
      const { failures, got } = yield* shown(Effect.succeed({ ...measured, exit: Exit.failCause(cause) }))
      assert.include(got, "a bug")
      assert.deepStrictEqual(failures, ["expected: hello"])
    }))

  it("names are unique, since they are chosen by them", () => {
    assert.strictEqual(new Set(Scenarios.all.map(({ name }) => name)).size, Scenarios.all.length)
  })
})
