import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { Ids } from "../../src/domain/index.ts"
import type { TurnMessage } from "../../src/domain/Turn.ts"
import * as TurnStore from "../../src/store/TurnStore.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { TurnLimits, Turns } from "../../src/turn/index.ts"
import * as t from "./support/turns.ts"

const { calls, call, say } = ScriptedModel

/** A chat whose workspace was stopped, in a world that builds; a turn of it by this script; and what it came to. */
const turnOnStopped = Effect.fnUntraced(function*(options: {
  readonly script: ReadonlyArray<ScriptedModel.Step>
  readonly child?: boolean
}) {
  const world = yield* TestWorkspaces.TestWorkspaces
  yield* world.stopped(t.chatId)
  yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
  const context = yield* Layer.build(
    // One call after the other, so that they cannot share a look by coming together.
    Layer.provide(Turns.layerWithoutSetup(), TurnLimits.layer({ calls: 1 })).pipe(
      Layer.provideMerge(ScriptedModel.layer(options.script))
    )
  )
  const store = yield* TurnStore.TurnStore
  const before = yield* store.latest({ chatId: t.chatId, owner: TestWorkspaces.owner })
  const epoch = Option.match(before, { onNone: () => 1, onSome: (turn) => turn.epoch + 1 })
  const [, counts] = yield* world.counted(Effect.flatMap(
    Context.get(context, Turns.Turns).send({
      chatId: t.chatId,
      owner: TestWorkspaces.owner,
      messageId: Ids.MessageId.make(`m${epoch}`),
      text: "Where are we?",
      child: options.child
    }),
    ({ events }) => Stream.runDrain(events)
  ))
  const rows = yield* store.history({ chatId: t.chatId, owner: TestWorkspaces.owner })
  const history: ReadonlyArray<TurnMessage> = rows.filter((row) => row.epoch === epoch).map(({ message }) => message)
  t.assertAcceptable(history)
  return { counts, history, requests: Context.get(context, ScriptedModel.ScriptedModel).requests() }
})

describe("a turn on a stopped workspace", () => {
  it.effect("is told so, starts it, and goes on", () =>
    Effect.gen(function*() {
      const { history } = yield* turnOnStopped({
        script: [
          call("execute", { command: "uname" }),
          call("start_workspace"),
          call("execute", { command: "uname" }),
          say("On Linux.")
        ]
      })
      const [first, started, second] = t.resultsIn(history).map(([, result]) => JSON.stringify(result))
      assert.include(first, "no_workspace_agent")
      assert.include(first, "Call start_workspace")
      assert.notInclude(started, "error")
      assert.include(second, "Linux")
      assert.strictEqual(t.textOf(history.at(-1)), "On Linux.")
    }).pipe(TestBuilds.provide))

  it.effect("looks once for all calls of a step, and again in the next", () =>
    Effect.gen(function*() {
      const execute = ["execute", { command: "uname" }] as const
      const one = yield* turnOnStopped({ script: [calls(execute), say("No.")] })
      const many = yield* turnOnStopped({ script: [calls(execute, execute, execute), calls(execute), say("No.")] })
      assert.strictEqual(many.counts.queries.latestBuild, 2 * one.counts.queries.latestBuild)
      assert.deepStrictEqual(t.outcomes(many.history), Array.from({ length: 4 }, () => "no_workspace_agent"))
    }).pipe(TestBuilds.provide))

  it.effect("of a child chat reports to its parent: it has no tools on workspaces", () =>
    Effect.gen(function*() {
      const { history, requests } = yield* turnOnStopped({
        child: true,
        script: [call("execute", { command: "uname" }), say("I report.")]
      })
      assert.notInclude(requests[0]?.tools.map(({ name }) => name) ?? [], "start_workspace")
      assert.include(JSON.stringify(t.resultsIn(history)[0]), "report to the parent chat")
    }).pipe(TestBuilds.provide))
})
