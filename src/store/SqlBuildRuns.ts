/**
 * Running builds, in PostgreSQL: taking them under a lease, and all that their runners write, fenced by the epoch.
 *
 * Runners pass over rows that others are just taking, so none waits for another. Every instant is of the database's clock.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Transition } from "../domain/Build.ts"
import { LeaseLost } from "../domain/Errors.ts"
import { AgentId, BuildId, WorkspaceId } from "../domain/Ids.ts"
import * as BuildFate from "./BuildFate.ts"
import type { Builds, TakenBuild } from "./Builds.ts"
import * as LogText from "./LogText.ts"
import * as SqlAgents from "./SqlAgents.ts"
import * as SqlBuildRows from "./SqlBuildRows.ts"
import * as SqlCalls from "./SqlCalls.ts"

// Ended in one call of `take`; what is left is ended in the next.
const sweepSize = 16

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  calls: SqlCalls.SqlCalls
): Pick<
  Builds["Service"],
  "take" | "renew" | "prepareAgents" | "appendLog" | "lastLine" | "finish" | "release"
> => {
  const { call, sql, table, transact } = calls
  const [workspaces, builds, agents] = [table("workspaces"), table("builds"), table("agents")]
  const columns = SqlBuildRows.columns(calls)
  const clock = sql`clock as materialized (select clock_timestamp() as now)`

  const fence = (buildId: BuildId, epoch: number) =>
    sql`b.build_id = ${buildId} and b.epoch = ${epoch} and b.status = 'running'`

  /** The workspace of a build, before the build itself: whoever asks for builds locks in this order too. */
  const lockWorkspace = (buildId: BuildId) =>
    sql`
      select 1 from ${workspaces} where workspace_id = (select workspace_id from ${builds} where build_id = ${buildId})
      for no key update`

  const lockBuild = Effect.fnUntraced(function*(buildId: BuildId, epoch: number) {
    const found = yield* sql`
      select b.workspace_id as "workspaceId", b.transition as "transition", b.repeatable as "repeatable",
        b.cancel_requested as "cancelRequested"
      from ${builds} as b where ${fence(buildId, epoch)} for no key update`
    return Option.fromUndefinedOr((yield* decodeHeld(found)).at(0))
  })

  const unheld = sql`b.status in ('pending', 'running') and (b.lease_until is null or b.lease_until <= clock.now)`

  const lost = (attempts: number) =>
    sql`(b.lease_until is not null and (b.cancel_requested or not b.repeatable or b.attempt >= ${attempts}))`

  const late = (limit: Duration.Duration) => sql`(b.created_at + ${SqlCalls.interval(sql, limit)} <= clock.now)`

  const sweep = Effect.fnUntraced(function*(limit: Duration.Duration, attempts: number) {
    const doomed = yield* sql`
      with ${clock}
      select b.build_id as "buildId", case
        when b.lease_until is not null and b.cancel_requested then 'canceled'
        when b.lease_until is not null and (not b.repeatable or b.attempt >= ${attempts}) then 'runner_lost'
        else 'timed_out'
      end as "fate"
      from ${builds} as b cross join clock
      where ${unheld} and (${lost(attempts)} or ${late(limit)})
      order by b.created_at, b.build_id limit ${sweepSize}
      for no key update of b skip locked`
    for (const { buildId, fate } of yield* decodeDoomed(doomed)) {
      yield* SqlBuildRows.end(calls, buildId, BuildFate.outcomeOf(fate))
    }
  })

  return {
    take: Effect.fnUntraced(function*({ attempts, lease, limit, nodeId }) {
      return yield* transact(
        "Builds.take",
        Effect.gen(function*() {
          yield* sweep(limit, attempts)
          const taken = yield* sql`
            with ${clock}, next as materialized (
              select b.build_id from ${builds} as b cross join clock
              where ${unheld} and not ${lost(attempts)} and not ${late(limit)}
              order by b.created_at, b.build_id limit 1
              for no key update of b skip locked
            )
            update ${builds} as b set
              status = 'running', epoch = b.epoch + 1, attempt = b.attempt + 1, node_id = ${nodeId},
              lease_until = clock.now + ${SqlCalls.interval(sql, lease)},
              started_at = coalesce(b.started_at, clock.now)
            from next cross join clock, ${workspaces} as w
            where b.build_id = next.build_id and w.workspace_id = b.workspace_id
            returning ${columns.record}, ${columns.workspace}, b.epoch as "epoch",
              extract(epoch from b.created_at + ${SqlCalls.interval(sql, limit)} - clock.now)::double precision * 1000
                as "remaining"`
          const [record] = yield* SqlBuildRows.decodeRecords(taken)
          const [workspace] = yield* SqlBuildRows.decodeWorkspaces(taken)
          const row = (yield* decodeTaken(taken)).at(0)
          if (record === undefined || workspace === undefined || row === undefined) return Option.none<TakenBuild>()
          const { attempt, build, parameters } = record
          return Option.some<TakenBuild>({ build, workspace, parameters, attempt, ...row })
        })
      )
    }),
    renew: Effect.fnUntraced(function*({ buildId, epoch, lease }) {
      const renewed = yield* call(
        "Builds.renew",
        sql`
          update ${builds} as b set lease_until = clock_timestamp() + ${SqlCalls.interval(sql, lease)}
          where ${fence(buildId, epoch)}
          returning b.cancel_requested as "canceling"`
      )
      const [row] = yield* decodeRenewed(renewed)
      return row === undefined ? "lost" : row.canceling ? "canceling" : "held"
    }),
    prepareAgents: Effect.fn("Builds.prepareAgents")(function*({ agents: wanted, buildId, epoch }) {
      return yield* transact(
        "Builds.prepareAgents",
        Effect.gen(function*() {
          yield* lockWorkspace(buildId)
          const held = yield* lockBuild(buildId, epoch)
          if (Option.isNone(held)) return yield* new LeaseLost({ buildId })
          const { workspaceId } = held.value
          const earlier = yield* decodeAgents(
            yield* sql`
              select a.agent_id as "agentId", a.name as "name", a.ordinal as "ordinal"
              from ${agents} as a join ${table("agent_presence")} as p on p.agent_id = a.agent_id
              where a.build_id = ${buildId}
              order by a.agent_id for no key update of a, p`
          )
          const before = new Map(earlier.map(({ agentId, name }) => [name, agentId]))
          const ids = new Map(wanted.map(({ agentId, name }) => [agentId, before.get(name) ?? agentId]))
          const given = wanted.map((agent) => ({
            ...agent,
            agentId: ids.get(agent.agentId) ?? agent.agentId,
            parentId: agent.parentId === null ? null : ids.get(agent.parentId) ?? agent.parentId
          }))
          const names = new Set(given.map(({ name }) => name))
          const left = earlier.filter(({ name }) => !names.has(name)).map(({ agentId }) => agentId)
          if (left.length > 0) {
            yield* sql`delete from ${table("agent_presence")} where agent_id = any(${left})`
            yield* sql`delete from ${agents} where agent_id = any(${left})`
          }
          const kept = given.filter(({ name }) => before.has(name))
          if (kept.length > 0) yield* SqlAgents.renew(calls, kept)
          const from = Math.max(-1, ...earlier.map(({ ordinal }) => ordinal)) + 1
          const added = given.filter(({ name }) => !before.has(name))
          if (added.length > 0) {
            yield* SqlAgents.insert(calls, { workspaceId, buildId, agents: added, from, ready: false })
          }
          return new Map(given.map(({ agentId, name }) => [name, agentId]))
        })
      )
    }),
    appendLog: Effect.fnUntraced(function*({ buildId, epoch, lines }) {
      const encoded = JSON.stringify(lines.map(({ number, text }) => ({ number, text: LogText.storable(text) })))
      const held = yield* call(
        "Builds.appendLog",
        sql`
          with held as materialized (
            select b.build_id from ${builds} as b where ${fence(buildId, epoch)} for no key update
          ), written as (
            insert into ${table("build_logs")} (build_id, number, text)
            select held.build_id, l.number, l.text
            from held cross join jsonb_to_recordset(${encoded}::text::jsonb) as l (number integer, text text)
            on conflict (build_id, number) do nothing
          )
          select 1 from held`
      )
      if (held.length === 0) return yield* new LeaseLost({ buildId })
    }),
    lastLine: Effect.fnUntraced(function*(buildId) {
      const found = yield* call(
        "Builds.lastLine",
        sql`select coalesce(max(number), 0) as "number" from ${table("build_logs")} where build_id = ${buildId}`
      )
      const [{ number }] = yield* decodeNumber(found)
      return number
    }),
    finish: Effect.fn("Builds.finish")(function*({ buildId, epoch, outcome }) {
      return yield* transact(
        "Builds.finish",
        Effect.gen(function*() {
          yield* lockWorkspace(buildId)
          const held = yield* lockBuild(buildId, epoch)
          if (Option.isNone(held)) return yield* new LeaseLost({ buildId })
          const build = yield* SqlBuildRows.end(calls, buildId, outcome)
          if (outcome._tag !== "Succeeded") return build
          const { transition, workspaceId } = held.value
          if (transition === "start") {
            yield* SqlAgents.start(calls, buildId)
          } else yield* SqlAgents.revoke(calls, workspaceId)
          if (transition === "delete") {
            yield* sql`update ${workspaces} set deleted_at = clock_timestamp() where workspace_id = ${workspaceId}`
          }
          return build
        })
      )
    }),
    release: Effect.fn("Builds.release")(function*({ buildId, epoch }) {
      yield* transact(
        "Builds.release",
        Effect.gen(function*() {
          const held = Option.getOrUndefined(yield* lockBuild(buildId, epoch))
          if (held === undefined) return
          if (held.cancelRequested || !held.repeatable) {
            const fate = held.cancelRequested ? "canceled" : "runner_lost"
            return yield* SqlBuildRows.end(calls, buildId, BuildFate.outcomeOf(fate))
          }
          yield* sql`
            update ${builds} set epoch = epoch + 1, lease_until = clock_timestamp() where build_id = ${buildId}`
        })
      )
    })
  }
}

const decodeHeld = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  workspaceId: WorkspaceId,
  transition: Transition,
  repeatable: Schema.Boolean,
  cancelRequested: Schema.Boolean
})))

const decodeDoomed = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  buildId: BuildId,
  fate: Schema.Literals(["canceled", "runner_lost", "timed_out"])
})))

const decodeTaken = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ epoch: Schema.Int, remaining: Schema.DurationFromMillis }))
)

const decodeRenewed = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ canceling: Schema.Boolean })))

const decodeNumber = SqlCalls.rowsOf(Schema.Tuple([Schema.Struct({ number: Schema.Int })]))

const decodeAgents = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ agentId: AgentId, name: Schema.String, ordinal: Schema.Int }))
)
