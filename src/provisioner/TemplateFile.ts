/**
 * What stands in the `template.json` of a template, and what is wrong with it.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { OwnerId } from "../domain/Ids.ts"
import { Parameter, TemplateAgent } from "../domain/Template.ts"
import * as TemplateParameters from "../domain/TemplateParameters.ts"

/**
 * A script: the name of a file in the template's folder, or the text itself.
 *
 * @since 0.1.0
 * @category models
 */
export const Script = Schema.Union([Schema.NonEmptyString, Schema.Struct({ text: Schema.NonEmptyString })])

/**
 * @since 0.1.0
 * @category models
 */
export type Script = typeof Script.Type

/**
 * The file. `name` is that of the folder unless it says otherwise, `agents` one named "main", and `connectionTimeout`
 * ("2 minutes"; "0 seconds" waits for ever) 120 seconds. What stands beside the type of the provider is its settings.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplateFile = Schema.Struct({
  name: Schema.optionalKey(Schema.NonEmptyString),
  description: Schema.optionalKey(Schema.String),
  parameters: Schema.optionalKey(Schema.Array(Parameter)),
  agents: Schema.optionalKey(
    Schema.Array(Schema.Struct({ name: TemplateAgent.fields.name, displayOrder: Schema.optionalKey(Schema.Int) }))
  ),
  provider: Schema.StructWithRest(Schema.Struct({ type: Schema.NonEmptyString }), [
    Schema.Record(Schema.String, Schema.Json)
  ]),
  owners: Schema.optionalKey(Schema.Array(OwnerId)),
  startup: Schema.optionalKey(Script),
  shutdown: Schema.optionalKey(Script),
  connectionTimeout: Schema.optionalKey(Schema.DurationFromString)
})

/**
 * @since 0.1.0
 * @category models
 */
export type TemplateFile = typeof TemplateFile.Type

/**
 * Something that is wrong, and in which field.
 *
 * @since 0.1.0
 * @category models
 */
export interface Problem {
  readonly field: string | null
  readonly problem: string
}

/**
 * Reads the text of the file. A key that is not known is a problem: it may be one that was misspelt.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (
  text: string,
  limits: TemplateParameters.Limits = TemplateParameters.limits
): Result.Result<TemplateFile, Arr.NonEmptyReadonlyArray<Problem>> => {
  // Not by a schema: its message would not say where.
  const json = Result.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => String(cause).replace(/\s+/g, " ")
  })
  if (Result.isFailure(json)) return Result.fail([{ field: null, problem: `is not JSON: ${json.failure}` }])
  const file = Schema.decodeUnknownResult(TemplateFile)(json.success, { errors: "all", onExcessProperty: "error" })
  if (Result.isFailure(file)) return Result.fail(problemsOf(file.failure))
  const problems = inconsistencies(file.success, limits)
  return !Arr.isReadonlyArrayNonEmpty(problems) ? Result.succeed(file.success) : Result.fail(problems)
}

const problemsOf = (error: Schema.SchemaError): Arr.NonEmptyReadonlyArray<Problem> => {
  const problems = format(error.issue).issues.map(({ message, path }) => ({
    field: path === undefined || path.length === 0 ? null : fieldOf(path),
    problem: message
  }))
  return Arr.isArrayNonEmpty(problems) ? problems : [{ field: null, problem: error.message }]
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey"
      ? "is not a field that is known here"
      : issue._tag === "MissingKey"
      ? "is missing"
      : SchemaIssue.defaultLeafHook(issue)
})

const fieldOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string =>
  path.map((segment) => typeof segment === "object" ? segment.key : segment)
    .reduce<string>(
      (field, key) =>
        typeof key === "number" ? `${field}[${key}]` : field === "" ? String(key) : `${field}.${String(key)}`,
      ""
    )

/** What the shape of the file does not say. */
const inconsistencies = (file: TemplateFile, limits: TemplateParameters.Limits): ReadonlyArray<Problem> => {
  const parameters = file.parameters ?? []
  const agents = file.agents ?? []
  const { connectionTimeout } = file
  return [
    ...parameters.length > limits.count
      ? [{ field: "parameters", problem: `are ${parameters.length}, and at most ${limits.count} are allowed` }]
      : [],
    ...twice("parameters", parameters),
    ...parameters.flatMap((parameter, index) =>
      parameterProblems(parameter, limits).map(({ field, problem }) => ({
        field: `parameters[${index}].${field}`,
        problem
      }))
    ),
    ...twice("agents", agents),
    ...connectionTimeout === undefined || isSpan(connectionTimeout)
      ? []
      : [{ field: "connectionTimeout", problem: "must be a span of time; 0 seconds waits for ever" }]
  ]
}

const isSpan = (duration: Duration.Duration): boolean => {
  const millis = Duration.toMillis(duration)
  return Number.isFinite(millis) && millis >= 0
}

/** Names become those of variables and files, where upper and lower case may be one. */
const twice = (list: string, items: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<Problem> =>
  items.flatMap(({ name }, index) =>
    items.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < index
      ? [{ field: `${list}[${index}].name`, problem: `"${name}" is there twice` }]
      : []
  )

const parameterProblems = (parameter: Parameter, limits: TemplateParameters.Limits): ReadonlyArray<Problem> => {
  const { default: fallback, max, min, options, pattern, type } = parameter
  const problems: Array<Problem> = []
  if (pattern !== undefined && type !== "string") {
    problems.push({ field: "pattern", problem: "is for strings only" })
  } else if (pattern !== undefined && TemplateParameters.compile(pattern) === undefined) {
    problems.push({ field: "pattern", problem: `${pattern} is not a regular expression` })
  }
  for (const field of ["min", "max"] as const) {
    if (parameter[field] !== undefined && type !== "number") problems.push({ field, problem: "is for numbers only" })
  }
  if (min !== undefined && max !== undefined && min > max) {
    problems.push({ field: "min", problem: "is larger than max" })
  }
  if (problems.length > 0) return problems
  const check = (field: string, value: string | number | boolean) => {
    const text = TemplateParameters.read(parameter, value, limits.bytes)
    if (Result.isFailure(text)) problems.push({ field, problem: text.failure })
  }
  for (const [index, option] of (options ?? []).entries()) check(`options[${index}]`, option)
  if (fallback !== undefined) check("default", fallback)
  return problems
}
