import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { ChatWorkspaces } from "../../src/dial/index.ts"
import { Ids } from "../../src/domain/index.ts"
import { ChatBindings, InstructionStore, WorkspaceAgents } from "../../src/store/index.ts"
import { InstructionFiles, TurnConfig } from "../../src/turn/index.ts"
import * as h from "../agent/support/harness.ts"

const layerStores = Layer.mergeAll(
  ChatBindings.layerMemory,
  WorkspaceAgents.layerMemory,
  InstructionStore.layerMemory
).pipe(Layer.provideMerge(h.layerStores))

const secret = "-----BEGIN OPENSSH PRIVATE KEY-----"

/** A folder outside the workspace, with a private key in it. */
const outside = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(Path.join(tmpdir(), "outside-"))
    writeFileSync(Path.join(folder, "id_ed25519"), secret)
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

describe("instruction files of a real workspace", () => {
  it.live("are read, but no private key that a link of the repository leads to", () =>
    Effect.gen(function*() {
      const folder = yield* outside
      const server = yield* h.start()
      const { token, workspaceId } = yield* h.enroll()
      const chatId = Ids.ChatId.make(h.fresh("chat"))
      const bindings = yield* ChatBindings.ChatBindings
      yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId })
      const { directory } = yield* h.startProgram(server.port, token)
      mkdirSync(Path.join(directory, "docs"))
      writeFileSync(Path.join(directory, "docs", "RULES.md"), "Use tabs.")
      symlinkSync(Path.join(folder, "id_ed25519"), Path.join(directory, "AGENTS.md"))
      symlinkSync(folder, Path.join(directory, "keys"))

      const names = ["AGENTS.md", "keys/id_ed25519", "docs/RULES.md", Path.join(folder, "id_ed25519"), "docs"]
      const turns = yield* Layer.build(
        Layer.merge(InstructionFiles.layer, ChatWorkspaces.layer).pipe(
          // Far above what the reads take, on a machine with much else to do.
          Layer.provide(TurnConfig.layer({ instructionNames: names, setupWait: "30 seconds" })),
          Layer.provide(Layer.succeedContext(server.context))
        )
      )
      const workspace = yield* Context.get(turns, ChatWorkspaces.ChatWorkspaces).open(chatId)
      const read = yield* Context.get(turns, InstructionFiles.InstructionFiles).read(workspace)
      assert.deepStrictEqual(read, {
        files: [{ path: "docs/RULES.md", content: "Use tabs.", size: 9, truncated: false }],
        outcome: "read",
        error: null
      })
    }).pipe(Effect.scoped, Effect.provide([layerStores, Logger.layer([])])), 120_000)
})
