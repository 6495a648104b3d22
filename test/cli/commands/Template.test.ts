import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Path from "node:path"
import { vi } from "vitest"
import { assertClear, run } from "../support/commandLine.ts"
import { command, templates } from "../support/templates.ts"

vi.setConfig({ testTimeout: 90_000 })

describe("chat-workspace template list", () => {
  it.live("lists the shipped templates, without a database", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(["template", "list"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /^local {2}Local folder {2}\(process\)$/m)
      assert.match(stdout, /^shell {2}Shell scripts {2}\(command\)$/m)
    }))

  it.live("leaves out what the owner may not use", () =>
    Effect.gen(function*() {
      const path = yield* templates({ private: { provider: command("true"), owners: ["ann"] } }, { local: true })
      const listed = yield* Effect.forEach(["ann", "bob"], (owner) =>
        Effect.map(
          run(["template", "list", "--templates", path, "--owner", owner]),
          ({ stdout }) => stdout.includes("private")
        ), { concurrency: 2 })
      assert.deepStrictEqual(listed, [true, false])
    }))

  it.live("a file that is wrong is named with its field, and nothing is listed", () =>
    Effect.gen(function*() {
      const path = yield* templates({
        broken: { provider: command("true"), parameters: [{ name: "size", type: "integer" }] }
      }, { local: true })
      const { code, stderr, stdout } = yield* run(["template", "list", "--templates", path])
      assert.deepStrictEqual([code, stdout], [1, ""])
      assertClear(stderr, Path.join(path, "broken", "template.json"), "parameters[0].type: ", "Mend the file")
    }))
})
