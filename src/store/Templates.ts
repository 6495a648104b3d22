/**
 * The templates there are.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { StoreError } from "../domain/Errors.ts"
import type { TemplateId } from "../domain/Ids.ts"
import type { Template } from "../domain/Template.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class Templates extends Context.Service<Templates, {
  /** All of them, by name. Who may use which is not decided here. */
  readonly list: Effect.Effect<ReadonlyArray<Template>, StoreError>
  readonly get: (templateId: TemplateId) => Effect.Effect<Option.Option<Template>, StoreError>
}>()("chat-workspace/store/Templates") {}

/**
 * Exactly these templates.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (templates: Iterable<Template>): Layer.Layer<Templates> =>
  Layer.sync(Templates, () => {
    const byId = new Map(Array.from(templates, (template) => [template.templateId, template]))
    const sorted = Array.from(byId.values()).sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
    return Templates.of({
      list: Effect.succeed(sorted),
      get: (templateId) => Effect.sync(() => Option.fromUndefinedOr(byId.get(templateId)))
    })
  })
