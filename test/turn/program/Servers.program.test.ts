/** Whole turns in workspaces whose servers are in the way: none holds up a turn, and what is wrong with it is said. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { ScriptedModel } from "../../../src/testing/index.ts"
import { emptyDatabase } from "../../postgres.ts"
import * as talk from "./support/Talk.ts"
import * as world from "./support/World.ts"

const { call, calls, say } = ScriptedModel

/** A new chat in a workspace with these servers. */
const chatWith = Effect.fnUntraced(function*(servers: Readonly<Record<string, string>>) {
  const places = yield* world.World
  const { workspaceId } = yield* places.running({ instructions: "Indent with tabs.", servers })
  return { chatId: yield* places.chat(workspaceId), called: (server: string) => places.called(workspaceId, server) }
})

const patient = Layer.provideMerge(world.layer({ setupWait: "60 seconds" }), emptyDatabase())
const usual = Layer.provideMerge(world.layer({}), emptyDatabase())

type Services = Layer.Success<typeof patient> | Scope.Scope

layer(patient, { excludeTestServices: true, timeout: "60 seconds" })("a whole turn with a server", (it) => {
  const test = (name: string, body: () => Effect.Effect<void, unknown, Services>) => it.effect(name, body, 120_000)

  test("whose names are those of another, or of a tool of the chat: each has its own, and is called by it", () =>
    Effect.gen(function*() {
      const { called, chatId } = yield* chatWith({ "a b": "shadows", "a_b": "shadows", execute: "shadows" })
      const turn = yield* talk.turn(chatId, [
        calls(["execute", { command: "echo own" }], ["mcp_a_b_execute", {}]),
        call("mcp_a_b_execute_2"),
        say("Done.")
      ])
      const [first, second, third] = turn.requests
      assert.deepStrictEqual(
        first && talk.toolsOf(first).filter((name) => name.includes("execute")),
        ["execute", "mcp_a_b_execute", "mcp_a_b_execute_2", "mcp_execute_execute"]
      )
      const [ours, theirs] = second === undefined ? [] : talk.resultsOf(second)
      assert.deepInclude(ours, { success: true, output: "own\n" })
      assert.include(String(theirs?.["output"]), "execute was called")
      assert.include(String(third && talk.resultsOf(third)[0]?.["output"]), "execute was called")
      assert.deepStrictEqual(["a b", "a_b", "execute"].map(called), [1, 1, 0])
      assert.deepStrictEqual(turn.notices, [])
      assert.deepStrictEqual(turn.end, talk.done)
    }))

  test("whose result is 10 MB: the model reads its beginning and end, and the next call is answered", () =>
    Effect.gen(function*() {
      const { chatId } = yield* chatWith({ notes: "plain" })
      const turn = yield* talk.turn(chatId, [
        call("mcp_notes_huge"),
        call("execute", { command: "echo on" }),
        say("Done.")
      ])
      const [, second, third] = turn.requests
      const [huge] = second === undefined ? [] : talk.resultsOf(second)
      assert.strictEqual(huge?.["truncated"], true)
      const bytes = Buffer.byteLength(String(huge?.["output"]))
      assert.isAbove(bytes, 30 * 1024)
      assert.isBelow(bytes, 33 * 1024)
      assert.deepInclude(third && talk.resultsOf(third)[0], { success: true, output: "on\n" })
      assert.deepStrictEqual(turn.spent.slice(1), [{}, {}])
      assert.deepStrictEqual(turn.end, talk.done)
    }))
})

layer(usual, { excludeTestServices: true, timeout: "60 seconds" })("a whole turn with a server", (it) => {
  it.effect(
    "that hangs or crashes at its start begins within the bound, says so, and soon has the tools of the others",
    () =>
      Effect.gen(function*() {
        const { chatId } = yield* chatWith({ crashes: "crashes", hangs: "hangs", notes: "plain" })
        // On a machine with much else to do the others may not start in time either; then they are there in a later turn.
        const turn = Effect.map(
          talk.turn(chatId, [say("Done.")]),
          ({ end, modelAfter, notices, requests: [request] }) => {
            assert.deepStrictEqual(end, talk.done)
            assert.isBelow(modelAfter, given)
            assert.isNotEmpty(notices)
            return { notices, tools: request === undefined ? [] : talk.toolsOf(request) }
          }
        )
        const { notices, tools } = yield* Effect.repeat(turn, {
          until: ({ tools }) => tools.includes("mcp_notes_echo")
        })
        assert.lengthOf(notices, 2)
        for (const [index, server] of ["crashes", "hangs"].entries()) {
          const said = new RegExp(`^The workspace's MCP server "${server}" (has not started yet|gives no tools): it `)
          assert.match(String(notices[index]), said)
        }
        assert.deepStrictEqual(tools.filter((name) => /^mcp_(crashes|hangs)_/.test(name)), [])
      }),
    120_000
  )
})

/** Milliseconds: below the 30 s after which the agent gives up a server, and far above the bound of 5 s. */
const given = 20_000
