/**
 * Bring your own provisioner: records what was started and stopped elsewhere, and makes the tokens of the agents.
 *
 * `enroll` records a start that succeeded, so call it when the workspace is up, and hand the token to the agent program
 * in it. The agents of earlier starts are revoked in the same step: their sessions end within one heartbeat.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AgentToken from "../domain/AgentToken.ts"
import type { StoreError, WorkspaceRefused } from "../domain/Errors.ts"
import { AgentId, BuildId } from "../domain/Ids.ts"
import type { OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { AgentEnrollments } from "../store/AgentEnrollments.ts"
import * as SecretHash from "../store/SecretHash.ts"

/**
 * An agent that may now connect. The token is shown once and stored nowhere.
 *
 * @since 0.1.0
 * @category models
 */
export interface Enrolled {
  readonly buildId: BuildId
  readonly agentId: AgentId
  readonly token: Redacted.Redacted<string>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Enrollment extends Context.Service<Enrollment, {
  /**
   * Records a start of a workspace with one agent. The agent has `connectionTimeout` (120 s, zero for ever) to come
   * before it counts as lost. Fails with `WorkspaceRefused` when the workspace is of another owner.
   */
  readonly enroll: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
    readonly name?: string | undefined
    readonly connectionTimeout?: Duration.Input | undefined
  }) => Effect.Effect<Enrolled, WorkspaceRefused | StoreError>
  /** Records a stop of a workspace and revokes its agents. Fails when there is no such workspace of this owner. */
  readonly retire: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
  }) => Effect.Effect<void, WorkspaceRefused | StoreError>
  /** A new token for an agent; the one before opens nothing from now on, and its session ends. */
  readonly rotate: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
    readonly agentId: AgentId
  }) => Effect.Effect<Redacted.Redacted<string>, WorkspaceRefused | StoreError>
}>()("chat-workspace/provisioner/Enrollment") {}

const make = Effect.gen(function*() {
  const enrollments = yield* AgentEnrollments
  const random = yield* SecureRandom.SecureRandom
  const hash = yield* SecretHash.make

  const makeToken = Effect.fnUntraced(function*(agentId: AgentId) {
    const secret = Redacted.make(yield* random.randomBytes(AgentToken.secretLength))
    return { token: AgentToken.format({ agentId, secret }), secretHash: yield* hash.hash(secret) }
  })

  return Enrollment.of({
    enroll: Effect.fn("Enrollment.enroll")(function*({ connectionTimeout, name, owner, workspaceId }) {
      const buildId = BuildId.make(yield* random.uuidV7())
      const agentId = AgentId.make(yield* random.uuidV7())
      const { secretHash, token } = yield* makeToken(agentId)
      yield* enrollments.recordStart({
        workspaceId,
        owner,
        buildId,
        agents: [{
          agentId,
          parentId: null,
          name: name ?? "main",
          displayOrder: 0,
          connectionTimeout: Duration.fromInputUnsafe(connectionTimeout ?? defaultConnectionTimeout),
          secretHash
        }]
      })
      return { buildId, agentId, token }
    }),
    retire: Effect.fn("Enrollment.retire")(function*({ owner, workspaceId }) {
      const buildId = BuildId.make(yield* random.uuidV7())
      yield* enrollments.recordEnd({ workspaceId, owner, buildId, transition: "stop" })
    }),
    rotate: Effect.fn("Enrollment.rotate")(function*({ agentId, owner, workspaceId }) {
      const { secretHash, token } = yield* makeToken(agentId)
      yield* enrollments.replaceSecret({ workspaceId, owner, agentId, secretHash })
      return token
    })
  })
})

const defaultConnectionTimeout = Duration.seconds(120)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Enrollment, never, AgentEnrollments> = Layer.effect(Enrollment, make).pipe(
  Layer.provide([Digest.layerWebCrypto, SecureRandom.layerWebCrypto])
)
