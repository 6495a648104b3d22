/**
 * The words of the kits of the stores: short names for ids, and workspaces with builds and agents that came from elsewhere.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { AgentId, BuildId, ChatId, Incarnation, NodeId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import * as AgentEnrollments from "../store/AgentEnrollments.ts"
import * as SecretHash from "../store/SecretHash.ts"

export const chat = (name: string) => ChatId.make(name)
export const owner = (name: string) => OwnerId.make(name)
export const workspace = (name: string) => WorkspaceId.make(name)
export const build = (name: string) => BuildId.make(name)
export const agentId = (name: string) => AgentId.make(name)
export const node = (name: string) => NodeId.make(name)
export const incarnation = (name: string) => Incarnation.make(name)

/** An agent to be recorded with a start. */
export const enrolled = (name: string, options?: Partial<AgentEnrollments.EnrolledAgent>) => ({
  agentId: agentId(name),
  parentId: null,
  name: "main",
  displayOrder: 0,
  connectionTimeout: Duration.seconds(120),
  secretHash: new Uint8Array(32),
  ...options
})

/** Records a start of a workspace with agents of these names. */
export const start = Effect.fnUntraced(function*(of: string, buildName: string, ...agents: ReadonlyArray<string>) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  return yield* enrollments.recordStart({
    workspaceId: workspace(of),
    owner: owner("ann"),
    buildId: build(buildName),
    agents: agents.map((name) => enrolled(name))
  })
})

/** Records a stop of a workspace. */
export const stop = Effect.fnUntraced(function*(of: string, buildName: string) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  return yield* enrollments.recordEnd({
    workspaceId: workspace(of),
    owner: owner("ann"),
    buildId: build(buildName),
    transition: "stop"
  })
})

/** What is stored for the secret whose bytes all have this value. */
export const secretOf = (byte: number) =>
  Effect.flatMap(SecretHash.make, (hash) => hash.hash(Redacted.make(new Uint8Array(32).fill(byte)))).pipe(
    Effect.provide(Digest.layerWebCrypto)
  )
