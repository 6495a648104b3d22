/**
 * Texts of strangers as they may be shown: what acts on a terminal, begins a line or turns the direction of a text is
 * taken out or marked.
 *
 * Names, ids, logs and errors come from users, models and workspaces. Printed as they are, they could clear a screen,
 * hide what stands beside them, or pass for a line of our own.
 *
 * @since 0.1.0
 */

/**
 * The lines of a text, without the sequences that colour a terminal. Every other character that controls or reorders
 * what is shown becomes a mark.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lines = (text: string): ReadonlyArray<string> =>
  text.toWellFormed().split(/\r\n|\n|\r/).map((line) => line.replace(sequences, "").replace(controls, "\ufffd"))

/**
 * The text on one line.
 *
 * @since 0.1.0
 * @category combinators
 */
export const line = (text: string): string => lines(text).join(" ")

const sequences = /(?:(?!\t)\p{Cc}\[|\u009b)[0-?]*[ -/]*[@-~]/gu

/** Also those that end lines or turn their direction. */
const controls = /(?:(?!\t)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069])+/gu
