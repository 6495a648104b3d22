import { assert, describe, it } from "@effect/vitest"
import * as ShellCommand from "../../src/tool/ShellCommand.ts"

const background = (command: string) => ShellCommand.parse(command, false)

describe("a single & at the end of a command", () => {
  it.each([
    ["npm start &", "npm start "],
    ["npm start&", "npm start"],
    ["a & b &", "a & b "],
    ["npm start & \n", "npm start "]
  ])("%j wishes for the background", (command, line) => {
    assert.deepStrictEqual(background(command), { line, background: true })
  })

  it.each(["a &&", "a && b", "a & b", "echo \"x &\"", "echo x \\&", "a &; b", "&", " & ", "a"])(
    "%j does not",
    (command) => {
      assert.deepStrictEqual(background(command), { line: command, background: false })
    }
  )

  it("changes nothing about a wish that was said", () => {
    assert.deepStrictEqual(ShellCommand.parse("a", true), { line: "a", background: true })
  })
})
