/**
 * The two store ports as connecting calls them: each call in a fiber of the layer, and ended by its bound.
 *
 * A port may be the application's own. Here it neither joins the transaction of a caller nor holds anybody for longer
 * than the bound, even when it ignores its interruption.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type { AgentSnapshot, BuildSnapshot } from "../domain/Agent.ts"
import type { Binding, BindResult } from "../domain/Binding.ts"
import { StoreError } from "../domain/Errors.ts"
import type { AgentId, BuildId, ChatId, WorkspaceId } from "../domain/Ids.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import type { Detached } from "./Detached.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface StoreCalls {
  readonly binding: (chatId: ChatId) => Effect.Effect<Binding, StoreError>
  readonly bindAgent: (seen: Binding, buildId: BuildId, agentId: AgentId) => Effect.Effect<BindResult, StoreError>
  /** With a shorter bound than the store's where it decides whether to trust an open connection. */
  readonly agent: (
    agentId: AgentId,
    within?: Duration.Duration
  ) => Effect.Effect<Option.Option<AgentSnapshot>, StoreError>
  readonly latestBuild: (workspaceId: WorkspaceId) => Effect.Effect<Option.Option<BuildSnapshot>, StoreError>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(detached: Detached): Effect.fn.Return<StoreCalls, never, ChatBindings | WorkspaceAgents> {
    const bindings = yield* ChatBindings
    const agents = yield* WorkspaceAgents
    const { callTimeout } = yield* StoreConfig

    const call = <A>(operation: string, effect: Effect.Effect<A, StoreError>, within = callTimeout) =>
      Effect.acquireUseRelease(
        Effect.sync(() => detached.run(effect)),
        (fiber) =>
          Effect.timeoutOrElse(Effect.flatMap(Fiber.await(fiber), answered(operation)), {
            duration: within,
            orElse: () => Effect.fail(new StoreError({ operation, cause: new Cause.TimeoutError() }))
          }),
        (fiber) => Effect.sync(() => fiber.interruptUnsafe())
      )

    return {
      binding: (chatId) => call("ChatBindings.get", bindings.get(chatId)),
      bindAgent: (seen, buildId, agentId) => call("ChatBindings.bindAgent", bindings.bindAgent(seen, buildId, agentId)),
      agent: (agentId, within) => call("WorkspaceAgents.agent", agents.agent(agentId), within),
      latestBuild: (workspaceId) => call("WorkspaceAgents.latestBuild", agents.latestBuild(workspaceId))
    }
  }
)

/** Only the end of the layer interrupts a call that somebody waits for, and its caller was not interrupted. */
const answered = (operation: string) => <A>(exit: Exit.Exit<A, StoreError>): Effect.Effect<A, StoreError> =>
  Exit.hasInterrupts(exit) ? Effect.fail(new StoreError({ operation })) : exit
