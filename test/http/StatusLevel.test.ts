import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Result } from "effect"
import * as DialConfig from "../../src/dial/DialConfig.ts"
import { Build, BuildRecord } from "../../src/domain/Build.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { BuildId, ChatId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as StatusLevel from "../../src/http/StatusLevel.ts"

const chatId = ChatId.make("c")
const createdAt = DateTime.makeUnsafe(0)

/** A start that has waited so long, with so many before it. */
const waiting = (millis: number, ahead: number) => {
  const asOf = DateTime.makeUnsafe(millis)
  const build = new BuildRecord({
    build: new Build({
      buildId: BuildId.make("b"),
      workspaceId: WorkspaceId.make("w"),
      number: 1,
      transition: "start",
      status: "pending",
      logTail: null
    }),
    templateId: null,
    parameters: {},
    failure: null,
    attempt: 0,
    ahead,
    createdAt,
    startedAt: null,
    finishedAt: null,
    asOf
  })
  const explanation = {
    chatId,
    connection: { chatId, stored: Result.fail(new StoreError({ operation: "any" })), node: null },
    beside: Result.succeed({ build, held: { asOf, turn: null, build: null, agents: [] } }),
    turns: null
  }
  return StatusLevel.levelOf(explanation, { code: "build_waiting", message: "" }, DialConfig.defaults)
}

describe("the level of a build that waits for a runner", () => {
  it("is busy for 30 s, and then wrong: nobody runs builds", () => {
    assert.deepStrictEqual([waiting(29_999, 0), waiting(30_000, 0)], ["busy", "wrong"])
  })

  it("is busy however long while others are before it", () => {
    assert.strictEqual(waiting(Duration.toMillis(Duration.minutes(10)), 1), "busy")
  })
})

describe("the first line", () => {
  const calm = { database: { reachable: true }, problems: [], unready: [], chats: [] }
  const warned = { level: "warn" } as const
  const problem = { message: "Chat c: it is stuck.", chats: 1, chatId, workspaceId: null }

  it("says the database first, then what is wrong, then that the node is not ready", () => {
    const all = { ...calm, problems: [problem], unready: ["it ends"] }
    assert.deepStrictEqual(
      [{ ...all, database: { reachable: false } }, all, { ...all, problems: [] }, calm].map((known) =>
        StatusLevel.headline(known).headline
      ),
      [
        "The database does not answer.",
        "Chat c: it is stuck.",
        "This node is not ready: it ends.",
        "Nothing is wrong."
      ]
    )
  })

  it("counts the other problems", () => {
    assert.strictEqual(
      StatusLevel.headline({ ...calm, problems: [problem, problem, problem] }).headline,
      "Chat c: it is stuck. And 2 more."
    )
  })

  it("counts the chats that want a look", () => {
    assert.deepStrictEqual(
      [1, 2].map((many) => StatusLevel.headline({ ...calm, chats: Array.from({ length: many }, () => warned) })),
      [
        { level: "warn", headline: "Nothing is stuck; one chat wants a look." },
        { level: "warn", headline: "Nothing is stuck; 2 chats want a look." }
      ]
    )
  })
})
