/**
 * Asking for workspaces and for builds of them: what tools, the API and the command line stand on.
 *
 * Everything is checked before anything is written: the template, its parameters, the application's policy. Nothing here
 * waits for a build; `Readiness` does.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Binding } from "../domain/Binding.ts"
import type { Build, LogLine, Transition } from "../domain/Build.ts"
import type {
  BuildRequestError,
  NoWorkspace,
  StoreError,
  WorkspaceChanged,
  WorkspaceRefused
} from "../domain/Errors.ts"
import type { BuildId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import type { Template } from "../domain/Template.ts"
import type { CreateResult, WorkspaceOverview } from "../store/Builds.ts"

/**
 * The values that somebody gave for the parameters of a template.
 *
 * @since 0.1.0
 * @category models
 */
export type ParameterValues = Readonly<Record<string, string | number | boolean>>

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
 * @since 0.1.0
 * @category services
 */
export class Workspaces extends Context.Service<Workspaces, {
  /** The templates that an owner may use, by name. */
  readonly templates: (owner: OwnerId) => Effect.Effect<ReadonlyArray<Template>, StoreError>
  /** One of them. Fails with `TemplateNotFound` also when it is there for others only. */
  readonly template: (owner: OwnerId, templateId: string) => Effect.Effect<Template, BuildRequestError>
  /**
   * Makes a workspace with its first build, and binds the chat to it if its row is still the one given. A name that is
   * missing or cannot be one is made up: from the one given, or the template's; so is another one when it is taken.
   */
  readonly create: (options: {
    readonly owner: OwnerId
    readonly chat: Binding | null
    readonly templateId: string
    readonly name?: string | undefined
    readonly parameters?: ParameterValues | undefined
  }) => Effect.Effect<CreateResult, BuildRequestError>
  /**
   * Asks for a build. Parameters are those of the build before, with the ones given instead. Fails with `NoWorkspace`
   * when the workspace was deleted, and with `WorkspaceChanged` when the chat has left it.
   */
  readonly request: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
    readonly transition: Transition
    readonly chat: Binding | null
    readonly parameters?: ParameterValues | undefined
  }) => Effect.Effect<Requested, BuildRequestError | NoWorkspace | WorkspaceChanged>
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
