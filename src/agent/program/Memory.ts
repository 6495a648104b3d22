/**
 * How much memory the program takes for what it does not need any more.
 *
 * Output that is passed on is garbage a moment later, and the engine answers a flood of it with a young generation of
 * dozens of megabytes, all of it resident. Kept at its first size it is collected more often instead. A workspace is small,
 * and a minute of `yes` must not make its agent large.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"

/**
 * Keeps the young generation of this process at the size that it has when it starts.
 *
 * @since 0.1.0
 * @category combinators
 */
export const keepSmall: Effect.Effect<void> = Effect.sync(() => setFlagsFromString("--semi-space-growth-factor=1"))
