/**
 * The history of a chat as its running turn writes it: what the model is shown, and what of it is stored.
 *
 * Nothing is taken back once it was added, so a write of which nobody knows whether it was done is just repeated.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { TurnLost } from "../domain/Errors.ts"
import type { TurnMessage } from "../domain/Turn.ts"
import type { NumberedMessages } from "../store/TurnStore.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnHistory {
  readonly messages: () => ReadonlyArray<TurnMessage>
  readonly add: (message: TurnMessage) => void
  /** What is not known to be stored, with these behind it. */
  readonly unsaved: (...more: ReadonlyArray<TurnMessage>) => NumberedMessages
  /** Stores what was added. */
  readonly save: Effect.Effect<void, TurnLost>
}

/**
 * The end of a history: its last turn, and as many of those before it as fit. A long chat would otherwise come to a point
 * from which every model refuses it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const recent = (history: ReadonlyArray<TurnMessage>, bytes: number): ReadonlyArray<TurnMessage> => {
  let from = history.length
  let size = 0
  for (let index = history.length - 1; index >= 0; index--) {
    const message = history[index]
    size += new TextEncoder().encode(JSON.stringify(message)).length
    if (size > bytes && from < history.length) break
    if (message?.role === "user") from = index
  }
  return history.slice(from)
}

/**
 * Of a turn that begins with this history, whose last message is the user's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  history: ReadonlyArray<TurnMessage>,
  append: (messages: NumberedMessages) => Effect.Effect<void, TurnLost>
): TurnHistory => {
  const added: Array<TurnMessage> = []
  let saved = 0

  const unsaved = (...more: ReadonlyArray<TurnMessage>): NumberedMessages => ({
    // The first number of the turn is that of the user's message.
    from: saved + 2,
    messages: [...added.slice(saved), ...more]
  })

  return {
    messages: () => [...history, ...added],
    add: (message) => {
      added.push(message)
    },
    unsaved,
    save: Effect.suspend(() => {
      const to = added.length
      return Effect.map(append(unsaved()), () => {
        saved = to
      })
    })
  }
}
