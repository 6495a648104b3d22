import { assert, describe, it } from "@effect/vitest"
import { merged, Outages } from "./Outages.ts"

describe("outages", () => {
  it("count overlapping time once", () => {
    assert.deepStrictEqual(merged([[5, 6], [1, 3], [2, 4], [4, 5], [8, 9], [8, 8]]), [[1, 6], [8, 9]])
    assert.deepStrictEqual(merged([]), [])
  })

  it("are of the parts that are meant, and end when the part is whole", () => {
    const outages = new Outages()
    const over = outages.begin("link", 1)
    const links = outages.of((part, index) => part === "link" && index === 1)
    assert.deepStrictEqual(outages.of((part, index) => part === "link" && index === 2)(), [])
    const [lasting] = links()
    over()
    const [ended] = links()
    assert.strictEqual(lasting?.[0], ended?.[0])
    assert.deepStrictEqual(links(), ended === undefined ? [] : [ended])
    const after = performance.now() + 1
    assert.isTrue(outages.since(ended?.[1] ?? 0, (part) => part === "link"))
    assert.isFalse(outages.since(after, (part) => part === "link"))
    assert.isFalse(outages.since(0, (part) => part === "agent"))
    outages.begin("link", 1)
    assert.isTrue(outages.since(after, (part) => part === "link"))
  })
})
