/**
 * One short dial of an agent that the store calls unreachable: whether it answers all the same.
 *
 * Callers that ask about the same agent share one dial, and each waits for its own bound and no longer, also for a dial
 * that ignores its interruption. What was reached is let go at once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AgentTransport } from "../agent/AgentTransport.ts"
import * as Detached from "../dial/Detached.ts"
import { DialConfig } from "../dial/DialConfig.ts"
import * as Shared from "../dial/Shared.ts"
import type { AgentId } from "../domain/Ids.ts"
import { ToolConfig } from "./ToolConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Probe = (agentId: AgentId) => Effect.Effect<boolean>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Probe, never, AgentTransport | Scope.Scope> = Effect.gen(function*() {
  const transport = yield* AgentTransport
  const { drain, release } = yield* DialConfig
  const { unreachableDial } = yield* ToolConfig
  const dials = Shared.make<AgentId, true, "unreachable">({
    detached: yield* Detached.make(drain),
    release,
    onInterrupt: () => "unreachable"
  })
  // Before the drain, so that nobody begins what is about to end.
  yield* Effect.addFinalizer(() => Effect.sync(() => dials.close()))
  return (agentId) => {
    const dial = Effect.as(Effect.mapError(transport.dial(agentId), () => "unreachable" as const), true as const)
    return Effect.scoped(dials.get(agentId, dial)).pipe(
      Effect.timeoutOrElse({ duration: unreachableDial, orElse: () => Effect.succeed(false) }),
      Effect.orElseSucceed(() => false)
    )
  }
})
