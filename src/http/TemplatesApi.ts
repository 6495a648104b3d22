/**
 * The templates over HTTP: what there is to make workspaces from. The handlers are in `TemplatesHandlers`.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { TemplateId } from "../domain/Ids.ts"
import { Parameter } from "../domain/Template.ts"
import { Authorization } from "./Authentication.ts"
import * as Page from "./Page.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

/**
 * What a list says of a template.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplateSummary = Schema.Struct({
  templateId: TemplateId,
  name: Schema.NonEmptyString,
  description: Schema.String
})

/**
 * A template as those who use it see it: how it is run is the operator's matter.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplateDetails = Schema.Struct({
  ...TemplateSummary.fields,
  readme: Schema.NullOr(Schema.String),
  parameters: Schema.Array(Parameter)
}).annotate({ identifier: "Template" })

/**
 * A page of the templates, by their ids.
 *
 * @since 0.1.0
 * @category models
 */
export const TemplatePage = Schema.Struct({
  templates: Schema.Array(TemplateSummary),
  next: Schema.NullOr(TemplateId)
})

const list = HttpApiEndpoint.get("list", "/templates", {
  query: Page.query(TemplateId),
  success: TemplatePage,
  error: Problems.storeError
}).annotateMerge(OpenApi.annotations({
  summary: "List templates",
  description: "The templates that you may use, by their ids. `next` is the `after` of the page that follows."
}))

const get = HttpApiEndpoint.get("get", "/templates/:templateId", {
  params: { templateId: TemplateId },
  success: TemplateDetails,
  error: [Problems.templateNotFound, Problems.storeError]
}).annotateMerge(OpenApi.annotations({
  summary: "Read a template",
  description: "What a template is for, and the parameters that a workspace made from it takes."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class TemplatesApi
  extends HttpApiGroup.make("templates").add(list, get).middleware(Authorization).middleware(Requests).annotateMerge(
    OpenApi.annotations({ title: "Templates", description: "What workspaces are made from." })
  )
{}
