import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Schema } from "effect"
import type { Agent } from "../../src/domain/Agent.ts"
import { Lifecycle } from "../../src/domain/Agent.ts"
import {
  type AgentStatus,
  isUnreachable,
  statusAt,
  type Unreachable,
  unreachableFor
} from "../../src/domain/AgentStatus.ts"
import { agent, at } from "./fixtures.ts"

const inactive = Duration.seconds(30)

const status = (row: Agent, millis: number): AgentStatus => statusAt(row, at(millis), inactive)

/** A row of an agent that connected at once and was last heard at `millis`. */
const heard = (millis: number, disconnectedAt: number | null = null): Agent =>
  agent({
    firstConnectedAt: at(0),
    lastConnectedAt: at(millis),
    disconnectedAt: disconnectedAt === null ? null : at(disconnectedAt)
  })

describe("statusAt", () => {
  it("1: an agent that never came is connecting on its connection timeout, and timed out a millisecond later", () => {
    const row = agent()
    assert.deepStrictEqual(status(row, 119_999), { status: "connecting", rule: 2, since: at(0) })
    assert.deepStrictEqual(status(row, 120_000), { status: "connecting", rule: 2, since: at(0) })
    assert.deepStrictEqual(status(row, 120_001), { status: "timeout", rule: 1, since: at(0) })
  })

  it("1: the connection timeout counts from the success of the build", () => {
    const row = agent({ startedAt: at(60_000) })
    assert.strictEqual(status(row, 180_000).status, "connecting")
    assert.deepStrictEqual(status(row, 180_001), { status: "timeout", rule: 1, since: at(60_000) })
  })

  it("2: a connection timeout of zero waits for ever", () => {
    const row = agent({ connectionTimeout: Duration.zero })
    assert.deepStrictEqual(status(row, 1), { status: "connecting", rule: 2, since: at(0) })
    assert.deepStrictEqual(status(row, 1_000_000_000), { status: "connecting", rule: 2, since: at(0) })
  })

  it("2: before its build has succeeded nothing is late", () => {
    assert.deepStrictEqual(status(agent({ startedAt: null }), 1_000_000_000), {
      status: "connecting",
      rule: 2,
      since: null
    })
  })

  it("1 and 2 look only at the first connection", () => {
    const row = agent({ disconnectedAt: at(5), lastConnectedAt: at(5) })
    assert.strictEqual(status(row, 10).rule, 2)
    assert.strictEqual(status(row, 120_001).rule, 1)
  })

  it("3: a disconnection a millisecond before the last connection is over, at or after it counts", () => {
    assert.deepStrictEqual(status(heard(1_000, 999), 1_000), { status: "connected", rule: 5, since: at(1_000) })
    assert.deepStrictEqual(status(heard(1_000, 1_000), 1_000), { status: "disconnected", rule: 3, since: at(1_000) })
    assert.deepStrictEqual(status(heard(1_000, 1_001), 1_001), { status: "disconnected", rule: 3, since: at(1_001) })
  })

  it("3 is asked before 4", () => {
    assert.deepStrictEqual(status(heard(0, 10_000), 100_000), { status: "disconnected", rule: 3, since: at(10_000) })
  })

  it("3: an absent instant is older than any other, and two absent ones are equal", () => {
    const lost = agent({ firstConnectedAt: at(0), disconnectedAt: at(7) })
    assert.deepStrictEqual(status(lost, 10), { status: "disconnected", rule: 3, since: at(7) })
    const nothing = agent({ firstConnectedAt: at(0) })
    assert.deepStrictEqual(status(nothing, 10), { status: "disconnected", rule: 3, since: null })
    assert.strictEqual(status(heard(5), 10).status, "connected")
  })

  it("4: silence of the inactive timeout is still connected, a millisecond more is not", () => {
    assert.deepStrictEqual(status(heard(1_000), 30_999), { status: "connected", rule: 5, since: at(1_000) })
    assert.deepStrictEqual(status(heard(1_000), 31_000), { status: "connected", rule: 5, since: at(1_000) })
    assert.deepStrictEqual(status(heard(1_000), 31_001), { status: "disconnected", rule: 4, since: at(1_000) })
  })

  it("an agent that came once is never timed out", () => {
    assert.strictEqual(status(heard(0), 1_000_000_000).rule, 4)
  })

  it.prop(
    "the lifecycle of the scripts changes nothing",
    { lifecycle: Lifecycle, millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200_000 })) },
    ({ lifecycle, millis }) => {
      for (const row of [agent(), heard(0), heard(0, 10)]) {
        const other = agent({ ...row, lifecycle })
        assert.deepStrictEqual(status(other, millis), status(row, millis))
      }
    }
  )

  const Instant = Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 })))

  it.prop(
    "agrees with the table read line by line, an absent instant being before all others",
    {
      started: Instant,
      first: Instant,
      last: Instant,
      gone: Instant,
      bound: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
      asOf: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
    },
    ({ asOf, bound, first, gone, last, started }) => {
      const instant = (millis: number | null) => millis === null ? null : at(millis)
      const row = agent({
        connectionTimeout: Duration.millis(bound),
        startedAt: instant(started),
        firstConnectedAt: instant(first),
        lastConnectedAt: instant(last),
        disconnectedAt: instant(gone)
      })
      const before = -1_000_000
      const expected = first === null
        ? bound > 0 && started !== null && asOf - started > bound ? 1 : 2
        : (gone ?? before) >= (last ?? before)
        ? 3
        : asOf - (last ?? before) > 50
        ? 4
        : 5
      assert.strictEqual(statusAt(row, at(asOf), Duration.millis(50)).rule, expected)
    }
  )
})

