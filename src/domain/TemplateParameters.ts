/**
 * From the values that somebody gave for a template's parameters to the texts that a build is run with.
 *
 * All problems are found in one look, so that who asked can mend them in one step. Values are kept as texts, because the
 * environment of a command is where they end.
 *
 * **Gotchas**
 *
 * A pattern is run on this node as the template has it. It must match the whole of a value, and one that backtracks
 * without end holds up the node: patterns are the operator's, and the length of a value is checked before.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { ParametersRefused } from "./Errors.ts"
import type { Parameter, Template } from "./Template.ts"

/**
 * Values as they were given. A text is read as a number or a boolean where the parameter is one; a number is no text,
 * because 22.10 would silently become "22.1".
 *
 * @since 0.1.0
 * @category models
 */
export type ParameterValues = Readonly<Record<string, string | number | boolean>>

/**
 * How many values a build may have, and how many bytes one of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly count: number
  readonly bytes: number
}

/**
 * @since 0.1.0
 * @category constants
 */
export const limits: Limits = { count: 64, bytes: 8 * 1024 }

/**
 * The values of a build: those given, otherwise those of the build before (`base`), otherwise the defaults. What the
 * build before had for parameters that the template no longer has is left out. Fails with every problem at once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resolve = (
  template: Template,
  given: ParameterValues,
  options?: {
    readonly base?: Readonly<Record<string, string>> | undefined
    readonly limits?: Limits | undefined
  }
): Result.Result<Readonly<Record<string, string>>, ParametersRefused> => {
  const { bytes, count } = options?.limits ?? limits
  const refused = (problems: ParametersRefused["problems"]) =>
    Result.fail(new ParametersRefused({ templateId: template.templateId, problems }))
  const names = Object.keys(given)
  if (names.length > count) {
    return refused([{ parameter: "parameters", problem: `are ${names.length}, and at most ${count} are allowed` }])
  }
  const known = new Set(template.parameters.map(({ name }) => name))
  const problems = names.filter((name) => !known.has(name)).map((name) => ({
    parameter: shortened(name),
    problem: "is not a parameter of this template"
  }))
  const texts: Array<readonly [string, string]> = []
  for (const parameter of template.parameters) {
    const { name } = parameter
    const value = own(given, name) ?? own(options?.base ?? {}, name) ?? parameter.default
    const text = value === undefined ? Result.fail("is required") : read(parameter, value, bytes)
    if (Result.isSuccess(text)) texts.push([name, text.success])
    else problems.push({ parameter: name, problem: text.failure })
  }
  return problems.length === 0 ? Result.succeed(Object.fromEntries(texts)) : refused(problems)
}

/**
 * The text of one value, or what is wrong with it, in words that follow the name of the parameter. The pattern of the
 * parameter must be a valid one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const read = (
  parameter: Parameter,
  value: string | number | boolean,
  bytes: number = limits.bytes
): Result.Result<string, string> => {
  if (typeof value === "string" && sizeOf(value) > bytes) return Result.fail(`must not be longer than ${bytes} bytes`)
  return Result.flatMap(typed[parameter.type](value), (text) => {
    const problem = limitsOf(parameter, text)
    return problem === undefined ? Result.succeed(text) : Result.fail(problem)
  })
}

/**
 * The pattern of a parameter as it is applied: to the whole of a value. Throws nothing; undefined when it is not one.
 *
 * @since 0.1.0
 * @category getters
 */
export const compile = (pattern: string): RegExp | undefined =>
  Result.getOrUndefined(Result.try(() => {
    // By itself first: "a)(b" is no pattern, and would be one between the brackets.
    void new RegExp(pattern, "u")
    return new RegExp(`^(?:${pattern})$`, "u")
  }))

/** A name may be that of a method of all objects, as `constructor`. */
const own = <A>(values: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(values, name) ? values[name] : undefined

const sizeOf = (text: string): number => new TextEncoder().encode(text).length

const shortened = (name: string): string => name.length <= 64 ? name : `${name.slice(0, 64)}…`

const typed: Readonly<
  Record<Parameter["type"], (value: string | number | boolean) => Result.Result<string, string>>
> = {
  string: (value) =>
    typeof value !== "string"
      ? Result.fail("must be a string")
      : value.includes("\0") || !value.isWellFormed()
      ? Result.fail("must be a text without NUL and halves of characters")
      : Result.succeed(value),
  number: (value) => {
    const number = typeof value === "string" && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)
      ? Number(value)
      : value
    return typeof number === "number" && Number.isFinite(number)
      ? Result.succeed(String(number))
      : Result.fail("must be a number")
  },
  boolean: (value) =>
    value === true || value === "true"
      ? Result.succeed("true")
      : value === false || value === "false"
      ? Result.succeed("false")
      : Result.fail("must be true or false")
}

const limitsOf = ({ max, min, options, pattern, type }: Parameter, text: string): string | undefined => {
  if (options !== undefined && !options.some((option) => String(option) === text)) {
    return `must be one of: ${options.join(", ")}`
  }
  if (type === "string" && pattern !== undefined && compile(pattern)?.test(text) !== true) {
    return `must match ${pattern}`
  }
  if (type !== "number") return undefined
  if (min !== undefined && Number(text) < min) return `must be at least ${min}`
  if (max !== undefined && Number(text) > max) return `must be at most ${max}`
  return undefined
}
