/**
 * The templates of a directory: one folder each, named by the id of the template.
 *
 * A folder holds `template.json` (see `TemplateFile`), a `README.md` if there is more to say, and the files that the
 * template names. All of them are read and checked when the layer is built, so that what is wrong is heard by the person
 * who can mend it, and not by a chat. A name that leads out of its folder, by itself or by a link, is refused. Folders
 * whose names begin with a dot are left alone.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { TemplateId } from "../domain/Ids.ts"
import { Template } from "../domain/Template.ts"
import * as Templates from "../store/Templates.ts"
import { Providers } from "./Provider.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import * as TemplateFile from "./TemplateFile.ts"

/**
 * What is wrong with the templates of a directory: every problem with its file and, where it is in one, its field.
 *
 * @since 0.1.0
 * @category errors
 */
export class TemplateError extends Schema.TaggedError<TemplateError>()("TemplateError", {
  problems: Schema.NonEmptyArray(Schema.Struct({
    file: Schema.String,
    field: Schema.NullOr(Schema.String),
    problem: Schema.String
  }))
}) {
  override get message(): string {
    return this.problems.map(({ field, file, problem }) => `${file}: ${field === null ? "" : `${field}: `}${problem}`)
      .join("\n")
  }
}

/**
 * Reads and checks all templates of a directory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = Effect.fn("TemplateDirectory.load")(function*(
  directory: string
): Effect.fn.Return<ReadonlyArray<Template>, TemplateError, FileSystem.FileSystem | Path.Path | Providers> {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* Effect.mapError(
    files.readDirectory(directory),
    ({ reason }) => wrong(directory, unreadable(reason._tag))
  )
  const folders = yield* Effect.filter(
    names.filter((name) => !name.startsWith(".")).sort(),
    (name) => Effect.orElseSucceed(isDirectory(path.join(directory, name)), () => false)
  )
  return yield* Effect.validate(folders, (name) => loadTemplate(path.resolve(directory, name), name)).pipe(
    Effect.mapError(together)
  )
})

/**
 * The templates as they are in the directory now; a change of a file is not seen.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  directory: string
): Layer.Layer<Templates.Templates, TemplateError, FileSystem.FileSystem | Path.Path | Providers> =>
  Layer.unwrap(Effect.map(load(directory), Templates.layerMemory))

const isDirectory = Effect.fnUntraced(function*(path: string) {
  const { stat } = yield* FileSystem.FileSystem
  return (yield* stat(path)).type === "Directory"
})

const loadTemplate = Effect.fnUntraced(function*(folder: string, name: string) {
  const path = yield* Path.Path
  const limits = yield* ProvisionerConfig
  const json = path.join(folder, "template.json")

  const templateId = Schema.decodeOption(TemplateId)(name)
  if (Option.isNone(templateId)) return yield* wrong(folder, "its name is too long for the id of a template")
  const text = yield* Effect.mapError(readInside(folder, "template.json", fileBytes), (why) => wrong(json, why))
  const file = TemplateFile.parse(text, { count: limits.parameterCount, bytes: limits.parameterBytes })
  if (Result.isFailure(file)) {
    return yield* new TemplateError({
      problems: Arr.map(file.failure, (problem) => ({ file: json, ...problem }))
    })
  }
  const { agents, connectionTimeout, description, owners, parameters, provider, shutdown, startup } = file.success

  const texts = yield* Effect.all({
    readme: readmeOf(folder),
    startup: scriptOf(folder, json, "startup", startup),
    shutdown: scriptOf(folder, json, "shutdown", shutdown)
  }, { mode: "result" })
  const { type, ...settings } = provider
  const template = new Template({
    templateId: templateId.value,
    name: file.success.name ?? name,
    description: description ?? "",
    readme: Result.getOrElse(texts.readme, () => null),
    parameters: parameters ?? [],
    agents: (agents ?? [{ name: "main" }]).map((agent, index) => ({ displayOrder: index, ...agent })),
    provider: { type, settings, directory: folder },
    owners: owners ?? null,
    startupScript: Result.getOrElse(texts.startup, () => null),
    shutdownScript: Result.getOrElse(texts.shutdown, () => null),
    connectionTimeout: connectionTimeout ?? Duration.seconds(120)
  })
  const settled = yield* Effect.result(checkProvider(json, template))
  const errors = Arr.getFailures([texts.readme, texts.startup, texts.shutdown, settled])
  return Arr.isArrayNonEmpty(errors) ? yield* together(errors) : template
})

const checkProvider = Effect.fnUntraced(function*(json: string, template: Template) {
  const providers = yield* Providers
  const provider = providers.get(template.provider.type)
  if (provider === undefined) {
    const known = providers.size === 0 ? "there is none here" : `known are: ${Array.from(providers.keys()).join(", ")}`
    return yield* wrong(json, `there is no provider "${template.provider.type}"; ${known}`, "provider.type")
  }
  yield* Effect.mapError(provider.check(template), ({ field, problem }) =>
    // In the file, settings stand beside the type.
    wrong(json, problem, field.replace(/^settings\b/, "provider")))
})

/** What is too long for a model is left out here already. */
const readmeOf = Effect.fnUntraced(function*(folder: string) {
  const path = yield* Path.Path
  const text = yield* readInside(folder, "README.md", fileBytes).pipe(
    Effect.catch((why) =>
      why === "does not exist" ? Effect.succeed(null) : Effect.fail(wrong(path.join(folder, "README.md"), why))
    )
  )
  if (text === null || text.length <= readmeLength) return text
  return `${text.slice(0, readmeLength - 1).replace(/[\uD800-\uDBFF]$/, "")}…`
})