describe("isUnreachable", () => {
  it("is disconnected or timeout", () => {
    assert.isTrue(isUnreachable(status(agent(), 120_001)))
    assert.isTrue(isUnreachable(status(heard(0), 30_001)))
    assert.isTrue(isUnreachable(status(heard(0, 0), 0)))
    assert.isFalse(isUnreachable(status(agent(), 0)))
    assert.isFalse(isUnreachable(status(heard(0), 0)))
  })
})

describe("unreachableFor", () => {
  const disconnected = (since: number | null): Unreachable => ({
    status: "disconnected",
    rule: 3,
    since: since === null ? null : at(since)
  })
  const millis = (from: Unreachable, asOf: number, coveredSince: number): number =>
    Duration.toMillis(unreachableFor(from, at(asOf), at(coveredSince)))

  it("counts from the disconnection while heartbeats were recorded all along", () => {
    assert.strictEqual(millis(disconnected(10_000), 100_000, 0), 90_000)
    assert.strictEqual(millis({ status: "timeout", rule: 1, since: at(0) }, 120_001, 0), 120_001)
  })

  it("counts from the end of our outage when that is later", () => {
    assert.strictEqual(millis(disconnected(10_000), 400_000, 310_001), 89_999)
    assert.strictEqual(millis(disconnected(10_000), 400_000, 310_000), 90_000)
  })

  it("is nothing while no heartbeat is recorded", () => {
    assert.strictEqual(millis(disconnected(10_000), 400_000, 400_000), 0)
  })

  it("is never negative", () => {
    assert.strictEqual(millis(disconnected(500), 400, 0), 0)
    assert.strictEqual(millis(disconnected(0), 400, 500), 0)
  })

  it("counts from the start of the cover when no instant is known", () => {
    assert.strictEqual(millis(disconnected(null), 400, 100), 300)
  })

  it("keeps to the one clock of the store, whatever that clock says", () => {
    const late = DateTime.addDuration(at(0), "10 minutes")
    assert.strictEqual(
      Duration.toMillis(unreachableFor({ status: "timeout", rule: 1, since: late }, late, late)),
      0
    )
  })
})
