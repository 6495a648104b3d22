/**
 * How templates read to a model: a page of those that fit some words, and one with its parameters.
 *
 * @since 0.1.0
 */
import type { Parameter, Template } from "../domain/Template.ts"
import type { ListTemplatesResult, ReadTemplateResult } from "./LifecycleTools.ts"
import { shortened } from "./ModelText.ts"

/**
 * The templates in which all words of the query stand, a page of them. A page behind the last is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const list = (
  templates: ReadonlyArray<Template>,
  options: { readonly query?: string | undefined; readonly page?: number | undefined; readonly size: number }
): ListTemplatesResult => {
  const words = (options.query ?? "").toLowerCase().split(/\s+/).filter((word) => word !== "")
  const found = templates.filter(({ description, name, templateId }) => {
    const text = `${templateId}\n${name}\n${description}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const page = Math.max(1, options.page ?? 1)
  const shown = found.slice((page - 1) * options.size, page * options.size)
  return {
    templates: shown.map(({ description, name, templateId }) => ({
      id: templateId,
      name,
      ...described(description, 500)
    })),
    count: shown.length,
    page,
    total_pages: Math.max(1, Math.ceil(found.length / options.size)),
    total_count: found.length
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const read = (template: Template): ReadTemplateResult => ({
  template: {
    id: template.templateId,
    name: template.name,
    ...described(template.description, 2_000),
    ...(template.readme === null ? {} : { readme: shortened(template.readme, 8_000) })
  },
  parameters: template.parameters.map(parameter)
})

const parameter = (parameter: Parameter): ReadTemplateResult["parameters"][number] => ({
  name: parameter.name,
  type: parameter.type,
  required: parameter.default === undefined,
  ...described(parameter.description ?? "", 300),
  ...(parameter.default === undefined ? {} : { default: parameter.default }),
  ...(parameter.options === undefined ? {} : { options: parameter.options }),
  ...(parameter.pattern === undefined ? {} : { validation_regex: parameter.pattern }),
  ...(parameter.min === undefined ? {} : { validation_min: parameter.min }),
  ...(parameter.max === undefined ? {} : { validation_max: parameter.max })
})

const described = (text: string, limit: number): { readonly description?: string } =>
  text === "" ? {} : { description: shortened(text, limit) }
