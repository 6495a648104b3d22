import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Schedule } from "effect"
import { writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { ChatWorkspaces } from "../../src/dial/index.ts"
import { Ids } from "../../src/domain/index.ts"
import { ChatBindings, WorkspaceAgents } from "../../src/store/index.ts"
import { TurnConfig, WorkspaceMcp } from "../../src/turn/index.ts"
import * as h from "../agent/support/harness.ts"
import * as t from "../tool/support/calls.ts"

const layerStores = Layer.mergeAll(ChatBindings.layerMemory, WorkspaceAgents.layerMemory).pipe(
  Layer.provideMerge(h.layerStores)
)

/** The program of a package, to be run by this Node. */
const script = (name: string): string =>
  Path.join(
    Path.dirname(createRequire(import.meta.url).resolve(`@modelcontextprotocol/${name}/package.json`)),
    "dist/index.js"
  )

describe("the tools of a real workspace", () => {
  it.live("are found and called, whatever else its servers do", () =>
    Effect.gen(function*() {
      const server = yield* h.start()
      const { token, workspaceId } = yield* h.enroll()
      const chatId = Ids.ChatId.make(h.fresh("chat"))
      const bindings = yield* ChatBindings.ChatBindings
      yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId })
      const { directory } = yield* h.startProgram(server.port, token)
      writeFileSync(Path.join(directory, "note.txt"), "Read me.")
      const node = process.execPath
      writeFileSync(
        Path.join(directory, ".mcp.json"),
        JSON.stringify({
          mcpServers: {
            everything: { command: node, args: [script("server-everything")] },
            "file system": { command: node, args: [script("server-filesystem"), directory] },
            hangs: { command: node, args: ["-e", "setInterval(() => {}, 1000)"] },
            missing: { command: "no-such-program" }
          }
        })
      )
      const turns = yield* Layer.build(
        Layer.merge(WorkspaceMcp.layer, ChatWorkspaces.layer).pipe(
          Layer.provide(TurnConfig.layer({ workspaceMcp: "all", setupWait: "4 seconds" })),
          Layer.provide(Layer.succeedContext(server.context))
        )
      )
      const workspace = yield* Context.get(turns, ChatWorkspaces.ChatWorkspaces).open(chatId)
      const { listing, toolkit } = yield* Context.get(turns, WorkspaceMcp.WorkspaceMcp).discover({
        workspace,
        audience: { toolNames: ["execute"] }
      }).pipe(
        // On a machine with much else to do they may not start in time; then it is as in a later turn.
        Effect.repeat({
          until: ({ listing: { servers } }) =>
            servers.filter(({ state }) => state === "ready").length === 2 &&
            servers.some(({ name, reason }) => name === "missing" && reason !== null),
          schedule: Schedule.spaced("100 millis")
        })
      )
      const servers = new Map(listing.servers.map((server) => [server.name, server]))
      assert.deepStrictEqual(Array.from(servers.keys()), ["everything", "file system", "hangs", "missing"])
      assert.notStrictEqual(servers.get("hangs")?.state, "ready")
      assert.notStrictEqual(servers.get("missing")?.state, "ready")

      const names = Object.keys(toolkit.tools)
      assert.include(names, "mcp_everything_echo")
      assert.deepStrictEqual(yield* t.call(toolkit, "mcp_everything_echo", { message: "hi" }), {
        isFailure: false,
        result: { output: "Echo: hi" }
      })
      const path = Path.join(directory, "note.txt")
      const read = yield* t.call(toolkit, "mcp_file_system_read_text_file", { path })
      assert.deepStrictEqual(read, { isFailure: false, result: { output: "Read me." } })
      const outside = yield* t.call(toolkit, "mcp_file_system_read_text_file", { path: "/etc/hostname" })
      assert.isTrue(outside.result.is_error)
    }).pipe(Effect.scoped, Effect.provide([layerStores, Logger.layer([])])), 180_000)
})
