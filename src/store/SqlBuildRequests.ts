/**
 * Asking for builds, in PostgreSQL: the statements of each wish are one short transaction.
 *
 * Rows are locked in one order by everybody: the chat, then the workspace, then builds, then agents by their ids. What was
 * seen before is compared under these locks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Binding, unbound } from "../domain/Binding.ts"
import { Build, isFinished } from "../domain/Build.ts"
import type { Transition } from "../domain/Build.ts"
import { BindingRefused, TooManyWorkspaces, WorkspaceNameTaken, WorkspaceRefused } from "../domain/Errors.ts"
import type { BuildId, ChatId, OwnerId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import { Workspace } from "../domain/Workspace.ts"
import { CreateResult, RequestResult } from "./Builds.ts"
import type { Builds, NewBuild } from "./Builds.ts"
import * as SqlAgents from "./SqlAgents.ts"
import * as SqlBuildRows from "./SqlBuildRows.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlChatRows from "./SqlChatRows.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  calls: SqlCalls.SqlCalls,
  rows: SqlChatRows.SqlChatRows
): Pick<Builds["Service"], "createWorkspace" | "request" | "cancel"> => {
  const { sql, table, transact } = calls
  const { chats, key } = rows
  const [workspaces, builds] = [table("workspaces"), table("builds")]
  const columns = SqlBuildRows.columns(calls)

  /** The chat's row, locked, and whether it is of this owner. */
  const lockChat = Effect.fnUntraced(function*(chatId: ChatId, owner: OwnerId) {
    const found = yield* sql`
      select ${rows.columns}, coalesce(c.${rows.owner} = ${owner}, false) as "owned"
      from ${chats} as c where c.${key} = ${chatId} for no key update`
    return Option.map(Option.fromUndefinedOr((yield* decodeChats(found)).at(0)), ({ owned, ...binding }) => ({
      owned,
      binding: new Binding(binding)
    }))
  })

  const bindChat = Effect.fnUntraced(function*(chatId: ChatId, workspaceId: WorkspaceId, buildId: BuildId) {
    const bound = yield* sql`
      update ${chats} as c set
        workspace_id = ${workspaceId}, build_id = ${buildId}, agent_id = null,
        generation = coalesce(c.generation, 0) + 1
      where c.${key} = ${chatId}
      returning ${rows.columns}`
    return (yield* SqlChatRows.decode(bound)).at(0) ?? null
  })

  /** The template of a workspace that this owner may build, and its row locked. */
  const lockWorkspace = Effect.fnUntraced(function*(workspaceId: WorkspaceId, owner: OwnerId) {
    const found = yield* sql`
      select template_id as "templateId" from ${workspaces}
      where workspace_id = ${workspaceId} and owner = ${owner} and deleted_at is null
      for no key update`
    return (yield* decodeTemplates(found)).at(0) ?? (yield* new WorkspaceRefused({ workspaceId, owner }))
  })

  const insertBuild = Effect.fnUntraced(function*(options: {
    readonly workspaceId: WorkspaceId
    readonly templateId: TemplateId | null
    readonly number: number
    readonly transition: Transition
    readonly build: NewBuild
  }) {
    const { build, number, templateId, transition, workspaceId } = options
    const inserted = yield* sql`
      insert into ${builds} as b (
        build_id, workspace_id, number, transition, status, template_id, parameters, repeatable
      ) values (
        ${build.buildId}, ${workspaceId}, ${number}, ${transition}, 'pending', ${templateId},
        ${JSON.stringify(build.parameters)}::text::jsonb, ${build.repeatable}
      )
      returning ${columns.build}`
    const [row] = yield* SqlBuildRows.decodeBuild(inserted)
    return row
  })

  return {
    createWorkspace: Effect.fn("Builds.createWorkspace")(function*(options) {
      const { build, chat, limit, names, owner, templateId, workspaceId } = options
      return yield* transact(
        "Builds.createWorkspace",
        Effect.gen(function*() {
          if (chat !== null) {
            const { chatId, generation } = chat
            if (rows.own && generation === 0) {
              yield* sql`
                insert into ${chats} (chat_id, owner) values (${chatId}, ${owner}) on conflict (chat_id) do nothing`
            }
            const row = yield* lockChat(chatId, owner)
            if (Option.isNone(row) ? !rows.own : !row.value.owned) {
              return yield* new BindingRefused({ chatId, workspaceId: null })
            }
            const binding = Option.match(row, { onNone: () => unbound(chatId), onSome: ({ binding }) => binding })
            if (Option.isNone(row) || binding.generation !== generation) return CreateResult.Superseded({ binding })
            const made = yield* sql`
              select 1 from ${workspaces}
              where chat_id = ${chatId}
                and created_at > clock_timestamp() - ${SqlCalls.interval(sql, limit.within)}
              limit ${limit.count}`
            if (made.length >= limit.count) {
              return yield* new TooManyWorkspaces({ limit: limit.count, within: limit.within })
            }
          }
          const chatId = chat?.chatId ?? null
          for (const name of names) {
            const [workspace] = yield* SqlBuildRows.decodeWorkspaces(
              yield* sql`
                insert into ${workspaces} as w (workspace_id, owner, name, template_id, chat_id)
                values (${workspaceId}, ${owner}, ${name}, ${templateId}, ${chatId})
                on conflict (owner, lower(name)) where name is not null and deleted_at is null do nothing
                returning ${columns.workspace}`
            )
            if (workspace === undefined) continue
            const first = yield* insertBuild({ workspaceId, templateId, number: 1, transition: "start", build })
            const binding = chatId === null ? null : yield* bindChat(chatId, workspaceId, build.buildId)
            return CreateResult.Created({ workspace, build: first, binding })
          }
          return yield* new WorkspaceNameTaken({ name: names[0] })
        })
      )
    }),
    request: Effect.fn("Builds.request")(function*({ after, build, chat, owner, transition, workspaceId }) {
      return yield* transact(
        "Builds.request",
        Effect.gen(function*() {
          if (chat !== null) {
            const row = yield* lockChat(chat.chatId, owner)
            const stays = Option.exists(row, ({ binding, owned }) => owned && binding.workspaceId === workspaceId)
            if (!stays) return RequestResult.Superseded()
          }
          const { templateId } = yield* lockWorkspace(workspaceId, owner)
          const latest = (yield* decodeLatest(
            yield* sql`
              select number, status from ${builds} where workspace_id = ${workspaceId} order by number desc limit 1`
          )).at(0)
          if ((latest?.number ?? 0) !== after || latest !== undefined && !isFinished(latest)) {
            return RequestResult.Superseded()
          }
          const next = yield* insertBuild({ workspaceId, templateId, number: after + 1, transition, build })
          if (transition === "start") yield* SqlAgents.revoke(calls, workspaceId)
          const binding = chat === null ? null : yield* bindChat(chat.chatId, workspaceId, build.buildId)
          return RequestResult.Queued({ build: next, binding })
        })
      )
    }),
    cancel: Effect.fn("Builds.cancel")(function*({ owner, workspaceId }) {
      return yield* transact(
        "Builds.cancel",
        Effect.gen(function*() {
          yield* lockWorkspace(workspaceId, owner)
          const unfinished = sql`b.workspace_id = ${workspaceId} and b.status in ('pending', 'running')`
          const held = (yield* decodeHeld(
            yield* sql`
              select b.build_id as "buildId", b.lease_until is not null and b.lease_until > clock_timestamp() as "held"
              from ${builds} as b where ${unfinished} for no key update`
          )).at(0)
          if (held === undefined) return Option.none()
          if (!held.held) return Option.some(yield* SqlBuildRows.end(calls, held.buildId, { _tag: "Canceled" }))
          const told = yield* sql`
            update ${builds} as b set cancel_requested = true where ${unfinished} returning ${columns.build}`
          const [build] = yield* SqlBuildRows.decodeBuild(told)
          return Option.some(build)
        })
      )
    })
  }
}

const decodeChats = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ ...Binding.fields, owned: Schema.Boolean })))

const decodeTemplates = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ templateId: Workspace.fields.templateId })))

const decodeLatest = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ number: Build.fields.number, status: Build.fields.status }))
)

const decodeHeld = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ buildId: Build.fields.buildId, held: Schema.Boolean })))
