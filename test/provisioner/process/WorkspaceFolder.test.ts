import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { WorkspaceId } from "../../../src/domain/Ids.ts"
import * as WorkspaceFolder from "../../../src/provisioner/process/WorkspaceFolder.ts"
import * as s from "../support/providing.ts"

const at = (root: string, id = "w1") => WorkspaceFolder.make(root, WorkspaceId.make(id))

describe("WorkspaceFolder", () => {
  it("any id is one folder in the root, with a name that every file system takes, and no two share one", () => {
    const ids = [
      "plain",
      "Plain",
      ".",
      "..",
      "../../etc",
      "a/b",
      "a\\b",
      "a b",
      "a-b",
      "-rf",
      "\u{1f600}".repeat(64),
      "\u{1f601}".repeat(64),
      "x".repeat(128),
      `${"x".repeat(127)}y`,
      "CON",
      "~"
    ]
    const names = ids.map((id) => {
      const { path } = at("/root/of/all", id)
      assert.strictEqual(Path.dirname(path), "/root/of/all")
      assert.strictEqual(Path.normalize(path), path)
      return Path.basename(path)
    })
    for (const name of names) assert.match(name, /^[A-Za-z0-9-]{0,40}\.[0-9a-f]{32}$/)
    assert.strictEqual(new Set(names.map((name) => name.toLowerCase())).size, ids.length)
  })

  it.effect("what is noted is read again, and a file that cannot be read is as none", () =>
    Effect.gen(function*() {
      const folder = at(yield* s.folder)
      assert.isTrue(Option.isNone(WorkspaceFolder.load(folder)))
      const { mark } = yield* WorkspaceFolder.prepare(folder, "machine")
      const state = { mark, machine: "machine", agents: [{ name: "main", pid: 7, startedAt: "then" }] }
      WorkspaceFolder.save(folder, state)
      assert.deepStrictEqual(WorkspaceFolder.load(folder), Option.some(state))
      assert.strictEqual(Fs.statSync(Path.join(folder.path, "state.json")).mode & 0o777, 0o600)
      for (
        const text of ["", "{", JSON.stringify({ ...state, mark: "" }), JSON.stringify({ ...state, agents: [{}] })]
      ) {
        Fs.writeFileSync(Path.join(folder.path, "state.json"), text)
        assert.isTrue(Option.isNone(WorkspaceFolder.load(folder)))
      }
    }))

  it.effect("prepared again it has its files and its mark, and nothing of earlier agents", () =>
    Effect.gen(function*() {
      const root = yield* s.folder
      const folder = at(root)
      const first = yield* WorkspaceFolder.prepare(folder, "machine")
      Fs.writeFileSync(Path.join(folder.files, "file"), "kept")
      Fs.mkdirSync(folder.agent("main").path, { recursive: true })
      Fs.writeFileSync(folder.agent("main").token, "old")
      WorkspaceFolder.save(folder, { ...first, agents: [{ name: "main", pid: 7, startedAt: "then" }] })
      const second = yield* WorkspaceFolder.prepare(folder, "other")
      const { start, ...kept } = second
      assert.deepStrictEqual(kept, { mark: first.mark, machine: "other", agents: [] })
      assert.notStrictEqual(start, first.start)
      assert.deepStrictEqual(WorkspaceFolder.load(folder), Option.some(second))
      assert.isFalse(Fs.existsSync(folder.agent("main").path))
      assert.strictEqual(Fs.readFileSync(Path.join(folder.files, "file"), "utf8"), "kept")
      const other = yield* WorkspaceFolder.prepare(at(root, "w2"), "machine")
      assert.notStrictEqual(other.mark, first.mark)
    }))

  it.live("removed by a user who took away the right to write from a folder in it", () =>
    Effect.gen(function*() {
      const root = yield* s.folder
      const folder = at(root)
      yield* WorkspaceFolder.prepare(folder, "machine")
      spawnSync("sh", ["-c", "mkdir -p cache/deep; touch cache/deep/file; chmod -R a-w cache"], { cwd: folder.files })
      const uid = process.getuid?.() === 0 ? 65_534 : undefined
      if (uid !== undefined) spawnSync("chown", ["-R", String(uid), root])
      // Nothing keeps root from writing: the removal is run by another user.
      const script = `
        import { Effect } from "effect"
        import * as WorkspaceFolder from ${JSON.stringify(source)}
        await Effect.runPromise(WorkspaceFolder.remove(WorkspaceFolder.make(${JSON.stringify(root)}, "w1")))
      `
      const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        cwd: process.cwd(),
        encoding: "utf8",
        ...(uid === undefined ? {} : { uid, gid: uid })
      })
      assert.isFalse(Fs.existsSync(folder.path), stderr)
    }), 30_000)

  it.effect("what is not there is removed without a failure", () =>
    Effect.gen(function*() {
      yield* WorkspaceFolder.remove(at(yield* s.folder))
    }))
})

const source = new URL("../../../src/provisioner/process/WorkspaceFolder.ts", import.meta.url).pathname
