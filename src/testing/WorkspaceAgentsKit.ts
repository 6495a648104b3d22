/**
 * What every `WorkspaceAgents` has to keep: the rows of agents and builds, and the instants that readers judge by.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { statusAt, unreachableFor } from "../domain/AgentStatus.ts"
import type { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, incarnation, node, start, stop, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports =
  | AgentEnrollments
  | AgentPresence
  | StoreClock
  | WorkspaceAgents

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Case<R>> =>
  StoreKit.casesFor(harness, definitions)

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Skipped> =>
  StoreKit.skipped(harness, definitions)

const calls: StoreKit.Calls<Ports> = (suffix) => [
  ["recordStart", start(`w${suffix}`, `b${suffix}`, `a${suffix}`)],
  ["agent", read(`a${suffix}`)],
  ["latestBuild", WorkspaceAgents.use((agents) => agents.latestBuild(workspace(`w${suffix}`)))]
]

const inactive = Duration.seconds(30)

const read = Effect.fnUntraced(function*(name: string) {
  const agents = yield* WorkspaceAgents
  return Option.getOrThrow(yield* agents.agent(agentId(name)))
})

const rows: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "an agent or workspace that is not there is none",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      assert.deepStrictEqual(yield* agents.agent(agentId("a")), Option.none())
      assert.deepStrictEqual(yield* agents.latestBuild(workspace("w")), Option.none())
    })
  ),
  StoreKit.definition(
    "an agent carries its workspace and build, and was never connected at first",
    Effect.gen(function*() {
      yield* start("w", "b1", "a1")
      const { agent, asOf } = yield* read("a1")
      assert.deepInclude(agent, {
        agentId: agentId("a1"),
        workspaceId: workspace("w"),
        buildId: build("b1"),
        parentId: null,
        firstConnectedAt: null,
        lastConnectedAt: null,
        disconnectedAt: null
      })
      assert(agent.startedAt !== null)
      assert.strictEqual(statusAt(agent, asOf, inactive).status, "connecting")
    })
  ),
  StoreKit.definition(
    "the latest build is the one with the highest number, with its own agents alone",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      yield* start("w", "b1", "a1")
      yield* start("w", "b2", "a2", "a3")
      yield* start("other", "b9", "a9")
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w")))
      assert.deepInclude(latest.build, { buildId: build("b2"), number: 2, transition: "start", status: "succeeded" })
      assert.deepStrictEqual(latest.agents.map((agent) => agent.agentId), [agentId("a2"), agentId("a3")])
      // The old one can still be read: a row is not an opinion.
      assert.strictEqual((yield* read("a1")).agent.buildId, build("b1"))
      yield* stop("w", "b3")
      const stopped = Option.getOrThrow(yield* agents.latestBuild(workspace("w")))
      assert.deepInclude(stopped.build, { buildId: build("b3"), transition: "stop" })
      assert.deepStrictEqual(stopped.agents, [])
    })
  ),
  StoreKit.definition(
    "both reads see the same agent",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      const presence = yield* AgentPresence
      yield* start("w", "b1", "a1")
      yield* presence.attach({ agentId: agentId("a1"), nodeId: node("n"), incarnation: incarnation("i") })
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w")))
      assert.deepStrictEqual(latest.agents, [(yield* read("a1")).agent])
    })
  ),
  StoreKit.definition(
    "an agent that never comes is late only beyond its connection timeout",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a1")
      yield* clock.pass(Duration.subtract(Duration.seconds(120), clock.slack))
      const onTime = yield* read("a1")
      assert.strictEqual(statusAt(onTime.agent, onTime.asOf, inactive).status, "connecting")
      yield* clock.pass(Duration.sum(clock.slack, Duration.millis(1)))
      const late = yield* read("a1")
      assert.strictEqual(statusAt(late.agent, late.asOf, inactive).status, "timeout")
    })
  ),
  StoreKit.definition(
    "every instant is of one clock",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const presence = yield* AgentPresence
      yield* start("w", "b1", "a1")
      yield* clock.pass("10 seconds")
      yield* presence.attach({ agentId: agentId("a1"), nodeId: node("n"), incarnation: incarnation("i") })
      yield* clock.pass("20 seconds")
      const { agent, asOf } = yield* read("a1")
      const ago = (instant: DateTime.Utc | null) =>
        instant === null ? undefined : Duration.toMillis(DateTime.distance(instant, asOf))
      const slack = Duration.toMillis(clock.slack)
      for (const [instant, expected] of [[agent.startedAt, 30_000], [agent.lastConnectedAt, 20_000]] as const) {
        const found = ago(instant) ?? Number.NaN
        assert.isAtLeast(found, expected)
        assert.isAtMost(found, expected + slack)
      }
    })
  )
]

const coveredFor = Effect.gen(function*() {
  const { asOf, coveredSince } = yield* read("a1")
  return Duration.toMillis(DateTime.distance(coveredSince, asOf))
})

const beat = Effect.flatMap(
  AgentPresence,
  (presence) => presence.beat({ nodeId: node("n"), sessions: [], waiting: [] })
)

const expectCover = Effect.fnUntraced(function*(millis: number) {
  const { slack } = yield* StoreClock
  const found = yield* coveredFor
  assert.isAtLeast(found, millis)
  assert.isAtMost(found, millis + Duration.toMillis(slack))
})

/** The span in which heartbeats were recorded, seen by readers. */
const coverage: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "without any heartbeat nothing is covered",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a1")
      yield* clock.pass("10 minutes")
      assert.strictEqual(yield* coveredFor, 0)
    })
  ),
  StoreKit.definition(
    "heartbeats up to 30 s apart are one span",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a1")
      yield* beat
      yield* clock.pass("10 seconds")
      yield* expectCover(10_000)
      yield* beat
      yield* clock.pass(Duration.subtract(Duration.seconds(30), clock.slack))
      yield* beat
      yield* expectCover(40_000 - Duration.toMillis(clock.slack))
    })
  ),
  StoreKit.definition(
    "a heartbeat after more than 30 s begins a new span",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a1")
      yield* beat
      yield* clock.pass("30001 millis")
      yield* beat
      yield* expectCover(0)
      yield* clock.pass("5 seconds")
      yield* expectCover(5000)
    })
  ),
  StoreKit.definition(
    "the last heartbeat covers a reader for 30 s, and then nothing is",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const agents = yield* WorkspaceAgents
      yield* start("w", "b1", "a1")
      yield* beat
      const within = Duration.subtract(Duration.seconds(30), clock.slack)
      yield* clock.pass(within)
      yield* expectCover(Duration.toMillis(within))
      yield* clock.pass(Duration.sum(clock.slack, Duration.millis(1)))
      assert.strictEqual(yield* coveredFor, 0)
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w")))
      assert.deepStrictEqual(latest.coveredSince, latest.asOf)
    })
  ),
  StoreKit.definition(
    "an outage of ours does not count against a silent agent",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const presence = yield* AgentPresence
      yield* start("w", "b1", "a1")
      yield* presence.attach({ agentId: agentId("a1"), nodeId: node("n"), incarnation: incarnation("i") })
      yield* beat
      yield* clock.pass("5 minutes")
      yield* beat
      yield* clock.pass("29 seconds")
      const { agent, asOf, coveredSince } = yield* read("a1")
      const status = statusAt(agent, asOf, inactive)
      assert(status.status === "disconnected")
      const millis = Duration.toMillis(unreachableFor(status, asOf, coveredSince))
      assert.isAtLeast(millis, 29_000)
      assert.isAtMost(millis, 29_000 + Duration.toMillis(clock.slack))
    })
  )
]

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  ...rows,
  ...coverage,
  ...StoreKit.deaths(calls)
]
