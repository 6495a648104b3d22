/**
 * What of the backend's own environment is passed on to what it starts: the variables that are named, and no others. The
 * backend's may hold the way to its database.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * Reads variables by name; one that is not set is not passed on.
 *
 * @since 0.1.0
 * @category models
 */
export type PassedOn = (names: ReadonlyArray<string>) => Effect.Effect<Readonly<Record<string, string>>>

/**
 * What every program needs to find others and to know its language.
 *
 * @since 0.1.0
 * @category constants
 */
export const common: ReadonlyArray<string> = ["PATH", "LANG", "LC_ALL"]

/**
 * Over the provider of configuration in force.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<PassedOn> = Effect.map(
  ConfigProvider.ConfigProvider,
  (provider) => (names) =>
    Effect.map(
      Effect.forEach(names, (name) =>
        Effect.map(
          // One that cannot be read is as one that is not there.
          Effect.option(Config.String(name).parse(provider)),
          Option.map((value) => [name, value] as const)
        )),
      (found) => Object.fromEntries(found.flatMap(Option.toArray))
    )
)
