import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as ProcessGroups from "../../../src/agent/program/ProcessGroups.ts"
import * as TokenFiles from "../../../src/provisioner/process/TokenFiles.ts"
import * as s from "../support/providing.ts"

const mode = (path: string): number => Fs.statSync(path).mode & 0o777

describe("TokenFiles", () => {
  it.effect("each token is in a file of its agent's name for this user alone, as long as the scope is open", () =>
    Effect.gen(function*() {
      const agents = [s.agent("one"), s.agent("two")]
      const folder = yield* Effect.scoped(Effect.map(TokenFiles.make(agents), (folder) => {
        assert.strictEqual(mode(folder), 0o700)
        for (const { name, token } of agents) {
          assert.strictEqual(Fs.readFileSync(Path.join(folder, name), "utf8"), Redacted.value(token))
          assert.strictEqual(mode(Path.join(folder, name)), 0o600)
        }
        return folder
      }))
      assert.isFalse(Fs.existsSync(folder))
    }))

  it.live("what a killed process left is removed, what a living one needs is not", () =>
    Effect.gen(function*() {
      const child = spawn("sleep", ["600"], { stdio: "ignore" })
      const pid = child.pid ?? assert.fail("no process")
      yield* s.killedAfter([pid])
      const start = ProcessGroups.startTime(pid)
      const folderOf = (start: number | null) =>
        Effect.acquireRelease(
          Effect.sync(() => Fs.mkdtempSync(Path.join(tmpdir(), TokenFiles.nameOf(pid, start)))),
          (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
        )
      const living = yield* folderOf(start)
      const ofAnEarlierOne = yield* folderOf((start ?? 0) - 1)
      yield* TokenFiles.make([s.agent()])
      assert.isTrue(Fs.existsSync(living))
      assert.isFalse(Fs.existsSync(ofAnEarlierOne))
      child.kill("SIGKILL")
      yield* s.eventually("it has ended", () => !s.isAlive(pid))
      yield* TokenFiles.make([s.agent()])
      assert.isFalse(Fs.existsSync(living))
    }))
})
