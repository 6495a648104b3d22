/**
 * Asking for workspaces and for builds of them: what tools, the API and the command line stand on.
 *
 * Everything is checked before anything is written: the template, its parameters, the application's policy. Nothing here
 * waits for a build; `Readiness` does.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Binding } from "../domain/Binding.ts"
import { isFinished } from "../domain/Build.ts"
import type { Build, LogLine, Transition } from "../domain/Build.ts"
import { NoWorkspace, TemplateNotFound, WorkspaceChanged, WorkspaceRefused } from "../domain/Errors.ts"
import type {
  BindingRefused,
  BuildRequestError,
  StoreError,
  TooManyWorkspaces,
  WorkspaceNameTaken
} from "../domain/Errors.ts"
import { BuildId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import type { OwnerId } from "../domain/Ids.ts"
import { isAllowed } from "../domain/Template.ts"
import type { Template } from "../domain/Template.ts"
import * as TemplateParameters from "../domain/TemplateParameters.ts"
import type { ParameterValues } from "../domain/TemplateParameters.ts"
import type { Workspace, WorkspaceName } from "../domain/Workspace.ts"
import * as WorkspaceNames from "../domain/WorkspaceNames.ts"
import { Builds } from "../store/Builds.ts"
import type { CreateResult, WorkspaceOverview } from "../store/Builds.ts"
import * as Signals from "../store/Signals.ts"
import { Templates } from "../store/Templates.ts"
import { BuildPolicy } from "./BuildPolicy.ts"
import { Providers } from "./Provider.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"

/**
 * What became of the wish for a build: it waits for a runner; another one is under way, to be waited for first; or the
 * workspace is already as wished, and `build` is the one that made it so.
 *
 * @since 0.1.0
 * @category models
 */
export type Requested = Data.TaggedEnum<{
  readonly Queued: { readonly build: Build; readonly binding: Binding | null }
  readonly Unfinished: { readonly build: Build }
  readonly Unneeded: { readonly build: Build }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const Requested = Data.taggedEnum<Requested>()

/**
 * What keeps a build of a workspace that is there from being asked for.
 *
 * @since 0.1.0
 * @category errors
 */
export type RequestError =
  | Exclude<BuildRequestError, WorkspaceNameTaken | TooManyWorkspaces | BindingRefused>
  | NoWorkspace

/**
 * @since 0.1.0
 * @category services
 */
export class Workspaces extends Context.Service<Workspaces, {
  /** The templates that an owner may use, by name. */
  readonly templates: (owner: OwnerId) => Effect.Effect<ReadonlyArray<Template>, StoreError>
  /** One of them. Fails with `TemplateNotFound` also when it is there for others only. */
  readonly template: (owner: OwnerId, templateId: string) => Effect.Effect<Template, TemplateNotFound | StoreError>
  /**
   * Makes a workspace with its first build, and binds the chat to it if its row is still the one given. A name that is
   * missing or cannot be one is made up: from the one given, or the template's; so is another one when it is taken. Only
   * `exactName` is taken as it is, or the whole fails with `WorkspaceNameTaken`.
   */
  readonly create: (options: {
    readonly owner: OwnerId
    readonly chat: Binding | null
    readonly templateId: string
    readonly name?: string | undefined
    readonly exactName?: WorkspaceName | undefined
    readonly parameters?: ParameterValues | undefined
  }) => Effect.Effect<CreateResult, Exclude<BuildRequestError, WorkspaceRefused>>
  /**
   * Asks for a build. Parameters are those of the build before, for a start with the ones given instead. Fails with
   * `NoWorkspace` when the workspace was deleted, and with `WorkspaceChanged` when the chat has left it.
   */
  readonly request: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
    readonly transition: Transition
    readonly chat: Binding | null
    readonly parameters?: ParameterValues | undefined
  }) => Effect.Effect<Requested, RequestError | WorkspaceChanged>
  /** Ends the unfinished build of a workspace; false when there is none. */
  readonly cancel: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
  }) => Effect.Effect<boolean, WorkspaceRefused | StoreError>
  /** The workspaces of an owner that are not deleted. */
  readonly list: (owner: OwnerId) => Effect.Effect<ReadonlyArray<WorkspaceOverview>, StoreError>
  /** One of them by its id or its name, whatever the case of the name. */
  readonly find: (owner: OwnerId, idOrName: string) => Effect.Effect<WorkspaceOverview, WorkspaceRefused | StoreError>
  /** The log of a build behind the line `after`, as it is written, to the end of the build. */
  readonly log: (
    buildId: BuildId,
    options?: { readonly after?: number | undefined }
  ) => Stream.Stream<LogLine, StoreError>
}>()("chat-workspace/provisioner/Workspaces") {}

