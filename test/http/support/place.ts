/** One of everything that the API tells of, of two owners, in the world in memory. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { BuildId, MessageId } from "../../../src/domain/Ids.ts"
import { Readiness } from "../../../src/provisioner/Readiness.ts"
import { MemoryStore } from "../../../src/store/MemoryStore.ts"
import { TestWorkspaces } from "../../../src/testing/index.ts"
import { Turns } from "../../../src/turn/Turns.ts"
import { ann, bob } from "./requests.ts"
import type { Routes } from "./requests.ts"
import * as World from "./world.ts"

/** By the names that paths and bodies have for them. */
export type Ids = Readonly<Record<string, string>>

export interface Place {
  /** Of ann: a chat with a turn that is done, in a workspace that runs. */
  readonly ids: Ids
  /** Of bob. */
  readonly theirs: Ids
}

/** The model is asked once. */
export const make = Effect.fnUntraced(function*({ send }: Routes) {
  const made = Effect.fnUntraced(function*(request: string, token: string, body: object) {
    const answer = yield* send(request, { token, body })
    assert.isBelow(answer.status, 300, JSON.stringify(answer.body))
    return answer.body
  })
  const { build, workspace } = yield* made("POST /workspaces", ann, {
    templateId: TestWorkspaces.templateId,
    name: "web",
    chatId: World.c
  })
  const { of: ready } = yield* Readiness
  yield* ready(BuildId.make(build.buildId))
  const { body: { agents: [agent] } } = yield* send(`GET /workspaces/${workspace.workspaceId}/agents`)
  const { send: say } = yield* Turns
  const { events, turn } = yield* say({ chatId: World.c, owner: ann, messageId: MessageId.make("m1"), text: "Hello" })
  yield* Stream.runDrain(events)
  // What it told is stored.
  yield* TestClock.adjust("1 second")
  yield* made("POST /chats", bob, { chatId: "theirs" })
  yield* made("POST /workspaces/theirs/enrollment", bob, {})
  const place: Place = {
    ids: {
      chatId: World.c,
      turnId: turn.turnId,
      templateId: TestWorkspaces.templateId,
      workspaceId: workspace.workspaceId,
      buildId: build.buildId,
      agentId: agent.agentId
    },
    theirs: { chatId: "theirs", workspaceId: "theirs", templateId: World.bobsTemplate.templateId }
  }
  return place
})

/** All that is stored, but for what heartbeats write. */
export const stored = Effect.map(
  MemoryStore,
  (tables) =>
    JSON.stringify(
      tables,
      (member, value: unknown) => heartbeats.has(member) ? undefined : value instanceof Map ? Array.from(value) : value
    )
)

const heartbeats = new Set(["coverage", "lastConnectedAt"])
