/**
 * The queue of builds in PostgreSQL.
 *
 * Nothing is held between two calls but rows: no session, no lock, no notification. It works behind a proxy that pools
 * transactions, and a caller's transaction is never joined.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as SqlClient from "effect/sql/SqlClient"
import { Builds } from "./Builds.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlBuildRequests from "./SqlBuildRequests.ts"
import * as SqlBuildRows from "./SqlBuildRows.ts"
import * as SqlBuildRuns from "./SqlBuildRuns.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlChatRows from "./SqlChatRows.ts"

/**
 * `chats` is the application's own table of chats, as in `SqlChatBindings.layerTable`. Without it they stand in the table
 * of the module.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Migrations.Options & { readonly chats?: SqlChatRows.ChatTable | undefined }

const make = Effect.fnUntraced(function*(options?: Options) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql, table } = calls
  const [workspaces, builds] = [table("workspaces"), table("builds")]
  const columns = SqlBuildRows.columns(calls)

  return Builds.of({
    ...SqlBuildRequests.make(calls, SqlChatRows.make(calls, options?.chats)),
    ...SqlBuildRuns.make(calls),
    // Without spans, as the log: whoever waits for a build asks every few seconds.
    get: Effect.fnUntraced(function*(buildId) {
      const found = yield* call(
        "Builds.get",
        sql`select ${columns.record} from ${builds} as b where b.build_id = ${buildId}`
      )
      return Option.fromUndefinedOr((yield* SqlBuildRows.decodeRecords(found)).at(0))
    }),
    latest: Effect.fnUntraced(function*(workspaceId) {
      const found = yield* call(
        "Builds.latest",
        sql`
          select ${columns.record} from ${builds} as b
          where b.workspace_id = ${workspaceId} order by b.number desc limit 1`
      )
      return Option.fromUndefinedOr((yield* SqlBuildRows.decodeRecords(found)).at(0))
    }),
    log: Effect.fnUntraced(function*({ after, buildId }) {
      const found = yield* call(
        "Builds.log",
        sql`
          select number, at, text from ${table("build_logs")}
          where build_id = ${buildId} and number > ${after} order by number limit 1000`
      )
      return yield* SqlBuildRows.decodeLog(found)
    }),
    workspace: Effect.fn("Builds.workspace")(function*(workspaceId) {
      const found = yield* call(
        "Builds.workspace",
        sql`select ${columns.workspace} from ${workspaces} as w where w.workspace_id = ${workspaceId}`
      )
      return Option.fromUndefinedOr((yield* SqlBuildRows.decodeWorkspaces(found)).at(0))
    }),
    workspaces: Effect.fn("Builds.workspaces")(function*(owner) {
      const found = yield* call(
        "Builds.workspaces",
        sql<{ readonly buildId: unknown }>`
          select ${columns.workspace}, ${columns.record} from ${workspaces} as w
          left join lateral (
            select * from ${builds} as l where l.workspace_id = w.workspace_id order by l.number desc limit 1
          ) as b on true
          where w.owner = ${owner} and w.deleted_at is null
          order by w.created_at, w.workspace_id`
      )
      const records = yield* SqlBuildRows.decodeRecords(found.filter((row) => row.buildId !== null))
      const latest = new Map(records.map((record) => [record.build.workspaceId, record]))
      return (yield* SqlBuildRows.decodeWorkspaces(found)).map((workspace) => ({
        workspace,
        latest: latest.get(workspace.workspaceId) ?? null
      }))
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Builds, never, SqlClient.SqlClient> =>
  Layer.effect(Builds, make(options))
