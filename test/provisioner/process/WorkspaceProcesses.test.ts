import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as WorkspaceProcesses from "../../../src/provisioner/process/WorkspaceProcesses.ts"
import * as s from "../support/providing.ts"

const sleeping = Effect.gen(function*() {
  const child = spawn("sleep", ["600"], {
    stdio: "ignore",
    env: { [WorkspaceProcesses.markVariable]: s.fresh("mark") }
  })
  const pid = child.pid ?? assert.fail("no process")
  yield* s.killedAfter([pid])
  return { child, pid }
})

const asked = [
  ["the kernel", WorkspaceProcesses.startedAt],
  ["ps", WorkspaceProcesses.startedAtByPs]
] as const

describe("WorkspaceProcesses", () => {
  for (const [name, startedAt] of asked) {
    it.live(`asked of ${name}, a process has one time of start, and none when it has ended`, () =>
      Effect.gen(function*() {
        const { child, pid } = yield* sleeping
        const first = startedAt(pid)
        assert.isNotNull(first)
        assert.strictEqual(startedAt(pid), first)
        assert.notStrictEqual(startedAt(1), first)
        child.kill("SIGKILL")
        yield* s.eventually("it has ended", () => startedAt(pid) === null)
      }))
  }
})
