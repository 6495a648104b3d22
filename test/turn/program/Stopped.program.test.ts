/**
 * The scenarios of a chat whose workspace runs, stops, is built anew and starts again, as whole turns: a scripted model,
 * PostgreSQL, the gateway on a socket, and agents that are processes.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { ChatWorkspaces } from "../../../src/dial/index.ts"
import { ScriptedModel, ScriptedStores } from "../../../src/testing/index.ts"
import { emptyDatabase } from "../../postgres.ts"
import { eventually } from "../../tool/program/support/Backends.ts"
import * as talk from "./support/Talk.ts"
import * as world from "./support/World.ts"

const { call, calls, say } = ScriptedModel

/** Whether the model starts at once is seen beside this wait, which is far above what anything takes. */
const all = Layer.provideMerge(world.layer({ setupWait: "60 seconds" }), emptyDatabase())

/** Milliseconds: far below that wait, and above what a machine with much else to do needs for nothing. */
const atOnce = 15_000

const content: world.Content = { instructions: "Indent with tabs.", servers: { notes: "plain" } }

const command = { command: "echo \"$CHAT_WORKSPACE\"" }
const execute = call("execute", command)
const executed = { success: true, output: "1\n" }

/** What a chat has of the module itself. */
const own = [
  "list_templates",
  "read_template",
  "create_workspace",
  "start_workspace",
  "stop_workspace",
  "execute",
  "process_output",
  "process_list",
  "process_signal",
  "read_file",
  "write_file",
  "edit_files"
]

/** And of a server of its workspace. */
const of = (server: string) =>
  ["dies", "echo", "env", "fails", "huge", "refuses", "slow"].map((tool) => `mcp_${server}_${tool}`)

const stopped = {
  error: "no_workspace_agent",
  message:
    "The workspace is stopped. Call start_workspace, which waits until the workspace is ready. Then repeat the call.",
  retry: "after-recovery"
}

/** The chat's row, and what is stored for it: nothing about its workspace or agent. */
const known = { binding: 1, storedFiles: 1 }

/** The remembered agent is read and dialed, and the latest build says that there is none. */
const foundStopped = { agent: 1, latestBuild: 1, dials: 1 }

/** A chat that has had a turn in its running workspace. */
const worked = Effect.fnUntraced(function*() {
  const places = yield* world.World
  const { agentId, workspaceId } = yield* places.running(content)
  const chatId = yield* places.chat(workspaceId)
  const first = yield* talk.turn(chatId, [execute, say("Done.")])
  assert.deepStrictEqual(first.end, talk.done)
  return { places, agentId, workspaceId, chatId, first, row: yield* places.row(chatId) }
})

const offered = (turn: { readonly requests: ReadonlyArray<ScriptedModel.Request> }, position = 0) => {
  const request = turn.requests[position] ?? assert.fail(`the model was asked fewer than ${position + 1} times`)
  return { system: talk.systemOf(request), tools: talk.toolsOf(request), results: talk.resultsOf(request) }
}

