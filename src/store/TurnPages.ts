/**
 * How much of a history is read at once.
 *
 * @since 0.1.0
 */
import type { TurnMessage } from "../domain/Turn.ts"

/**
 * @since 0.1.0
 * @category constants
 */
export const messages = 1000

/**
 * @since 0.1.0
 * @category constants
 */
export const bytes = 4 * 1024 * 1024

/**
 * @since 0.1.0
 * @category constants
 */
export const events = 1000

/**
 * A message as it is stored: JSON, whose text PostgreSQL does not look into.
 *
 * @since 0.1.0
 * @category getters
 */
export const encode = (message: TurnMessage): string => JSON.stringify(message)

/**
 * The end of a history that was cut before the first of these: from the beginning of a turn, which a user's message is. A
 * tool's result without its call would be refused by a provider.
 *
 * @since 0.1.0
 * @category combinators
 */
export const fromTurn = (cut: ReadonlyArray<TurnMessage>): ReadonlyArray<TurnMessage> =>
  cut.slice(Math.max(0, cut.findIndex(({ role }) => role === "user")))
