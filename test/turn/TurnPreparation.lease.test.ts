/** A call that waited for its connection while its turn was lost: as on a node that was frozen and thaws. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { ChatTools } from "../../src/tool/ChatTools.ts"
import * as TurnPreparation from "../../src/turn/TurnPreparation.ts"
import * as t from "./support/turns.ts"

/** The workspace of a turn's tools, whose connections come when the gate opens. */
const prepared = Effect.fnUntraced(function*(isHeld: () => boolean) {
  const world = yield* TestWorkspaces.TestWorkspaces
  yield* world.running(t.chatId)
  const opened = yield* Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(t.chatId))
  const { toolkit } = yield* t.tools()
  const gate = Deferred.makeUnsafe<void>()
  let wrapped: ChatWorkspace = opened
  const tools = Layer.succeed(ChatTools, {
    open: ({ wrap = (workspace) => workspace }) =>
      Effect.sync(() => {
        wrapped = wrap({ ...opened, connect: Effect.andThen(Deferred.await(gate), opened.connect) })
        return { workspace: wrapped, toolkit, plain: [] }
      })
  })
  const prepare = yield* Effect.provide(TurnPreparation.make(), tools)
  yield* prepare({ chatId: t.chatId, owner: TestWorkspaces.owner, child: false, isHeld })
  return { workspace: wrapped, open: Deferred.succeed(gate, undefined) }
})

describe("a call that waits for its connection", () => {
  for (const held of [true, false]) {
    it.effect(
      held ? "begins when it has one" : "begins nothing when the turn was lost meanwhile",
      () =>
        Effect.gen(function*() {
          let isHeld = true
          let begun = false
          const { open, workspace } = yield* prepared(() => isHeld)
          const call = yield* Effect.forkChild(
            workspace.use(() =>
              Effect.sync(() => {
                begun = true
              })
            ),
            { startImmediately: true }
          )
          isHeld = held
          yield* open
          if (held) yield* Fiber.join(call)
          else yield* Fiber.interrupt(call)
          assert.strictEqual(begun, held)
        }).pipe(TestWorkspaces.provide)
    )
  }
})