const scriptOf = Effect.fnUntraced(function*(
  folder: string,
  json: string,
  field: string,
  script: TemplateFile.Script | undefined
) {
  if (script === undefined) return null
  const text = typeof script === "object"
    ? script.text
    : yield* Effect.mapError(readInside(folder, script, scriptBytes), (why) => wrong(json, `${script} ${why}`, field))
  if (new TextEncoder().encode(text).length > scriptBytes) return yield* wrong(json, "is too large", field)
  return text.includes("\0") ? yield* wrong(json, "is not a text", field) : text
})

/** Reads a regular file that is in a folder, also after all links were followed; nothing else is ever opened. */
const readInside = Effect.fnUntraced(
  function*(folder: string, name: string, bytes: number): Effect.fn.Return<
    string,
    Unreadable,
    FileSystem.FileSystem | Path.Path
  > {
    const files = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const resolved = path.resolveWithin(folder, name)
    if (Option.isNone(resolved)) return yield* Effect.fail("leads out of the template's folder" as const)
    return yield* Effect.gen(function*() {
      const root = yield* files.realPath(folder)
      const real = yield* files.realPath(resolved.value)
      if (!real.startsWith(`${root}${path.sep}`)) {
        return yield* Effect.fail("leads out of the template's folder" as const)
      }
      const { size, type } = yield* files.stat(real)
      if (type !== "File") return yield* Effect.fail("is not a regular file" as const)
      if (size > bytes) return yield* Effect.fail("is too large" as const)
      return yield* files.readFileString(real)
    }).pipe(Effect.catchTag("PlatformError", ({ reason }) => Effect.fail(unreadable(reason._tag))))
  }
)

type Unreadable =
  | "does not exist"
  | "leads out of the template's folder"
  | "is not a regular file"
  | "is too large"
  | "cannot be read"

const unreadable = (tag: string): Unreadable => tag === "NotFound" ? "does not exist" : "cannot be read"

const wrong = (file: string, problem: string, field: string | null = null): TemplateError =>
  new TemplateError({ problems: [{ file, field, problem }] })

const together = (errors: Arr.NonEmptyReadonlyArray<TemplateError>): TemplateError =>
  new TemplateError({ problems: Arr.flatMap(errors, ({ problems }) => problems) })

const fileBytes = 1024 * 1024
/** A script travels in the environment of its agent, where a variable has at most 128 KiB. */
const scriptBytes = 64 * 1024
const readmeLength = 8000
