/**
 * How a build is read from its row, and how it ends.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Fragment } from "effect/sql/Statement"
import { Build, BuildRecord, LogLine } from "../domain/Build.ts"
import type { BuildOutcome } from "../domain/Build.ts"
import type { BuildId } from "../domain/Ids.ts"
import { Workspace } from "../domain/Workspace.ts"
import * as LogText from "./LogText.ts"
import * as SqlCalls from "./SqlCalls.ts"

/**
 * The columns of a build (of the table `b`), of what the queue knows of it beside, and of a workspace (of the table `w`).
 *
 * @since 0.1.0
 * @category getters
 */
export const columns = (
  { sql, table }: SqlCalls.SqlCalls
): Readonly<Record<"build" | "record" | "workspace", Fragment>> => {
  const build = sql`
    b.build_id as "buildId", b.workspace_id as "workspaceId", b.number as "number", b.transition as "transition",
    b.status as "status", b.log_tail as "logTail"`
  return {
    build,
    record: sql`${build},
      b.template_id as "templateId", b.parameters as "parameters", b.failure_code as "failureCode",
      b.failure as "failureMessage", b.attempt as "attempt", b.created_at as "createdAt", b.started_at as "startedAt",
      b.finished_at as "finishedAt", clock_timestamp() as "asOf", case when b.status <> 'pending' then 0 else (
        select count(*)::integer from ${table("builds")} as o
        where o.status = 'pending' and (o.created_at, o.build_id) < (b.created_at, b.build_id)
      ) end as "ahead"`,
    workspace: sql`
      w.workspace_id as "ofWorkspace", w.owner as "owner", w.name as "workspaceName",
      w.template_id as "workspaceTemplate", w.created_at as "workspaceCreated"`
  }
}

/**
 * Ends a build, whose row has to be locked. With one that failed goes the end of its log.
 *
 * @since 0.1.0
 * @category combinators
 */
export const end = Effect.fnUntraced(
  function*(calls: SqlCalls.SqlCalls, buildId: BuildId, outcome: BuildOutcome) {
    const { sql, table } = calls
    const failure = outcome._tag === "Failed" ? outcome : null
    const lines = failure === null ? [] : yield* decodeTexts(
      yield* sql`
        select text from (
          select number, text from ${table("build_logs")} where build_id = ${buildId}
          order by number desc limit ${LogText.tailLines}
        ) as l order by number`
    )
    const ended = yield* sql`
      update ${table("builds")} as b set
        status = ${statuses[outcome._tag]},
        failure_code = ${failure?.code ?? null}::text,
        failure = ${failure === null ? null : LogText.storable(failure.message)}::text,
        log_tail = ${LogText.tail(lines.map(({ text }) => text))}::text,
        finished_at = clock_timestamp()
      where b.build_id = ${buildId}
      returning ${columns(calls).build}`
    const [build] = yield* decodeBuild(ended)
    return build
  }
)

const statuses = { Succeeded: "succeeded", Failed: "failed", Canceled: "canceled" } as const

const decodeTexts = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ text: Schema.String })))

/**
 * @since 0.1.0
 * @category getters
 */
export const decodeBuild = SqlCalls.rowsOf(Schema.Tuple([Build]))

const RecordRow = Schema.Struct({
  ...Build.fields,
  templateId: BuildRecord.fields.templateId,
  parameters: BuildRecord.fields.parameters,
  failureCode: Schema.NullOr(BuildRecord.fields.failure.members[0].fields.code),
  failureMessage: Schema.NullOr(Schema.String),
  attempt: BuildRecord.fields.attempt,
  ahead: BuildRecord.fields.ahead,
  createdAt: Schema.DateTimeUtcFromDate,
  startedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  finishedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  asOf: Schema.DateTimeUtcFromDate
})

const decodeRecordRows = SqlCalls.rowsOf(Schema.Array(RecordRow))

/**
 * @since 0.1.0
 * @category getters
 */
export const decodeRecords = (found: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<BuildRecord>> =>
  Effect.map(decodeRecordRows(found), (rows) =>
    rows.map(({ failureCode, failureMessage, ...row }) =>
      new BuildRecord({
        ...row,
        build: new Build(row),
        failure: failureCode === null ? null : { code: failureCode, message: failureMessage ?? "" }
      })
    ))

const decodeWorkspaceRows = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  ofWorkspace: Workspace.fields.workspaceId,
  owner: Workspace.fields.owner,
  workspaceName: Workspace.fields.name,
  workspaceTemplate: Workspace.fields.templateId,
  workspaceCreated: Schema.DateTimeUtcFromDate
})))

/**
 * @since 0.1.0
 * @category getters
 */
export const decodeWorkspaces = (found: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Workspace>> =>
  Effect.map(decodeWorkspaceRows(found), (rows) =>
    rows.map((row) =>
      new Workspace({
        workspaceId: row.ofWorkspace,
        owner: row.owner,
        name: row.workspaceName,
        templateId: row.workspaceTemplate,
        createdAt: row.workspaceCreated
      })
    ))

/**
 * @since 0.1.0
 * @category getters
 */
export const decodeLog = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ ...LogLine.fields, at: Schema.DateTimeUtcFromDate }))
)
