import { assert, describe, it } from "@effect/vitest"
import * as McpNames from "../../src/turn/McpNames.ts"

const names = (routes: ReadonlyArray<readonly [server: string, tool: string]>, taken: Iterable<string> = []) =>
  McpNames.assign(routes.map(([server, tool]) => ({ server, tool })), taken).map(([name, { server, tool }]) => [
    name,
    server,
    tool
  ])

describe("names of the workspace's own tools", () => {
  it("tell server and tool, in letters that every provider takes", () => {
    assert.deepStrictEqual(names([["files", "read"], ["my server", "größe.of/all"]]), [
      ["mcp_files_read", "files", "read"],
      ["mcp_my_server_gr__e_of_all", "my server", "größe.of/all"]
    ])
  })

  it("that collide are numbered by the names they are called under, in whatever order they come", () => {
    const expected = [
      ["mcp_a_b_c", "a", "b c"],
      ["mcp_a_b_c_2", "a", "b.c"],
      ["mcp_a_b_c_3", "a_b", "c"]
    ]
    assert.deepStrictEqual(names([["a_b", "c"], ["a", "b.c"], ["a", "b c"]]), expected)
    assert.deepStrictEqual(names([["a", "b c"], ["a_b", "c"], ["a", "b.c"]]), expected)
  })

  it("have 64 characters at most, with their number", () => {
    const server = "s".repeat(30)
    const whole = names([[server, "t".repeat(29)]])[0]?.[0] ?? ""
    assert.strictEqual(whole, `mcp_${server}_${"t".repeat(29)}`)
    assert.strictEqual(whole.length, 64)
    const [first, second] = names([[server, `${"t".repeat(29)}1`], [server, `${"t".repeat(29)}2`]])
    assert.strictEqual(first?.[0], whole)
    assert.strictEqual(second?.[0], `${whole.slice(0, 62)}_2`)
  })

  it("are never that of another tool", () => {
    assert.deepStrictEqual(names([["x", "y"], ["", "execute"]], ["mcp_x_y", "execute"]), [
      ["mcp__execute", "", "execute"],
      ["mcp_x_y_2", "x", "y"]
    ])
  })
})
