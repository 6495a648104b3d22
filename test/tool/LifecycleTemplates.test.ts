import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import * as TestBuilds from "../../src/testing/TestBuilds.ts"
import * as LifecycleTemplates from "../../src/tool/LifecycleTemplates.ts"
import * as ToolConfig from "../../src/tool/ToolConfig.ts"
import { test } from "./LifecycleWorld.ts"

describe("list_templates", () => {
  test("lists by name what the owner may use, and reads nothing of the chat", ({ turn, world }) =>
    Effect.gen(function*() {
      const { call } = yield* turn()
      const [{ result }, { queries }] = yield* world.counted(call("list_templates"))
      assert.deepStrictEqual(result, {
        templates: ["template", "no-agent", "strict", "two-agents"].map((id) => ({
          id,
          name: id === "template" ? "Test" : id,
          description: "A workspace for tests."
        })),
        count: 4,
        page: 1,
        total_pages: 1,
        total_count: 4
      })
      assert.strictEqual(queries.binding, 0)
    }))

  test("finds those in which all words stand, in any case and order", ({ turn }) =>
    Effect.gen(function*() {
      const { call } = yield* turn()
      const { result } = yield* call("list_templates", { query: " TESTS  agent " })
      assert.deepInclude(result, { count: 2, total_count: 2 })
      assert.deepInclude((yield* call("list_templates", { query: "nothing of this" })).result, {
        templates: [],
        total_pages: 1,
        total_count: 0
      })
    }))

  test(
    "shows a page, also an empty one behind the last; what is before the first is the first",
    ({ turn }) =>
      Effect.gen(function*() {
        const { call } = yield* turn()
        const page = (page: number) => Effect.map(call("list_templates", { page }), ({ result }) => result)
        assert.deepInclude(yield* page(1), { count: 3, page: 1, total_pages: 2, total_count: 4 })
        assert.deepInclude(yield* page(2), { count: 1, page: 2, total_pages: 2, total_count: 4 })
        assert.deepInclude(yield* page(3), { templates: [], count: 0, page: 3, total_pages: 2 })
        assert.deepInclude(yield* page(0), { count: 3, page: 1 })
      }),
    ToolConfig.layer({ templatesPage: 3 })
  )
})

describe("read_template", () => {
  test("shows the parameters with all that limits them", ({ turn }) =>
    Effect.gen(function*() {
      const { result } = yield* (yield* turn()).call("read_template", { template_id: "strict" })
      assert.deepStrictEqual(result, {
        template: { id: "strict", name: "strict", description: "A workspace for tests." },
        parameters: [
          { name: "region", type: "string", required: true, options: ["eu", "us"] },
          { name: "memory", type: "number", required: false, default: 2, validation_min: 1, validation_max: 8 }
        ]
      })
    }))

  for (const template_id of ["none", "of-others", "", "x".repeat(1_000)]) {
    test(`finds no template "${template_id.slice(0, 10)}"`, ({ turn }) =>
      Effect.gen(function*() {
        const { isFailure, result } = yield* (yield* turn()).call("read_template", { template_id })
        assert.deepStrictEqual([isFailure, result["error"], result["retry"]], [true, "template_not_found", "never"])
      }))
  }

  test("cuts long texts, and whole characters of them", () =>
    Effect.sync(() => {
      const { parameters, template } = LifecycleTemplates.read(
        new Template({
          ...TestBuilds.template,
          templateId: TemplateId.make("long"),
          readme: "é".repeat(8_001),
          parameters: [{ name: "long", type: "string", pattern: "a+", description: "🙂".repeat(400) }]
        })
      )
      assert.strictEqual(template.readme, `${"é".repeat(8_000)}…`)
      assert.deepInclude(parameters[0], { validation_regex: "a+", description: `${"🙂".repeat(150)}…` })
    }))
})
