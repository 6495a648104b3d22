/**
 * The settings of a template, read by the schema of its provider. A setting that the provider does not know is refused: it
 * is a word misspelt.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { ParameterName, type Template } from "../../domain/Template.ts"
import { ProviderFailed, SettingsRefused } from "../Provider.ts"

/**
 * The name of a variable that a template may pass on or set. The names of this module are not for templates.
 *
 * @since 0.1.0
 * @category schemas
 */
export const VariableName = Schema.String.check(
  Schema.isPattern(/^(?!CW_)[A-Za-z_][A-Za-z0-9_]{0,127}$/, {
    expected: "the name of an environment variable that does not begin with CW_"
  })
)

/**
 * Looks at the settings, and at the scripts, which travel in variables.
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = decoder(schema)
  return Effect.fnUntraced(function*(template: Template): Effect.fn.Return<S["Type"], SettingsRefused> {
    for (const field of ["startupScript", "shutdownScript"] as const) {
      if (new TextEncoder().encode(template[field] ?? "").length > scriptBytes) {
        return yield* new SettingsRefused({
          field,
          problem: `is longer than ${scriptBytes} bytes: a variable of the environment cannot hold it`
        })
      }
    }
    return yield* decode(template)
  })
}

/**
 * The settings of a template that is about to be built: they were looked at before, but what is stored may be older.
 *
 * @since 0.1.0
 * @category combinators
 */
export const read = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = decoder(schema)
  return (template: Template): Effect.Effect<S["Type"], ProviderFailed> =>
    Effect.mapError(
      decode(template),
      (error) => new ProviderFailed({ detail: `The template is not usable: ${error.message}.` })
    )
}

/**
 * What the start-up and shutdown scripts and the values of the parameters are called in an environment.
 *
 * @since 0.1.0
 * @category accessors
 */
export const variables = (
  template: Template,
  parameters: Readonly<Record<string, string>>
): Readonly<Record<string, string>> => ({
  ...(template.startupScript === null ? {} : { CW_AGENT_STARTUP_SCRIPT: template.startupScript }),
  ...(template.shutdownScript === null ? {} : { CW_AGENT_SHUTDOWN_SCRIPT: template.shutdownScript }),
  ...Object.fromEntries(
    Object.entries(parameters).flatMap(([name, value]) =>
      isParameterName(name) ? [[parameterVariable(name), value]] : []
    )
  )
})

/** The kernel takes 128 KiB for one variable, its name and the end of it included. */
const scriptBytes = 120 * 1024

const parameterVariable = (name: string): string => `CW_PARAM_${name.toUpperCase()}`

const isParameterName = Schema.is(ParameterName)

const decoder = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema, { onExcessProperty: "error" })
  return (template: Template): Effect.Effect<S["Type"], SettingsRefused> =>
    Effect.mapError(decode(template.provider.settings), ({ issue }) => {
      const [first] = format(issue).issues
      return new SettingsRefused({
        field: ["settings", ...(first?.path ?? [])].map(String).join("."),
        problem: problems.get(first?.message ?? "") ?? `is wrong: ${first?.message}`
      })
    })
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const problems = new Map([
  ["Missing key", "is missing"],
  ["Expected no excess property", "is not a setting of this provider"]
])
