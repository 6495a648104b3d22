import { assert, describe, expect, it } from "@effect/vitest"
import { Context } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { ExecutionTools } from "../../src/tool/ExecutionTools.ts"
import { FileTools } from "../../src/tool/FileTools.ts"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"

const tools = Object.values(Toolkit.merge(LifecycleTools, ExecutionTools, FileTools).tools)

/** What a model and a user of the MCP server are told of a tool. */
const told = (tool: (typeof tools)[number]) => ({
  name: tool.name,
  title: Context.getOrUndefined(tool.annotations, Tool.Title),
  description: Tool.getDescription(tool),
  hints: {
    readonly: Context.get(tool.annotations, Tool.Readonly),
    destructive: Context.get(tool.annotations, Tool.Destructive),
    idempotent: Context.get(tool.annotations, Tool.Idempotent),
    openWorld: Context.get(tool.annotations, Tool.OpenWorld)
  },
  parameters: Tool.getJsonSchema(tool),
  success: Tool.getJsonSchemaFromSchema(tool.successSchema)
})

describe("the contract of the tools", () => {
  it("is what it was", () =>
    expect(`${JSON.stringify(tools.map(told), null, 2)}\n`).toMatchFileSnapshot("fixtures/contract.json"))

  it.each(tools.map((tool) => [tool.name, tool] as const))("%s reads well to every provider", (name, tool) => {
    const { description = "", parameters } = told(tool)
    assert.match(name, /^[a-z_]{1,64}$/)
    assert.isAtLeast(description.length, 100)
    assert.isAtMost(description.length, 2048)
    assert.strictEqual(tool.failureMode, "return")
    assert.strictEqual(parameters["type"], "object")
    const text = JSON.stringify(parameters)
    // Providers refuse tuples, and unions at the root.
    for (const word of ["prefixItems", "$ref"]) assert.notInclude(text, word)
    assert.isUndefined(parameters["anyOf"])
  })

  it.each(tools.map((tool) => [tool.name, tool] as const))(
    "%s names only tools, fields and values that there are",
    (_, tool) => {
      const words = JSON.stringify(tools.map(told)).matchAll(/"([a-z]+(?:_[a-z]+)+)"/g)
      const known = new Set([...tools.map(({ name }) => name), ...Array.from(words, ([, word]) => word)])
      for (const [word] of (Tool.getDescription(tool) ?? "").matchAll(/\b[a-z]+(?:_[a-z]+)+\b/g)) {
        assert.isTrue(known.has(word), word)
      }
    }
  )
})
