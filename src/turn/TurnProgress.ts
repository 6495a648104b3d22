/**
 * What a turn of this node waits for, read off what it tells.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { TurnEvents } from "./TurnEvents.ts"

/**
 * The calls of tools that have no result yet, oldest first, and how long the turn has told nothing. Without calls it
 * waits for the model, or for what is prepared before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnProgress {
  readonly calls: ReadonlyArray<{ readonly name: string; readonly runningFor: Duration.Duration }>
  readonly quietFor: Duration.Duration
}

/**
 * The same events, and what they say of the turn now.
 *
 * @since 0.1.0
 * @category constructors
 */
export const observe = (
  events: TurnEvents,
  clock: Clock.Clock
): { readonly events: TurnEvents; readonly progress: () => TurnProgress } => {
  const calls = new Map<string, { readonly name: string; readonly since: number }>()
  let toldAt = clock.currentTimeMillisUnsafe()
  const ago = (since: number): Duration.Duration =>
    Duration.millis(Math.max(0, clock.currentTimeMillisUnsafe() - since))
  return {
    events: {
      ...events,
      tell: (event) => {
        toldAt = clock.currentTimeMillisUnsafe()
        if (event._tag === "Call") calls.set(event.callId, { name: event.name, since: toldAt })
        if (event._tag === "Result") calls.delete(event.callId)
        events.tell(event)
      }
    },
    progress: () => ({
      calls: Array.from(calls.values(), ({ name, since }) => ({ name, runningFor: ago(since) })),
      quietFor: ago(toldAt)
    })
  }
}
