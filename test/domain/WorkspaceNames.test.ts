import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { WorkspaceName } from "../../src/domain/Workspace.ts"
import { candidates } from "../../src/domain/WorkspaceNames.ts"

const names = (wanted: string | undefined, templateName = "Node Service"): ReadonlyArray<string> =>
  candidates({ wanted, templateName, suffixes: ["0a1b", "ffff"] })

const long = "a".repeat(33)

describe("WorkspaceNames", () => {
  it("a valid wish comes first, then names made of it", () => {
    assert.deepStrictEqual(names("My-Shop2"), ["My-Shop2", "my-shop2-0a1b", "my-shop2-ffff"])
    assert.deepStrictEqual(names("  shop "), ["shop", "shop-0a1b", "shop-ffff"])
  })

  const table: ReadonlyArray<readonly [string | undefined, string]> = [
    [undefined, "nodeservice-0a1b"],
    ["   ", "nodeservice-0a1b"],
    ["Große Wäsche!", "groewsche-0a1b"],
    ["shop_1", "shop1-0a1b"],
    ["-a--b-", "a-b-0a1b"],
    ["日本", "workspace-0a1b"],
    ["---", "workspace-0a1b"],
    ["../../etc/passwd", "etcpasswd-0a1b"],
    [long, `${"a".repeat(27)}-0a1b`],
    [`${"a".repeat(26)}-${long}`, `${"a".repeat(26)}-0a1b`]
  ]

  it.each(table)("%j cannot be a name; %s is made of it", (wanted, expected) => {
    assert.strictEqual(names(wanted)[0], expected)
  })

  it("a template whose name has no letters of ours gives workspace", () => {
    assert.strictEqual(names(undefined, "日本")[0], "workspace-0a1b")
  })

  it.prop("whatever is wished, every name is one", { wanted: Schema.String, templateName: Schema.String }, (seeds) => {
    for (const name of candidates({ ...seeds, suffixes: ["0000", "beef"] })) {
      assert.isTrue(Schema.is(WorkspaceName)(name), name)
      assert.isAtMost(name.length, 32)
    }
  })
})
