/**
 * A turn as it is read from the store: one that runs on another node, or has ended.
 *
 * The end of a turn is in its row, so that it comes also where the node was lost that would have told it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TurnNotFound } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { OwnerId, TurnId } from "../domain/Ids.ts"
import { endOf } from "../domain/Turn.ts"
import type { NumberedEvent } from "../domain/Turn.ts"
import * as Signals from "../store/Signals.ts"
import type { TurnStore } from "../store/TurnStore.ts"
import type { TurnLimits } from "./TurnLimits.ts"

/**
 * Everything behind the event with the number `after`, until the last.
 *
 * @since 0.1.0
 * @category models
 */
export type TurnFollow = (options: {
  readonly turnId: TurnId
  readonly owner: OwnerId
  readonly after: number
}) => Stream.Stream<NumberedEvent, TurnNotFound | StoreError>

/** What is asked for next, and whether there is something to wait for before. */
interface Next {
  readonly after: number
  readonly wait: boolean
}

type Page = readonly [ReadonlyArray<NumberedEvent>, Option.Option<Next>]

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  store: TurnStore["Service"],
  signals: Signals.Signals["Service"],
  limits: TurnLimits
): TurnFollow =>
({ after, owner, turnId }) => {
  const look = (news: Signals.Subscription) =>
    Effect.fnUntraced(function*({ after, wait }: Next): Effect.fn.Return<Page, TurnNotFound | StoreError> {
      if (wait) yield* news.changed(limits.poll)
      const found = yield* store.events({ turnId, owner, after })
      if (Option.isNone(found)) return yield* new TurnNotFound({ turnId })
      const { events, turn } = found.value
      const last = events.at(-1)
      if (last !== undefined) return [events, Option.some({ after: last.number, wait: false })]
      const event = endOf(turn)
      return event === undefined
        ? [[], Option.some({ after, wait: true })]
        : [[{ number: after + 1, event }], Option.none()]
    })
  return Stream.unwrap(
    Effect.map(
      signals.subscribe(Signals.turn(turnId)),
      (news) => Stream.paginate({ after, wait: false }, look(news))
    )
  )
}
