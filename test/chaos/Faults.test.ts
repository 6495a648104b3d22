import { assert, describe, it } from "@effect/vitest"
import * as Chance from "../security/fuzz/Chance.ts"
import * as Faults from "./Faults.ts"

const drawn = (seed: number, seconds: number, nats = false) =>
  Faults.draw(Chance.make(seed, "faults"), { backends: 2, workspaces: 3, nats, built: 2, users: 3 }, seconds * 1000)

describe("faults", () => {
  it("are the same for the same seed, and others for another", () => {
    assert.deepStrictEqual(drawn(1, 60), drawn(1, 60))
    assert.notDeepEqual(drawn(1, 60), drawn(2, 60))
  })

  it("come one at a time for each part, some of them over those of others, and end soon after the time is over", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const faults = drawn(seed, 60)
      let overlapping = 0
      for (const [index, one] of faults.entries()) {
        assert.isAtMost(one.at + one.millis, 60_500)
        for (const other of faults.slice(index + 1)) {
          if (other.at >= one.at + one.millis) continue
          overlapping += 1
          assert.isFalse(one.part === other.part && one.index === other.index, `seed ${seed}`)
        }
      }
      assert.isAbove(overlapping, 3)
    }
  })

  it("are of every kind within two minutes", () => {
    for (let seed = 1; seed <= 20; seed++) {
      assert.strictEqual(new Set(drawn(seed, 120).map(({ hurt, part }) => `${part} ${hurt}`)).size, 34)
      assert.strictEqual(new Set(drawn(seed, 120, true).map(({ hurt, part }) => `${part} ${hurt}`)).size, 36)
    }
  })
})
