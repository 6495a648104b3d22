/**
 * What a turn has before its model runs: the tools of its chat, with what the turn finds out about its workspace put
 * around them, and the words that go before the history.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import { ChatTools } from "../tool/ChatTools.ts"
import type { ChatToolkit } from "../tool/ToolCalls.ts"
import * as TurnNotices from "./TurnNotices.ts"
import type { TurnSetup } from "./TurnSetup.ts"

/**
 * `system` are words for the model; `notices` are for whoever follows the turn. `step` runs before each request to the
 * model.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prepared {
  readonly system: ReadonlyArray<string>
  readonly notices: ReadonlyArray<string>
  readonly toolkit: ChatToolkit
  readonly step: Effect.Effect<void>
}

/**
 * `isHeld` says whether the turn is still this node's.
 *
 * @since 0.1.0
 * @category models
 */
export type TurnPreparation = (chat: {
  readonly chatId: ChatId
  readonly owner: OwnerId
  readonly child: boolean
  readonly isHeld: () => boolean
}) => Effect.Effect<Prepared, StoreError>

/**
 * With nothing of the workspace's own where there is no `setup`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(setup?: TurnSetup["Service"]): Effect.fn.Return<TurnPreparation, never, ChatTools> {
    const chatTools = yield* ChatTools

    return Effect.fnUntraced(function*({ child, isHeld, ...chat }) {
      const found = yield* TurnNotices.make()
      const wrap = (workspace: ChatWorkspace): ChatWorkspace => whileHeld(found.workspace(workspace), isHeld)
      const { toolkit, workspace } = yield* chatTools.open({ ...chat, child, wrap })
      const plain: Prepared = { system: [], notices: [], toolkit: found.toolkit(toolkit), step: found.step }
      if (setup === undefined) return plain
      return yield* setup.prepare({ workspace, toolkit, child }).pipe(
        Effect.map((prepared): Prepared => ({
          ...plain,
          system: prepared.blocks,
          notices: prepared.notices,
          // Around all of them: the workspace's own tools fail in the same words.
          toolkit: found.toolkit(prepared.toolkit)
        })),
        // The model runs, whatever its preparation came to.
        Effect.catchDefect((defect) => Effect.as(Effect.logError("The setup of a turn broke", defect), plain))
      )
    })
  }
)

/** A call that waited for its connection begins nothing when the turn was lost meanwhile; the end of the turn is near. */
const whileHeld = (workspace: ChatWorkspace, isHeld: () => boolean): ChatWorkspace => {
  const connect = Effect.tap(workspace.connect, () => isHeld() ? Effect.void : Effect.never)
  return {
    ...workspace,
    connect,
    use: (f) => Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(connect, scope), f))
  }
}
