/**
 * What a workspace is made from: its parameters, its agents, and the provider that starts and stops it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { OwnerId, TemplateId } from "./Ids.ts"

/**
 * The name of a parameter, as it can stand in the name of an environment variable.
 *
 * @since 0.1.0
 * @category models
 */
export const ParameterName = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9_]{0,63}$/))

/**
 * A parameter of a template. Without a default it is required. `options` are the only values there are; `pattern` must
 * match the whole of a string; `min` and `max` bound a number.
 *
 * @since 0.1.0
 * @category models
 */
export const Parameter = Schema.Struct({
  name: ParameterName,
  type: Schema.Literals(["string", "number", "boolean"]),
  description: Schema.optionalKey(Schema.String),
  default: Schema.optionalKey(Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])),
  options: Schema.optionalKey(Schema.NonEmptyArray(Schema.Union([Schema.String, Schema.Finite]))),
  pattern: Schema.optionalKey(Schema.String),
  min: Schema.optionalKey(Schema.Finite),
  max: Schema.optionalKey(Schema.Finite)
})

/**
 * @since 0.1.0
 * @category models
 */
export type Parameter = typeof Parameter.Type

/**
 * An agent that each start of the template makes.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplateAgent = Schema.Struct({
  name: Schema.NonEmptyString.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/)),
  displayOrder: Schema.Int
})

/**
 * @since 0.1.0
 * @category models
 */
export type TemplateAgent = typeof TemplateAgent.Type

/**
 * Which provider runs the builds, and its settings, which that provider alone understands. `directory` is where the
 * template's files are, if it was made from files.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplateProvider = Schema.Struct({
  type: Schema.NonEmptyString,
  settings: Schema.Record(Schema.String, Schema.Json),
  directory: Schema.NullOr(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type TemplateProvider = typeof TemplateProvider.Type

/**
 * A template. `owners` may use it, or everybody where that is null. The start-up script is run by each agent when it
 * starts, the shutdown script when it is asked to end; both are shell texts. An agent has `connectionTimeout` to come.
 *
 * @since 0.1.0
 * @category models
 */
export class Template extends Schema.Class<Template>("chat-workspace/domain/Template")({
  templateId: TemplateId,
  name: Schema.NonEmptyString,
  description: Schema.String,
  readme: Schema.NullOr(Schema.String),
  parameters: Schema.Array(Parameter),
  agents: Schema.Array(TemplateAgent),
  provider: TemplateProvider,
  owners: Schema.NullOr(Schema.Array(OwnerId)),
  startupScript: Schema.NullOr(Schema.String),
  shutdownScript: Schema.NullOr(Schema.String),
  connectionTimeout: Schema.Duration
}) {}

/**
 * Whether an owner may use a template.
 *
 * @since 0.1.0
 * @category getters
 */
export const isAllowed = (template: Template, owner: OwnerId): boolean =>
  template.owners === null || template.owners.includes(owner)
