import { assert, describe, it } from "@effect/vitest"
import { Context, Schema } from "effect"
import { Tool } from "effect/ai"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"

const tools = Object.values(LifecycleTools.tools)

describe("LifecycleTools", () => {
  it("answer failures as results, and never fail a run", () => {
    for (const { failureMode } of tools) assert.strictEqual(failureMode, "return")
  })

  it("take and give objects, as every protocol of tools asks for", () => {
    for (const tool of tools) {
      assert.strictEqual(Tool.getJsonSchema(tool)["type"], "object", tool.name)
      assert.strictEqual(Schema.toJsonSchemaDocument(tool.successSchema).schema["type"], "object", tool.name)
    }
  })

  it("say which of them only read, and which end what runs", () => {
    const named = (key: Context.Reference<boolean>) =>
      tools.filter(({ annotations }) => Context.get(annotations, key)).map(({ name }) => name)
    assert.deepStrictEqual(named(Tool.Readonly), ["list_templates", "read_template"])
    assert.deepStrictEqual(named(Tool.Destructive), ["stop_workspace"])
  })
})
