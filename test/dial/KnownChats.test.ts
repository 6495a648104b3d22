import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { ChatId } from "../../src/domain/Ids.ts"
import { ScriptedTransport, TestWorkspaces } from "../../src/testing/index.ts"

const chat = (name: string) => ChatId.make(name)

const connect = (name: string) =>
  Effect.flatMap(
    ChatWorkspaces,
    ({ open }) => Effect.flatMap(open(chat(name)), ({ use }) => Effect.exit(use(() => Effect.void)))
  )

describe("the chats that a node knows of", () => {
  it.effect("are those whose calls wait, then those that connected last", () =>
    Effect.gen(function*() {
      const { known } = yield* ChatWorkspaces
      const world = yield* TestWorkspaces.TestWorkspaces
      const transport = yield* ScriptedTransport.ScriptedTransport
      assert.deepStrictEqual(known(10), [])
      for (const name of ["a", "b", "c"]) {
        yield* world.running(chat(name))
        yield* connect(name)
      }
      yield* world.running(chat("never connected"))
      const { agentId } = yield* world.agentDead(chat("waits"))
      yield* Effect.forkChild(connect("waits"), { startImmediately: true })
      yield* transport.untilDialed(agentId, 1)
      assert.deepStrictEqual(known(10), ["waits", "c", "b", "a"].map(chat))
      assert.deepStrictEqual(known(2), ["waits", "c"].map(chat))
    }).pipe(TestWorkspaces.provide))
})
