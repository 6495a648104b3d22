/**
 * Records in PostgreSQL which agents are connected, and to which node.
 *
 * A heartbeat is one statement for all sessions of a node, on a narrow table of its own; tokens, attachments, lifecycles
 * and ends that come together are one statement each, and those of a crowd wait for each other. Every statement that takes
 * many rows takes them in order of ids. Those over arrays of any length are not prepared: a plan made for short ones would
 * take the square of the time for long ones.
 *
 * **Gotchas**
 *
 * Heartbeats must not wait behind the application's queries, or living agents look dead: give this layer a client of its
 * own, with two or three connections.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { TokenRefused } from "../domain/Errors.ts"
import { AgentId, Incarnation } from "../domain/Ids.ts"
import type { NodeId } from "../domain/Ids.ts"
import { AgentPresence } from "./AgentPresence.ts"
import type { Attached, Verdict } from "./AgentPresence.ts"
import type * as Migrations from "./Migrations.ts"
import * as SecretHash from "./SecretHash.ts"
import * as SqlCalls from "./SqlCalls.ts"

interface Attachment {
  readonly agentId: AgentId
  readonly nodeId: NodeId
  readonly incarnation: Incarnation
}

type Report = Parameters<AgentPresence["Service"]["report"]>[0]

type Detachment = Parameters<AgentPresence["Service"]["detach"]>[0]

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { batched, call, sql, table } = yield* SqlCalls.make(options)
  const hash = yield* SecretHash.make
  const presence = table("agent_presence")

  const secret = batched<AgentId, typeof SecretRow.Type | undefined>(
    "AgentPresence.verify",
    Effect.fnUntraced(function*(ids) {
      const found = yield* sql`
        select a.agent_id as "agentId", a.secret_hash as "secretHash", p.revoked_at is not null as "revoked"
        from ${table("agents")} as a join ${presence} as p on p.agent_id = a.agent_id
        where a.agent_id = any(${ids})`
      const rows = new Map((yield* decodeSecrets(found)).map((row) => [row.agentId, row]))
      return (id) => Exit.succeed(rows.get(id))
    }),
    { paced: true }
  )

  const attachOnce = Effect.fnUntraced(function*(attachments: ReadonlyArray<Attachment>) {
    const ids = attachments.map((attachment) => attachment.agentId)
    const attached = yield* sql`
      with wanted as materialized (
        select p.agent_id, w.node_id, w.incarnation
        from unnest(
          ${ids}::text[], ${attachments.map(({ nodeId }) => nodeId)}::text[],
          ${attachments.map(({ incarnation }) => incarnation)}::text[]
        ) as w (agent_id, node_id, incarnation)
        join ${presence} as p on p.agent_id = w.agent_id
        where p.revoked_at is null
        order by p.agent_id for no key update of p
      )
      update ${presence} as p set
        epoch = p.epoch + 1,
        node_id = wanted.node_id,
        replaced_incarnation = p.incarnation,
        incarnation = wanted.incarnation,
        first_connected_at = coalesce(p.first_connected_at, clock_timestamp()),
        last_connected_at = greatest(p.last_connected_at, clock_timestamp()),
        disconnected_at = null,
        heard_at = clock_timestamp()
      from wanted
      where p.agent_id = wanted.agent_id
      returning p.agent_id as "agentId", p.epoch as "epoch", p.replaced_incarnation as "previous"`.unprepared
    return yield* decodeAttached(attached)
  })

  const attach = batched<Attachment, Attached, TokenRefused>(
    "AgentPresence.attach",
    Effect.fnUntraced(function*(attachments) {
      const results = new Map<Attachment, Attached>()
      for (const round of rounds(attachments)) {
        const rows = new Map((yield* attachOnce(round)).map(({ agentId, ...attached }) => [agentId, attached]))
        for (const attachment of round) {
          const attached = rows.get(attachment.agentId)
          if (attached !== undefined) results.set(attachment, attached)
        }
      }
      return (attachment) => {
        const attached = results.get(attachment)
        return attached === undefined ? Exit.fail(new TokenRefused({ reason: "revoked" })) : Exit.succeed(attached)
      }
    }),
    { paced: true }
  )

  // A node to which all agents return hears of all of them at once.
  const report = batched<Report, void>(
    "AgentPresence.report",
    Effect.fnUntraced(function*(reports) {
      // Of one session only its last word counts.
      const last = Array.from(
        new Map(reports.map((report) => [`${report.epoch} ${report.agentId}`, report])).values()
      )
      // Both rows are locked first, so that the fence is read as it is when the word is written.
      yield* sql`
        with fenced as materialized (
          select a.agent_id, r.lifecycle
          from unnest(
            ${last.map(({ agentId }) => agentId)}::text[],
            ${last.map(({ epoch }) => String(epoch))}::text[]::integer[],
            ${last.map(({ lifecycle }) => lifecycle)}::text[]
          ) as r (agent_id, epoch, lifecycle)
          join ${presence} as p on p.agent_id = r.agent_id and p.epoch = r.epoch and p.revoked_at is null
          join ${table("agents")} as a on a.agent_id = r.agent_id
          order by a.agent_id for no key update of a, p
        )
        update ${table("agents")} as a set lifecycle = fenced.lifecycle
        from fenced
        where a.agent_id = fenced.agent_id and a.lifecycle <> fenced.lifecycle`.unprepared
      return () => Exit.void
    }),
    { paced: true }
  )

  const detach = batched<Detachment, void>(
    "AgentPresence.detach",
    Effect.fnUntraced(function*(detachments) {
      // Never before the last heartbeat, should the database's clock have been set back.
      yield* sql`
        with gone as materialized (
          select p.agent_id
          from unnest(
            ${detachments.map(({ agentId }) => agentId)}::text[],
            ${detachments.map(({ epoch }) => String(epoch))}::text[]::integer[]
          ) as d (agent_id, epoch)
          join ${presence} as p on p.agent_id = d.agent_id and p.epoch = d.epoch
          where p.disconnected_at is null
          order by p.agent_id for no key update of p
        )
        update ${presence} as p set disconnected_at = greatest(clock_timestamp(), p.last_connected_at)
        from gone
        where p.agent_id = gone.agent_id`.unprepared
      return () => Exit.void
    }),
    { paced: true }
  )

  return AgentPresence.of({
    verify: Effect.fn("AgentPresence.verify")(function*(token) {
      const row = yield* secret(token.agentId)
      const matches = yield* hash.matches(token.secret, row?.secretHash)
      if (row === undefined || !matches) return yield* new TokenRefused({ reason: "unknown" })
      if (row.revoked) return yield* new TokenRefused({ reason: "revoked" })
      return row.agentId
    }),
    attach: Effect.fn("AgentPresence.attach")(attach),
    // Without a span: there is one every few seconds, for ever.
    beat: Effect.fnUntraced(function*({ nodeId, sessions, waiting }) {
      const ids = sessions.map((session) => session.agentId)
      const answer = yield* call(
        "AgentPresence.beat",
        sql`
          with clock as materialized (
            select clock_timestamp() as now
          ), sent as materialized (
            select p.agent_id, p.epoch, p.revoked_at, p.disconnected_at, s.epoch as sent_epoch, s.age
            from unnest(
              ${ids}::text[], ${sessions.map(({ epoch }) => String(epoch))}::text[]::integer[],
              ${sessions.map(({ age }) => SqlCalls.millisOf(age))}::text[]::double precision[]
            ) as s (agent_id, epoch, age)
            join ${presence} as p on p.agent_id = s.agent_id
            order by p.agent_id for no key update of p
          ), beaten as (
            update ${presence} as p set
              last_connected_at = greatest(p.last_connected_at, clock.now - sent.age * interval '1 millisecond'),
              heard_at = clock.now
            from clock, sent
            where p.agent_id = sent.agent_id and sent.epoch = sent.sent_epoch
              and sent.revoked_at is null and sent.disconnected_at is null
            returning 1
          ), covered as (
            insert into ${table("heartbeats")} as h (covered_since, last_beat_at)
            -- Counted first, so that this row, which all nodes write, is the last one taken.
            select clock.now, clock.now from clock, (select count(*) from beaten) as done
            on conflict (only_row) do update set
              covered_since = case
                when excluded.last_beat_at - h.last_beat_at > interval '30 seconds' then excluded.last_beat_at
                else h.covered_since
              end,
              last_beat_at = greatest(h.last_beat_at, excluded.last_beat_at)
          )
          select agent_id as "agentId", case when revoked_at is null then 'replaced' else 'revoked' end as "verdict"
          from sent
          where revoked_at is not null or epoch <> sent_epoch
          union all
          select s.agent_id, 'revoked'
          from unnest(${ids}::text[]) as s (agent_id)
          where not exists (select 1 from ${presence} as p where p.agent_id = s.agent_id)
          union all
          select w.agent_id, 'elsewhere'
          from unnest(
            ${waiting.map(({ agentId }) => agentId)}::text[],
            ${waiting.map(({ age }) => SqlCalls.millisOf(age))}::text[]::double precision[]
          ) as w (agent_id, age)
          join ${presence} as p on p.agent_id = w.agent_id
          cross join clock
          where p.node_id <> ${nodeId} and p.disconnected_at is null
            and p.heard_at > clock.now - w.age * interval '1 millisecond'`.unprepared
      )
      const verdicts = new Map<AgentId, Verdict>(ids.map((id) => [id, "valid"]))
      const elsewhere: Array<AgentId> = []
      for (const { agentId, verdict } of yield* decodeAnswer(answer)) {
        if (verdict === "elsewhere") elsewhere.push(agentId)
        else verdicts.set(agentId, verdict)
      }
      return { verdicts, elsewhere }
    }),
    report: Effect.fn("AgentPresence.report")((options) => report(options)),
    detach: Effect.fn("AgentPresence.detach")((options) => detach(options))
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<AgentPresence, never, SqlClient.SqlClient> =>
  Layer.effect(AgentPresence, make(options)).pipe(Layer.provide(Digest.layerWebCrypto))

const SecretRow = Schema.Struct({ agentId: AgentId, secretHash: Schema.Uint8Array, revoked: Schema.Boolean })

const decodeSecrets = SqlCalls.rowsOf(Schema.Array(SecretRow))

const decodeAttached = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ agentId: AgentId, epoch: Schema.Int, previous: Schema.NullOr(Incarnation) }))
)

const decodeAnswer = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ agentId: AgentId, verdict: Schema.Literals(["replaced", "revoked", "elsewhere"]) }))
)

/** Splits so that no part names an agent twice: one statement changes a row once. */
const rounds = (attachments: ReadonlyArray<Attachment>): ReadonlyArray<ReadonlyArray<Attachment>> => {
  const parts: Array<Array<Attachment>> = []
  const seen = new Map<AgentId, number>()
  for (const attachment of attachments) {
    const round = seen.get(attachment.agentId) ?? 0
    seen.set(attachment.agentId, round + 1)
    ;(parts[round] ??= []).push(attachment)
  }
  return parts
}
