/**
 * Whose things are: the one place where the API asks, before it does anything with what a request names.
 *
 * What is not there and what is somebody else's is the same `NotFound`. Each function of this module gives another one,
 * from the id to the row, with the ports that it needs and no more, so that a group can be mounted without the others.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { AgentSnapshot } from "../domain/Agent.ts"
import type { BuildRecord } from "../domain/Build.ts"
import type { Chat } from "../domain/Chat.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, BuildId, ChatId, OwnerId, TurnId, WorkspaceId } from "../domain/Ids.ts"
import type { Turn } from "../domain/Turn.ts"
import type { Workspace } from "../domain/Workspace.ts"
import { Builds } from "../store/Builds.ts"
import { Chats } from "../store/Chats.ts"
import { TurnStore } from "../store/TurnStore.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import { NotFound } from "./HttpErrors.ts"
import type { Kind } from "./HttpErrors.ts"

/**
 * From an id to what it names, if that is the principal's.
 *
 * @since 0.1.0
 * @category models
 */
export type Owned<Id, A> = (id: Id) => Effect.Effect<A, NotFound | StoreError, CurrentPrincipal>

/**
 * What the API has to know of a chat that is somebody's: whether it is the child of another.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnedChat {
  readonly chatId: ChatId
  readonly parentId: ChatId | null
}

/**
 * Whose chats are. An application with chats of its own says it in a few lines; `layer` is for the chats of the module.
 *
 * @since 0.1.0
 * @category services
 */
export class OwnedChats extends Context.Service<OwnedChats, {
  /** The chat, if it is there and this owner's. */
  readonly find: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<OwnedChat>, StoreError>
}>()("chat-workspace/http/OwnedChats") {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<OwnedChats, never, Chats> = Layer.effect(
  OwnedChats,
  Effect.map(Chats, (chats) => OwnedChats.of({ find: chats.get }))
)

/**
 * @since 0.1.0
 * @category constructors
 */
export const chats: Effect.Effect<Owned<ChatId, OwnedChat>, never, OwnedChats> = Effect.map(
  OwnedChats,
  ({ find }) => (chatId) => owned("chat", chatId, (owner) => find({ chatId, owner }))
)

/**
 * The chats of the module, as their store holds them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const moduleChats: Effect.Effect<Owned<ChatId, Chat>, never, Chats> = Effect.map(
  Chats,
  (store) => (chatId) => owned("chat", chatId, (owner) => store.get({ chatId, owner }))
)

/**
 * @since 0.1.0
 * @category constructors
 */
export const turns: Effect.Effect<Owned<TurnId, Turn>, never, TurnStore> = Effect.map(
  TurnStore,
  (store) => (turnId) => owned("turn", turnId, (owner) => store.get({ turnId, owner }))
)

/**
 * @since 0.1.0
 * @category constructors
 */
export const workspaces: Effect.Effect<Owned<WorkspaceId, Workspace>, never, Builds> = Effect.map(
  Builds,
  (store) => (workspaceId) =>
    owned("workspace", workspaceId, (owner) => Effect.map(store.workspace(workspaceId), Option.filter(isOf(owner))))
)

/**
 * A build, with its workspace.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnedBuild {
  readonly record: BuildRecord
  readonly workspace: Workspace
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const builds: Effect.Effect<Owned<BuildId, OwnedBuild>, never, Builds> = Effect.map(
  Builds,
  (store) => (buildId) =>
    owned("build", buildId, (owner) =>
      within(
        store.get(buildId),
        ({ build }) => Effect.map(store.workspace(build.workspaceId), Option.filter(isOf(owner))),
        (record, workspace) => ({ record, workspace })
      ))
)

/**
 * An agent as the store sees it now, with its workspace.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnedAgent {
  readonly snapshot: AgentSnapshot
  readonly workspace: Workspace
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const agents: Effect.Effect<Owned<AgentId, OwnedAgent>, never, Builds | WorkspaceAgents> = Effect.gen(
  function*() {
    const store = yield* Builds
    const workspaceAgents = yield* WorkspaceAgents
    return (agentId) =>
      owned("agent", agentId, (owner) =>
        within(
          workspaceAgents.agent(agentId),
          ({ agent }) => Effect.map(store.workspace(agent.workspaceId), Option.filter(isOf(owner))),
          (snapshot, workspace) => ({ snapshot, workspace })
        ))
  }
)

const owned = <A>(
  kind: Kind,
  id: string,
  find: (owner: OwnerId) => Effect.Effect<Option.Option<A>, StoreError>
): Effect.Effect<A, NotFound | StoreError, CurrentPrincipal> =>
  CurrentPrincipal.pipe(
    Effect.flatMap(({ owner }) => find(owner)),
    Effect.flatMap(Option.match({
      onNone: () => Effect.fail(new NotFound({ kind, id })),
      onSome: (found) => Effect.succeed(found)
    }))
  )

const isOf = (owner: OwnerId) => (workspace: Workspace): boolean => workspace.owner === owner

/** What is found, with the workspace that it is of, if that is found too. */
const within = <A, B, E>(
  found: Effect.Effect<Option.Option<A>, E>,
  workspaceOf: (found: A) => Effect.Effect<Option.Option<Workspace>, E>,
  both: (found: A, workspace: Workspace) => B
): Effect.Effect<Option.Option<B>, E> =>
  Effect.flatMap(
    found,
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (value) => Effect.map(workspaceOf(value), Option.map((workspace) => both(value, workspace)))
    })
  )
