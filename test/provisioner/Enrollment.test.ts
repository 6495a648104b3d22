import { assert, describe, it } from "@effect/vitest"
import { AgentToken } from "chat-workspace/domain"
import { Ids } from "chat-workspace/domain"
import { Enrollment } from "chat-workspace/provisioner"
import { AgentEnrollments, AgentPresence, MemoryStore, WorkspaceAgents } from "chat-workspace/store"
import { Effect, Layer, Option, Redacted } from "effect"

const layer = Enrollment.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(AgentEnrollments.layerMemory, AgentPresence.layerMemory, WorkspaceAgents.layerMemory)
  ),
  Layer.provide(MemoryStore.layer)
)

const workspaceId = Ids.WorkspaceId.make("w1")
const owner = Ids.OwnerId.make("ann")
const stranger = Ids.OwnerId.make("bob")

const verify = Effect.fnUntraced(function*(token: Redacted.Redacted<string>) {
  const presence = yield* AgentPresence.AgentPresence
  return yield* presence.verify(Option.getOrThrow(AgentToken.parse(token)))
})

describe("Enrollment", () => {
  it.effect("the token of an enrolled agent is the agent's, and is the current one of its workspace", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const agents = yield* WorkspaceAgents.WorkspaceAgents
      const enrolled = yield* enrollment.enroll({ workspaceId, owner })
      assert.strictEqual(yield* verify(enrolled.token), enrolled.agentId)
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspaceId))
      assert.strictEqual(latest.build.buildId, enrolled.buildId)
      assert.deepStrictEqual(latest.agents.map((agent) => agent.agentId), [enrolled.agentId])
    }).pipe(Effect.provide(layer)))

  it.effect("a new start revokes the agents of the one before", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const first = yield* enrollment.enroll({ workspaceId, owner })
      const second = yield* enrollment.enroll({ workspaceId, owner })
      assert.strictEqual((yield* Effect.flip(verify(first.token))).message, "The agent's token is revoked.")
      assert.strictEqual(yield* verify(second.token), second.agentId)
    }).pipe(Effect.provide(layer)))

  it.effect("retiring a workspace revokes its agents", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const { token } = yield* enrollment.enroll({ workspaceId, owner })
      yield* enrollment.retire({ workspaceId, owner })
      const refused = yield* Effect.flip(verify(token))
      assert.strictEqual(refused._tag === "TokenRefused" && refused.reason, "revoked")
    }).pipe(Effect.provide(layer)))

  it.effect("a rotated token replaces the one before", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const { agentId, token } = yield* enrollment.enroll({ workspaceId, owner })
      const next = yield* enrollment.rotate({ workspaceId, owner, agentId })
      const refused = yield* Effect.flip(verify(token))
      assert.strictEqual(refused._tag === "TokenRefused" && refused.reason, "unknown")
      assert.strictEqual(yield* verify(next), agentId)
    }).pipe(Effect.provide(layer)))

  it.effect("nobody but the owner enrolls, retires or rotates", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const { agentId, token } = yield* enrollment.enroll({ workspaceId, owner })
      for (
        const attempt of [
          enrollment.enroll({ workspaceId, owner: stranger }),
          enrollment.retire({ workspaceId, owner: stranger }),
          enrollment.rotate({ workspaceId, owner: stranger, agentId })
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(attempt))._tag, "WorkspaceRefused")
      }
      assert.strictEqual(yield* verify(token), agentId)
    }).pipe(Effect.provide(layer)))

  it.effect("a token is never printed by accident", () =>
    Effect.gen(function*() {
      const enrollment = yield* Enrollment.Enrollment
      const enrolled = yield* enrollment.enroll({ workspaceId, owner })
      assert.notInclude(JSON.stringify(enrolled), Redacted.value(enrolled.token))
      assert.notInclude(String(enrolled.token), Redacted.value(enrolled.token))
    }).pipe(Effect.provide(layer)))
})
