import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { isUnreachable, statusAt, unreachableFor } from "../../src/domain/AgentStatus.ts"
import { beat, type Coverage, coveredSince } from "../../src/domain/Coverage.ts"
import { agent, at } from "./fixtures.ts"

/** The cover after heartbeats at these instants. */
const after = (...beats: ReadonlyArray<number>): Coverage | undefined =>
  beats.reduce<Coverage | undefined>((coverage, millis) => beat(coverage, at(millis)), undefined)

describe("Coverage", () => {
  it("begins with the first heartbeat", () => {
    assert.deepStrictEqual(after(5), { since: at(5), lastBeatAt: at(5) })
  })

  it("goes on over a gap of 30 seconds and begins anew after a millisecond more", () => {
    assert.deepStrictEqual(after(0, 29_999), { since: at(0), lastBeatAt: at(29_999) })
    assert.deepStrictEqual(after(0, 30_000), { since: at(0), lastBeatAt: at(30_000) })
    assert.deepStrictEqual(after(0, 30_001), { since: at(30_001), lastBeatAt: at(30_001) })
  })

  it("holds silence against nobody while no heartbeat was recorded", () => {
    assert.deepStrictEqual(coveredSince(undefined, at(7)), at(7))
  })

  it("covers a reader until 30 seconds after the last heartbeat, and not a millisecond longer", () => {
    const coverage = after(0, 10_000)
    assert.deepStrictEqual(coveredSince(coverage, at(39_999)), at(0))
    assert.deepStrictEqual(coveredSince(coverage, at(40_000)), at(0))
    assert.deepStrictEqual(coveredSince(coverage, at(40_001)), at(40_001))
  })

  const unreachable = (coverage: Coverage | undefined, asOf: number): number => {
    const row = agent({ firstConnectedAt: at(0), lastConnectedAt: at(0), disconnectedAt: null })
    const status = statusAt(row, at(asOf), Duration.seconds(30))
    return isUnreachable(status)
      ? Duration.toMillis(unreachableFor(status, at(asOf), coveredSince(coverage, at(asOf))))
      : -1
  }

  it("after an outage of five minutes the agent is unreachable only since the heartbeats are back", () => {
    const outage = 300_000
    assert.strictEqual(unreachable(after(0), outage), 0)
    const back = after(0, outage, outage + 10_000)
    assert.strictEqual(unreachable(back, outage + 10_000), 10_000)
    const later = after(0, ...Array.from({ length: 10 }, (_, index) => outage + index * 10_000))
    assert.strictEqual(unreachable(later, outage + 89_999), 89_999)
    assert.strictEqual(unreachable(later, outage + 90_000), 90_000)
  })

  it("with heartbeats of other agents all along it is unreachable since it was last heard", () => {
    assert.strictEqual(unreachable(after(0, 10_000, 20_000, 30_000), 30_000), -1)
    assert.strictEqual(unreachable(after(0, 10_000, 20_000, 30_000), 30_001), 30_001)
  })

  it.prop(
    "the span holds every instant from its start on, with no gap over 30 seconds",
    { gaps: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 }))) },
    ({ gaps }) => {
      let now = 0
      let start = 0
      let coverage = beat(undefined, at(0))
      for (const gap of gaps) {
        now += gap
        if (gap > 30_000) start = now
        coverage = beat(coverage, at(now))
        assert.deepStrictEqual(coverage, { since: at(start), lastBeatAt: at(now) })
      }
    }
  )
})
