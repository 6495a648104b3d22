/**
 * The operation ids of this incarnation: what each was used for, so that nothing runs twice and nothing that was ended
 * before its start runs at all.
 *
 * An id is claimed with a digest of the call's content. Claimed again with the same content it gives the operation of
 * the first claim; with another content it is a conflict. An id that was buried is refused from then on, and so is one
 * that an earlier incarnation ran. An id whose operation ended is remembered for an hour at least: when the table is full
 * of younger ones, new calls are refused rather than old ones forgotten, since a forgotten one could run again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { AgentBusy, type OperationId, OperationRefused, type Outcome, scriptIds } from "../Protocol.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { StateDirectory } from "./StateDirectory.ts"

/**
 * One operation. `settledAt` is the time of its end, in milliseconds, and unset as long as it has none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operation {
  readonly id: OperationId
  readonly digest: string
  settledAt: number | undefined
  /** What it came to; waits for files that are being written, not for a process. */
  readonly outcome: Effect.Effect<Outcome>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Operations extends Context.Service<Operations, {
  /**
   * Takes an id for the call with this content, or gives the operation that has taken it with the same. Fails with
   * `OperationRefused`, or with `AgentBusy` when no older id may be forgotten yet.
   */
  readonly claim: <A extends Operation>(options: {
    readonly id: OperationId
    readonly content: unknown
    readonly isOwn: (operation: Operation) => operation is A
    readonly make: (digest: string) => A
  }) => Effect.Effect<{ readonly operation: A; readonly fresh: boolean }, AgentBusy | OperationRefused>
  /** The operation of an id. Fails with `OperationRefused` when there is none. */
  readonly find: (id: OperationId) => Effect.Effect<Operation, OperationRefused>
  /** Whether any call has used this id. */
  readonly isKnown: (id: OperationId) => boolean
  /** Lets an id go whose call had no effect. */
  readonly release: (operation: Operation) => void
  /** Keeps an id from being used from now on. */
  readonly bury: (id: OperationId) => void
  /** Records the end of an operation. */
  readonly settle: (operation: Operation) => Effect.Effect<void>
  /** What has come of an id. */
  readonly outcome: (id: OperationId) => Effect.Effect<Outcome>
}>()("chat-workspace/agent/program/Operations") {}

const make = Effect.gen(function*() {
  const config = yield* ProgramConfig
  const { earlier } = yield* StateDirectory
  const retention = Duration.toMillis(config.operationRetention)
  const known = new Map<OperationId, Operation>()
  const buried = new Set<OperationId>()
  const restarted = new Set(earlier.operations)
  // The agent's own, and used by each incarnation.
  for (const id of Object.values(scriptIds)) restarted.delete(id)

  const refused = (id: OperationId): OperationRefused["reason"] | undefined =>
    buried.has(id) ? "killed" : restarted.has(id) ? "agentRestarted" : undefined

  const forget = (now: number): void => {
    for (const [id, { settledAt }] of known) {
      if (settledAt !== undefined && now - settledAt >= retention) known.delete(id)
    }
  }

  return Operations.of({
    claim: Effect.fnUntraced(function*({ content, id, isOwn, make }) {
      const reason = refused(id)
      if (reason !== undefined) return yield* new OperationRefused({ operationId: id, reason })
      const now = yield* Clock.currentTimeMillis
      const digest = digestOf(content)
      const present = known.get(id)
      if (present !== undefined) {
        if (isOwn(present) && present.digest === digest) return { operation: present, fresh: false }
        return yield* new OperationRefused({ operationId: id, reason: "conflict" })
      }
      if (known.size >= config.operations) forget(now)
      if (known.size >= config.operations) return yield* new AgentBusy({ limit: "operations remembered" })
      const operation = make(digest)
      known.set(id, operation)
      return { operation, fresh: true }
    }),
    find: (id) =>
      Effect.suspend(() => {
        const operation = known.get(id)
        return operation === undefined
          ? new OperationRefused({ operationId: id, reason: refused(id) ?? "unknown" })
          : Effect.succeed(operation)
      }),
    isKnown: (id) => known.has(id),
    release: (operation) => {
      if (known.get(operation.id) === operation) known.delete(operation.id)
    },
    bury: (id) => {
      known.delete(id)
      buried.add(id)
      // Bounded apart from the table, so that the right to end a call is never refused for want of room.
      for (const oldest of buried) {
        if (buried.size <= config.operations) break
        buried.delete(oldest)
      }
    },
    settle: (operation) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        operation.settledAt = now
      }),
    outcome: (id) =>
      Effect.suspend(() => {
        const operation = known.get(id)
        if (operation !== undefined) return operation.outcome
        const reason = refused(id)
        return Effect.succeed(
          reason === "killed"
            ? { _tag: "Killed" }
            : reason === "agentRestarted"
            ? { _tag: "AgentRestarted" }
            : { _tag: "Unknown" }
        )
      })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Operations, never, StateDirectory> = Layer.effect(Operations, make)

const digestOf = (content: unknown): string => createHash("sha256").update(JSON.stringify(content)).digest("base64")