layer(all, { excludeTestServices: true, timeout: "60 seconds" })("a whole turn", (it) => {
  const scenario = (
    name: string,
    body: () => Effect.Effect<void, unknown, Layer.Success<typeof all> | Scope.Scope>
  ) => it.effect(name, body, 120_000)

  scenario(
    "in a running workspace, not the first: the setup asks nothing and dials nobody",
    () =>
      Effect.gen(function*() {
        const { chatId, places, row } = yield* worked()
        const turn = yield* talk.turn(chatId, [
          calls(["execute", command], ["mcp_notes_echo", { text: "hi" }]),
          say("Done.")
        ])
        const { system, tools } = offered(turn)
        assert.include(system, "Be brief.")
        assert.include(system, "Indent with tabs.")
        assert.deepStrictEqual(tools, [...own, ...of("notes")])
        const [first, second] = offered(turn, 1).results
        assert.deepInclude(first, executed)
        assert.deepStrictEqual(second, { output: "{\"text\":\"hi\"}" })
        assert.deepStrictEqual(turn.spent, [known, {}])
        assert.deepStrictEqual([turn.dialed, turn.paths, turn.notices], [[], [], []])
        assert.isBelow(turn.modelAfter, atOnce)
        assert.deepStrictEqual(turn.end, talk.done)
        assert.deepStrictEqual(yield* places.row(chatId), row)
      })
  )

  scenario(
    "in a workspace that was stopped: the model starts at once, is told, starts it, and goes on in it",
    () =>
      Effect.gen(function*() {
        const { agentId, chatId, places, row, workspaceId } = yield* worked()
        yield* places.stop(workspaceId)
        const turn = yield* talk.turn(chatId, [execute, call("start_workspace"), execute, say("Done.")])
        // What is remembered is old, and does no harm: it fails where it is used.
        const { system, tools } = offered(turn)
        assert.include(system, "Indent with tabs.")
        assert.deepStrictEqual(tools, [...own, ...of("notes")])
        assert.isBelow(turn.modelAfter, atOnce)
        assert.deepStrictEqual(offered(turn, 1).results, [stopped])
        const now = yield* places.row(chatId)
        const [started] = offered(turn, 2).results
        assert.deepInclude(started, { started: true, workspace_id: workspaceId, build_id: now.buildId })
        assert.deepInclude(offered(turn, 3).results[0], executed)
        assert.deepStrictEqual(turn.end, talk.done)

        // A start binds the new build without an agent, and the call behind it the agent.
        assert.deepStrictEqual(turn.spent, [
          known,
          foundStopped,
          { binding: 1 },
          { latestBuild: 1, bindAgent: 1, dials: 1 }
        ])
        assert.deepStrictEqual(turn.paths, [null, "fast"])
        assert.deepStrictEqual(turn.dialed, [agentId, now.agentId])
        assert.notStrictEqual(now.agentId, agentId)
        assert.strictEqual(now.generation, row.generation + 2)
        assert.strictEqual(yield* places.waiting(agentId), 0)
      })
  )

  scenario(
    "of a new chat in a running workspace: its agent is bound, and its tools and files are found",
    () =>
      Effect.gen(function*() {
        const places = yield* world.World
        const { agentId, workspaceId } = yield* places.running(content)
        const chatId = yield* places.chat(workspaceId)
        assert.deepInclude(yield* places.row(chatId), { agentId: null, generation: 1 })
        const turn = yield* talk.turn(chatId, [execute, say("Done.")])
        const { system, tools } = offered(turn)
        assert.include(system, "Source: AGENTS.md\nIndent with tabs.")
        assert.deepStrictEqual(tools, [...own, ...of("notes")])
        assert.deepInclude(offered(turn, 1).results[0], executed)
        assert.deepStrictEqual(turn.spent, [
          // Both parts of the setup ask which agent is current, and their one flight does.
          { binding: 1, latestBuild: 3, bindAgent: 1, storedFiles: 1, storeFiles: 1, dials: 1, lists: 1, reads: 1 },
          {}
        ])
        assert.deepStrictEqual([turn.dialed, turn.paths, turn.notices], [[agentId], ["fast"], []])
        assert.deepStrictEqual(turn.end, talk.done)
        assert.deepInclude(yield* places.row(chatId), { workspaceId, agentId, generation: 2 })
      })
  )

  scenario(
    "of a new chat in a stopped workspace: the model starts at once, with the tools it always has",
    () =>
      Effect.gen(function*() {
        const places = yield* world.World
        const { workspaceId } = yield* places.running(content)
        yield* places.stop(workspaceId)
        const chatId = yield* places.chat(workspaceId)
        const turn = yield* talk.turn(chatId, [execute, say("It is stopped.")])
        const { system, tools } = offered(turn)
        assert.deepStrictEqual(tools, own)
        assert.notInclude(system, "Indent with tabs.")
        assert.deepStrictEqual(turn.notices, ["The workspace is stopped."])
        assert.include(system, "- The workspace is stopped.")
        assert.isBelow(turn.modelAfter, atOnce)
        assert.deepStrictEqual(offered(turn, 1).results, [stopped])
        assert.deepStrictEqual(turn.spent, [{ binding: 1, latestBuild: 2 }, { latestBuild: 1 }])
        assert.deepStrictEqual([turn.dialed, turn.paths], [[], [null]])
        assert.deepStrictEqual(turn.end, talk.done)
        assert.deepInclude(yield* places.row(chatId), { agentId: null, generation: 1 })
      })
  )

  scenario(
    "in a workspace that was built anew: a call moves to its new agent, and an old list does no harm",
    () =>
      Effect.gen(function*() {
        const { agentId, chatId, places, row, workspaceId } = yield* worked()
        yield* places.stop(workspaceId)
        const next = yield* places.start(workspaceId)
        yield* places.write(workspaceId, { instructions: "Indent with spaces.", servers: { records: "plain" } })
        const turn = yield* talk.turn(chatId, [execute, call("mcp_notes_echo", {}), say("Done.")])
        assert.deepStrictEqual(offered(turn).tools, [...own, ...of("notes")])
        assert.deepInclude(offered(turn, 1).results[0], executed)
        assert.deepInclude(offered(turn, 2).results[0], { error: "mcp_refused", retry: "never" })
        assert.deepStrictEqual(turn.spent, [known, { ...foundStopped, bindAgent: 1, dials: 2 }, {}])
        assert.deepStrictEqual([turn.dialed, turn.paths], [[agentId, next], ["switched"]])
        assert.deepStrictEqual(turn.end, talk.done)
        const now = yield* places.row(chatId)
        assert.deepInclude(now, { workspaceId, agentId: next, generation: row.generation + 1 })

        const after = yield* talk.turn(chatId, [say("Done.")])
        assert.deepStrictEqual(offered(after).tools, [...own, ...of("records")])
        assert.include(offered(after).system, "Indent with spaces.")
        assert.deepStrictEqual(after.spent, [{ ...known, latestBuild: 2, storeFiles: 1, lists: 1, reads: 1 }])
        assert.deepStrictEqual(after.dialed, [])
        assert.deepStrictEqual(yield* places.row(chatId), now)
      })
  )

  scenario(
    "in a workspace that was stopped and started: what the stopped turn did not store is read now",
    () =>
      Effect.gen(function*() {
        const places = yield* world.World
        const { agentId, workspaceId } = yield* places.running(content)
        const chatId = yield* places.chat(workspaceId)
        // It has an agent, and never had a turn.
        const workspace = yield* Effect.flatMap(ChatWorkspaces.ChatWorkspaces, ({ open }) => open(chatId))
        yield* workspace.use(() => Effect.void)
        const bound = yield* places.row(chatId)
        assert.strictEqual(bound.agentId, agentId)

        yield* places.stop(workspaceId)
        const during = yield* talk.turn(chatId, [say("It is stopped.")])
        assert.deepStrictEqual(offered(during).tools, own)
        assert.notInclude(offered(during).system, "Indent with tabs.")
        assert.deepStrictEqual(during.notices, ["The workspace is stopped."])
        assert.deepStrictEqual(during.spent, [{ ...known, latestBuild: 2 }])
        assert.deepStrictEqual([during.dialed, during.paths], [[], []])
        assert.deepStrictEqual(during.end, talk.done)

        const next = yield* places.start(workspaceId)
        const after = yield* talk.turn(chatId, [execute, say("Done.")])
        assert.include(offered(after).system, "Indent with tabs.")
        assert.deepStrictEqual(offered(after).tools, [...own, ...of("notes")])
        assert.deepInclude(offered(after, 1).results[0], executed)
        assert.deepStrictEqual(after.spent, [
          // Nothing is stored for the old agent, and nothing for the new one.
          {
            binding: 1,
            agent: 1,
            latestBuild: 3,
            bindAgent: 1,
            storedFiles: 2,
            storeFiles: 1,
            dials: 2,
            lists: 1,
            reads: 1
          },
          {}
        ])
        assert.deepStrictEqual([after.dialed, after.paths, after.notices], [[agentId, next], ["switched"], []])
        assert.deepStrictEqual(after.end, talk.done)
        assert.deepInclude(yield* places.row(chatId), { agentId: next, generation: bound.generation + 1 })

        const later = yield* talk.turn(chatId, [say("Done.")])
        assert.include(offered(later).system, "Indent with tabs.")
        assert.deepStrictEqual(later.spent, [known])
      })
  )

  scenario(
    "with a database that cannot say which agent is right: the call waits for its dial, and gets its result",
    () =>
      Effect.gen(function*() {
        const { agentId, chatId, places, row } = yield* worked()
        const stores = yield* ScriptedStores.ScriptedStores
        yield* Effect.addFinalizer(() => Effect.andThen(stores.heal(), places.heal))
        yield* places.cut(agentId)
        yield* stores.fail(["latestBuild"])
        const asked = stores.counts().latestBuild
        const running = yield* Effect.forkChild(talk.turn(chatId, [execute, say("Done.")]))
        yield* eventually("it was asked", Effect.sync(() => stores.counts().latestBuild), (count) => count > asked)
        yield* eventually("the dial waits", places.waiting(agentId), (count) => count === 1)
        yield* places.heal
        const turn = yield* Fiber.join(running)
        assert.deepInclude(offered(turn, 1).results[0], executed)
        assert.deepStrictEqual(turn.spent, [known, { agent: 1, latestBuild: 1, dials: 1 }])
        assert.deepStrictEqual([turn.dialed, turn.paths], [[agentId], ["fast"]])
        assert.deepStrictEqual(turn.end, talk.done)
        assert.deepStrictEqual(yield* places.row(chatId), row)
      })
  )

  scenario(
    "with several calls in a stopped workspace: one finds out, and it holds for its step alone",
    () =>
      Effect.gen(function*() {
        const { agentId, chatId, places, workspaceId } = yield* worked()
        yield* places.stop(workspaceId)
        const step = calls(["execute", command], ["mcp_notes_echo", {}], ["read_file", { path: "AGENTS.md" }])
        // One after the other: together they would share a flight.
        const turn = yield* talk.turn(chatId, [step, execute, say("It is stopped.")], { calls: 1 })
        const [first, ...others] = offered(turn, 1).results
        assert.deepStrictEqual(first, stopped)
        assert.lengthOf(others, 2)
        for (const other of others) {
          assert.deepInclude(other, { error: stopped.error, retry: stopped.retry })
          assert.match(
            String(other["message"]),
            /^The workspace is in the state that another call of this step was told of/
          )
        }
        assert.deepStrictEqual(offered(turn, 2).results, [stopped])
        assert.deepStrictEqual(turn.spent, [known, foundStopped, foundStopped])
        assert.deepStrictEqual([turn.dialed, turn.paths], [[agentId, agentId], [null, null]])
        assert.deepStrictEqual(turn.end, talk.done)
        assert.strictEqual(yield* places.waiting(agentId), 0)

        const next = yield* places.start(workspaceId)
        const after = yield* talk.turn(chatId, [execute, say("Done.")])
        assert.deepInclude(offered(after, 1).results[0], executed)
        assert.deepStrictEqual(after.spent, [known, { ...foundStopped, bindAgent: 1, dials: 2 }])
        assert.deepStrictEqual([after.dialed, after.paths], [[agentId, next], ["switched"]])
        assert.deepStrictEqual(after.end, talk.done)
      })
  )
})
