/**
 * Tables of bounds. A floor states each wait and each limit once, with its kind and its default; its configuration, the
 * options of its layer and what the environment may say follow from the table.
 *
 * The comment above a bound says what it bounds. Editors show it with the field of the configuration, and
 * `docs/bounds.md` is written from it.
 *
 * **Gotchas**
 *
 * The key in the environment follows the name: renaming a bound renames its key, unless it has one of its own.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/**
 * What an application may give for a value: durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<A> = A extends Duration.Duration ? Duration.Input : A

/**
 * - `duration`: in the environment in words, as in `30 seconds`
 * - `count`, `bytes`: whole numbers
 * - `choice`, `text`: words; `names`: words with commas between them
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "duration" | "count" | "bytes" | "choice" | "text" | "names"

/**
 * - `shown`: the default as the environment would say it
 * - `key`: its own key, where the name does not give it; `null` where the environment must not set it
 * - `value`: what is in force for an option, which need not be there
 * - `read`: reads it from a key of the environment
 *
 * @since 0.1.0
 * @category models
 */
export interface Bound<A> {
  readonly kind: Kind
  readonly shown: string
  readonly key: string | null | undefined
  readonly value: (option: Input<A> | undefined) => A
  readonly read: (key: string) => Config.Config<A>
}

/**
 * One line of the document; `key` is `undefined` where the environment cannot set the bound.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed extends Pick<Bound<unknown>, "kind" | "shown"> {
  readonly name: string
  readonly key: string | undefined
}

/**
 * The values of a table.
 *
 * @since 0.1.0
 * @category models
 */
export type Values<T> = { readonly [K in keyof T]: T[K] extends Bound<infer A> ? A : never }

/**
 * Other values for some of the bounds.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<A> = { readonly [K in keyof A]?: Input<A[K]> | undefined }

/**
 * What follows from a table. The environment's nonsense is refused with the name of its key: what is no value of the
 * kind, times without an end, and zero where nothing would work with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bounds<T> {
  readonly list: ReadonlyArray<Listed>
  readonly defaults: Values<T>
  readonly make: (options: Options<Values<T>>) => Values<T>
  readonly config: Config.Config<Values<T>>
}

/**
 * The configuration of a table: `interface DialConfig extends Bounds.Of<typeof bounds> {}`.
 *
 * @since 0.1.0
 * @category models
 */
export type Of<B> = B extends Bounds<infer T> ? Values<T> : never

/**
 * - `zero`: that 0 is a value too, where it means "none" or "at once" and nothing breaks
 *
 * @since 0.1.0
 * @category models
 */
export interface Details {
  readonly key?: string | null | undefined
  readonly zero?: boolean | undefined
}

/**
 * A table; its keys in the environment begin with the prefix, as in `DIAL_VALIDATION_DELAY`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <T extends object>(
  prefix: string,
  table: T & { readonly [K in keyof T]: Bound<Values<T>[K]> }
): Bounds<T> => {
  const names = Struct.keys(table)
  const keyOf = (name: (typeof names)[number]): string | undefined => {
    const { key } = table[name]
    return key === undefined ? `${prefix}_${name.replaceAll(/[A-Z]/g, "_$&").toUpperCase()}` : key ?? undefined
  }
  const values = (options: Options<Values<T>>) =>
    fields<T>(names.map((name) => [name, table[name].value(options[name])]))
  return {
    list: names.map((name) => ({ name, key: keyOf(name), kind: table[name].kind, shown: table[name].shown })),
    defaults: values({}),
    make: values,
    config: Config.map(
      Config.all(names.map((name) => {
        const key = keyOf(name)
        const byDefault = table[name].value(undefined)
        const read = key === undefined
          ? Config.succeed(byDefault)
          : Config.withDefault(table[name].read(key), byDefault)
        return Config.map(read, (value) => [name, value] as const)
      })),
      fields<T>
    )
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const duration = (byDefault: Duration.Input & string, details?: Details): Bound<Duration.Duration> => {
  const sensible = Schema.makeFilter((value: Duration.Duration) =>
    Duration.isFinite(value) && (Duration.isPositive(value) || details?.zero === true && Duration.isZero(value)) ||
    `Expected a finite time ${details?.zero === true ? "from zero on" : "above zero"}`
  )
  const fallback = Duration.fromInputUnsafe(byDefault)
  return {
    kind: "duration",
    shown: byDefault,
    key: details?.key,
    value: (option) => option === undefined ? fallback : Duration.fromInputUnsafe(option),
    read: (key) => Config.schema(Schema.DurationFromString.check(sensible), key)
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const count = (byDefault: number, details?: Details): Bound<number> => {
  const least = details?.zero === true ? 0 : 1
  const sensible = Schema.makeFilter((value: number) => value >= least || `Expected at least ${least}`)
  return {
    kind: "count",
    shown: String(byDefault),
    key: details?.key,
    value: (option) => option ?? byDefault,
    read: (key) => Config.schema(Schema.Int.check(sensible), key)
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const bytes = (byDefault: number, details?: Details): Bound<number> => ({
  ...count(byDefault, details),
  kind: "bytes"
})

/**
 * One of some words.
 *
 * @since 0.1.0
 * @category constructors
 */
export const choice = <const A extends ReadonlyArray<string>>(
  words: A,
  byDefault: NoInfer<A[number]>
): Bound<A[number]> => ({
  kind: "choice",
  shown: byDefault,
  key: undefined,
  value: (option) => option ?? byDefault,
  read: (key) => Config.Literals(words, key)
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const text = (byDefault: string): Bound<string> => ({
  kind: "text",
  shown: byDefault,
  key: undefined,
  value: (option) => option ?? byDefault,
  read: Config.String
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const names = (byDefault: ReadonlyArray<string>): Bound<ReadonlyArray<string>> => ({
  kind: "names",
  shown: byDefault.join(","),
  key: undefined,
  value: (option) => option ?? byDefault,
  read: (key) =>
    Config.map(Config.String(key), (text) => text.split(",").map((name) => name.trim()).filter((name) => name !== ""))
})

/** TypeScript does not follow that each name has the value of its own bound. */
const fields = <T>(entries: Array<readonly [string, unknown]>): Values<T> => Object.fromEntries(entries) as Values<T>