const make = Effect.gen(function*() {
  const builds = yield* Builds
  const templates = yield* Templates
  const providers = yield* Providers
  const signals = yield* Signals.Signals
  const policy = yield* BuildPolicy
  const random = yield* SecureRandom.SecureRandom
  const config = yield* ProvisionerConfig
  const limits = { count: config.parameterCount, bytes: config.parameterBytes }

  const template = Effect.fnUntraced(function*(owner: OwnerId, templateId: string) {
    const id = Schema.decodeOption(TemplateId)(templateId)
    const found = Option.isNone(id) ? Option.none() : yield* templates.get(id.value)
    return Option.isSome(found) && isAllowed(found.value, owner)
      ? found.value
      : yield* new TemplateNotFound({ templateId: templateId.slice(0, idLength) })
  })

  const newBuild = Effect.fnUntraced(function*(template: Template, parameters: Readonly<Record<string, string>>) {
    const repeatable = providers.get(template.provider.type)?.isRepeatable(template) ?? false
    return { buildId: BuildId.make(yield* random.uuidV7()), parameters, repeatable }
  })

  /** What a build of this workspace is run from. What may not be used any more may still be stopped and deleted. */
  const templateOf = Effect.fnUntraced(
    function*({ owner, templateId }: Workspace, transition: Transition): Effect.fn.Return<
      Template,
      TemplateNotFound | StoreError
    > {
      if (templateId === null) return yield* new TemplateNotFound({ templateId })
      if (transition === "start") return yield* template(owner, templateId)
      const found = yield* templates.get(templateId)
      return Option.isSome(found) ? found.value : yield* new TemplateNotFound({ templateId })
    }
  )

  /** One look and one try; none when another build or the chat was faster. */
  const decide = Effect.fnUntraced(function*(
    { chat, owner, parameters, transition, workspaceId }: BuildWish
  ): Effect.fn.Return<Option.Option<Requested>, RequestError> {
    const workspace = Option.getOrUndefined(yield* builds.workspace(workspaceId))
    if (workspace?.owner !== owner) return yield* new WorkspaceRefused({ workspaceId, owner })
    const latest = Option.getOrUndefined(yield* builds.latest(workspaceId))
    if (latest !== undefined && !isFinished(latest.build)) {
      return Option.some(Requested.Unfinished({ build: latest.build }))
    }
    if (latest?.build.status === "succeeded") {
      if (latest.build.transition === "delete") return yield* new NoWorkspace({ workspaceId })
      if (latest.build.transition === transition) return Option.some(Requested.Unneeded({ build: latest.build }))
    }
    const found = yield* templateOf(workspace, transition)
    const base = latest?.parameters ?? {}
    const resolved = transition === "start"
      ? yield* Effect.fromResult(TemplateParameters.resolve(found, parameters ?? {}, { base, limits }))
      : base
    yield* policy.check({
      owner,
      chatId: chat?.chatId ?? null,
      workspaceId,
      templateId: found.templateId,
      transition,
      parameters: resolved
    })
    const result = yield* builds.request({
      owner,
      workspaceId,
      transition,
      after: latest?.build.number ?? 0,
      build: yield* newBuild(found, resolved),
      chat
    })
    if (result._tag === "Superseded") return Option.none()
    yield* signals.notify(Signals.queue)
    return Option.some(Requested.Queued({ build: result.build, binding: result.binding }))
  })

  return Workspaces.of({
    templates: Effect.fn("Workspaces.templates")(function*(owner) {
      return (yield* templates.list).filter((template) => isAllowed(template, owner))
    }),
    template: Effect.fn("Workspaces.template")(template),
    create: Effect.fn("Workspaces.create")(function*({ chat, exactName, name, owner, parameters, templateId }) {
      const found = yield* template(owner, templateId)
      const resolved = yield* Effect.fromResult(TemplateParameters.resolve(found, parameters ?? {}, { limits }))
      yield* policy.check({
        owner,
        chatId: chat?.chatId ?? null,
        workspaceId: null,
        templateId: found.templateId,
        transition: "start",
        parameters: resolved
      })
      const hex = Hex.encode(yield* random.randomBytes(8))
      const created = yield* builds.createWorkspace({
        owner,
        workspaceId: WorkspaceId.make(yield* random.uuidV7()),
        templateId: found.templateId,
        names: exactName !== undefined ? [exactName] : WorkspaceNames.candidates({
          wanted: name,
          templateName: found.name,
          suffixes: [hex.slice(0, 4), hex.slice(4, 8), hex.slice(8, 12), hex.slice(12)]
        }),
        build: yield* newBuild(found, resolved),
        chat,
        limit: { count: config.newWorkspaces, within: config.within }
      })
      if (created._tag === "Created") yield* signals.notify(Signals.queue)
      return created
    }),
    request: Effect.fn("Workspaces.request")(function*(wish) {
      for (let tries = 0; tries < mostTries; tries++) {
        const requested = yield* decide(wish)
        if (Option.isSome(requested)) return requested.value
      }
      if (wish.chat !== null) return yield* new WorkspaceChanged({ chatId: wish.chat.chatId })
      // Whatever came first each time is what this caller has to wait for, and then to decide again.
      const latest = yield* builds.latest(wish.workspaceId)
      return Option.isSome(latest)
        ? Requested.Unfinished({ build: latest.value.build })
        : yield* new NoWorkspace({ workspaceId: wish.workspaceId })
    }),
    cancel: Effect.fn("Workspaces.cancel")(function*(options) {
      const canceled = yield* builds.cancel(options)
      if (Option.isNone(canceled)) return false
      const { buildId } = canceled.value
      yield* signals.notify(Signals.cancel(buildId))
      yield* signals.notify(Signals.build(buildId))
      return true
    }),
    list: Effect.fn("Workspaces.list")(builds.workspaces),
    find: Effect.fn("Workspaces.find")(function*(owner, idOrName) {
      const all = yield* builds.workspaces(owner)
      const name = idOrName.toLowerCase()
      // An id first: a name may be the id of another workspace.
      const found = all.find(({ workspace }) => workspace.workspaceId === idOrName) ??
        all.find(({ workspace }) => workspace.name?.toLowerCase() === name)
      if (found !== undefined) return found
      const workspaceId = WorkspaceId.make(idOrName.slice(0, idLength) || "?")
      return yield* new WorkspaceRefused({ workspaceId, owner })
    }),
    log: (buildId, options) =>
      Stream.unwrap(Effect.map(signals.subscribe(Signals.build(buildId)), (news) =>
        Stream.paginate(
          options?.after ?? 0,
          Effect.fnUntraced(function*(after: number) {
            // Before the lines: what a build that has ended had to say is all there.
            const record = yield* builds.get(buildId)
            const lines = yield* builds.log({ buildId, after })
            const last = lines.at(-1)
            if (last !== undefined) return [lines, Option.some(last.number)] as const
            if (Option.isNone(record) || isFinished(record.value.build)) return [lines, Option.none()] as const
            yield* news.changed(config.poll)
            return [lines, Option.some(after)] as const
          })
        )))
  })
})

/**
 * Over the queue, the templates and the providers of this application.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Workspaces, never, Builds | Templates | Providers | Signals.Signals> = Layer.effect(
  Workspaces,
  make
).pipe(Layer.provide(SecureRandom.layerWebCrypto))

type BuildWish = Parameters<Workspaces["Service"]["request"]>[0]

/** Each try that comes to nothing is a build of somebody else, or a chat that has left. */
const mostTries = 5

/** What is shown of an id that nobody has. */
const idLength = 128
