/**
 * What every `AgentPresence` has to keep: who may come, which session counts, and what heartbeats do.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Lifecycle } from "../domain/Agent.ts"
import { statusAt } from "../domain/AgentStatus.ts"
import { TokenRefused } from "../domain/Errors.ts"
import { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, enrolled, incarnation, node, owner, secretOf, start, stop, workspace } from "./StoreWords.ts"

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
  [
    "recordStart",
    Effect.flatMap(secretOf(1), (secretHash) =>
      AgentEnrollments.use((enrollments) =>
        enrollments.recordStart({
          workspaceId: workspace(`w${suffix}`),
          owner: owner("ann"),
          buildId: build(`b${suffix}`),
          agents: [enrolled(`a${suffix}`, { secretHash })]
        })
      ))
  ],
  ["verify", AgentPresence.use((presence) => presence.verify(token(`a${suffix}`, 1)))],
  ["attach", attach(`a${suffix}`, "n")],
  ["beat", beat("n", session(`a${suffix}`, 1))],
  [
    "report",
    AgentPresence.use((presence) =>
      presence.report({ agentId: agentId(`a${suffix}`), epoch: 1, lifecycle: "starting" })
    )
  ],
  ["detach", detach(`a${suffix}`, 1)]
]

const attach = Effect.fnUntraced(function*(agent: string, nodeName: string, incarnationName = "i") {
  const presence = yield* AgentPresence
  return yield* presence.attach({
    agentId: agentId(agent),
    nodeId: node(nodeName),
    incarnation: incarnation(incarnationName)
  })
})

const session = (agent: string, epoch: number, age: Duration.Input = 0) => ({
  agentId: agentId(agent),
  epoch,
  age: Duration.fromInputUnsafe(age)
})

const beat = Effect.fnUntraced(function*(nodeName: string, ...sessions: ReadonlyArray<ReturnType<typeof session>>) {
  const presence = yield* AgentPresence
  const { verdicts } = yield* presence.beat({ nodeId: node(nodeName), sessions, waiting: [] })
  return sessions.map(({ agentId }) => verdicts.get(agentId))
})

const elsewhere = Effect.fnUntraced(function*(nodeName: string, agent: string, waited: Duration.Input) {
  const presence = yield* AgentPresence
  const answer = yield* presence.beat({
    nodeId: node(nodeName),
    sessions: [],
    waiting: [{ agentId: agentId(agent), age: Duration.fromInputUnsafe(waited) }]
  })
  return answer.elsewhere
})

const detach = Effect.fnUntraced(function*(agent: string, epoch: number) {
  const presence = yield* AgentPresence
  yield* presence.detach({ agentId: agentId(agent), epoch })
})

const rowOf = Effect.fnUntraced(function*(agent: string) {
  const agents = yield* WorkspaceAgents
  return Option.getOrThrow(yield* agents.agent(agentId(agent)))
})

const statusOf = Effect.fnUntraced(function*(agent: string) {
  const row = yield* rowOf(agent)
  return statusAt(row.agent, row.asOf, Duration.seconds(30)).status
})

const token = (agent: string, secret: number) => ({
  agentId: agentId(agent),
  secret: Redacted.make(new Uint8Array(32).fill(secret))
})

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a token opens for its own agent alone, and not after a later build",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const enrollments = yield* AgentEnrollments
      yield* enrollments.recordStart({
        workspaceId: workspace("w"),
        owner: owner("ann"),
        buildId: build("b1"),
        agents: [
          enrolled("a1", { secretHash: yield* secretOf(1) }),
          enrolled("a2", { secretHash: yield* secretOf(2) })
        ]
      })
      assert.strictEqual(yield* presence.verify(token("a1", 1)), agentId("a1"))
      const unknown = new TokenRefused({ reason: "unknown" })
      // Another agent's secret, a wrong one, the bytes of the dummy that an unknown agent is compared with.
      for (const wrong of [token("a1", 2), token("a2", 1), token("a1", 0), token("nobody", 1), token("nobody", 0)]) {
        assert.deepStrictEqual(yield* Effect.flip(presence.verify(wrong)), unknown)
      }
      yield* stop("w", "b2")
      assert.deepStrictEqual(
        yield* Effect.flip(presence.verify(token("a1", 1))),
        new TokenRefused({ reason: "revoked" })
      )
      // That it was revoked is told to its holder only.
      assert.deepStrictEqual(yield* Effect.flip(presence.verify(token("a1", 2))), unknown)
    })
  ),
  StoreKit.definition(
    "attaching counts the epoch, names the incarnation before, and connects",
    Effect.gen(function*() {
      yield* start("w", "b1", "a")
      assert.deepStrictEqual(yield* attach("a", "n1", "i1"), { epoch: 1, previous: null })
      assert.strictEqual(yield* statusOf("a"), "connected")
      assert.deepStrictEqual(yield* attach("a", "n1", "i1"), { epoch: 2, previous: incarnation("i1") })
      assert.deepStrictEqual(yield* attach("a", "n2", "i2"), { epoch: 3, previous: incarnation("i1") })
      assert.deepStrictEqual(yield* attach("a", "n2", "i3"), { epoch: 4, previous: incarnation("i2") })
    })
  ),
  StoreKit.definition(
    "the first connection is kept, the last one moves",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      yield* attach("a", "n")
      yield* clock.pass("1 minute")
      yield* attach("a", "n")
      const { agent } = yield* rowOf("a")
      assert(agent.firstConnectedAt !== null && agent.lastConnectedAt !== null)
      assert.isAtLeast(Duration.toMillis(DateTime.distance(agent.firstConnectedAt, agent.lastConnectedAt)), 60_000)
    })
  ),
  StoreKit.definition(
    "an agent that is revoked or unknown does not attach",
    Effect.gen(function*() {
      yield* start("w", "b1", "a")
      yield* start("w", "b2", "other")
      const refused = new TokenRefused({ reason: "revoked" })
      assert.deepStrictEqual(yield* Effect.flip(attach("a", "n")), refused)
      assert.deepStrictEqual(yield* Effect.flip(attach("nobody", "n")), refused)
      assert.strictEqual((yield* rowOf("a")).agent.lastConnectedAt, null)
    })
  ),
  StoreKit.definition(
    "a heartbeat keeps its agents connected, by the age of what was heard, and moves nothing back",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      const { epoch } = yield* attach("a", "n")
      yield* clock.pass("40 seconds")
      assert.strictEqual(yield* statusOf("a"), "disconnected")
      assert.deepStrictEqual(yield* beat("n", session("a", epoch, "10 seconds")), ["valid"])
      const { agent, asOf } = yield* rowOf("a")
      assert.strictEqual(statusAt(agent, asOf, Duration.seconds(30)).status, "connected")
      assert(agent.lastConnectedAt !== null)
      const age = Duration.toMillis(DateTime.distance(agent.lastConnectedAt, asOf))
      assert.isAtLeast(age, 10_000)
      assert.isAtMost(age, 10_000 + Duration.toMillis(clock.slack))
      assert.deepStrictEqual(yield* beat("n", session("a", epoch, "25 seconds")), ["valid"])
      assert.deepStrictEqual((yield* rowOf("a")).agent.lastConnectedAt, agent.lastConnectedAt)
    })
  ),
  StoreKit.definition(
    "a heartbeat of many answers for each of its sessions",
    Effect.gen(function*() {
      yield* start("w", "b1", "revoked")
      const revoked = yield* attach("revoked", "n")
      yield* start("w", "b2", "valid", "replaced")
      const valid = yield* attach("valid", "n")
      const replaced = yield* attach("replaced", "n")
      yield* attach("replaced", "n")
      assert.deepStrictEqual(
        yield* beat(
          "n",
          session("revoked", revoked.epoch),
          session("valid", valid.epoch, "2.5 seconds"),
          session("replaced", replaced.epoch),
          session("nobody", 1)
        ),
        ["revoked", "valid", "replaced", "revoked"]
      )
    })
  ),
  StoreKit.definition(
    "the newest of two nodes wins, and the other one, frozen and thawed, changes nothing",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      const frozen = yield* attach("a", "n1")
      yield* clock.pass("1 minute")
      const living = yield* attach("a", "n2")
      yield* clock.pass("20 seconds")
      const before = (yield* rowOf("a")).agent
      // Thawed, it still believes in its session.
      assert.deepStrictEqual(yield* beat("n1", session("a", frozen.epoch)), ["replaced"])
      yield* detach("a", frozen.epoch)
      assert.deepStrictEqual((yield* rowOf("a")).agent, before)
      assert.strictEqual(yield* statusOf("a"), "connected")
      assert.deepStrictEqual(yield* beat("n2", session("a", living.epoch)), ["valid"])
    })
  ),
  StoreKit.definition(
    "a detached agent is disconnected, until it attaches again",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      const first = yield* attach("a", "n")
      yield* detach("a", first.epoch)
      assert.strictEqual(yield* statusOf("a"), "disconnected")
      const { disconnectedAt } = (yield* rowOf("a")).agent
      assert(disconnectedAt !== null)
      yield* clock.pass("5 seconds")
      // Said twice it is still since the first time.
      yield* detach("a", first.epoch)
      const { agent, asOf } = yield* rowOf("a")
      assert(agent.disconnectedAt !== null)
      assert.isAtLeast(Duration.toMillis(DateTime.distance(agent.disconnectedAt, asOf)), 5000)
      yield* attach("a", "n")
      assert.strictEqual(yield* statusOf("a"), "connected")
    })
  ),
  StoreKit.definition(
    "a heartbeat that was on its way when its session detached connects nothing",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      const { epoch } = yield* attach("a", "n")
      yield* clock.pass("5 seconds")
      yield* detach("a", epoch)
      yield* clock.pass("5 seconds")
      yield* beat("n", session("a", epoch))
      assert.strictEqual(yield* statusOf("a"), "disconnected")
    })
  ),
  StoreKit.definition(
    "what start-up scripts have come to is recorded for the newest session alone",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const report = (epoch: number, lifecycle: Lifecycle) =>
        presence.report({ agentId: agentId("a"), epoch, lifecycle })
      const lifecycle = Effect.map(rowOf("a"), ({ agent }) => agent.lifecycle)
      yield* start("w", "b1", "a")
      yield* report(1, "starting")
      assert.strictEqual(yield* lifecycle, "ready")
      const first = yield* attach("a", "n1")
      yield* report(first.epoch, "starting")
      assert.strictEqual(yield* lifecycle, "starting")
      const second = yield* attach("a", "n2")
      yield* report(first.epoch, "start_error")
      assert.strictEqual(yield* lifecycle, "starting")
      yield* report(second.epoch, "ready")
      assert.strictEqual(yield* lifecycle, "ready")
      // The last word of an agent that ends may come after its link did.
      yield* detach("a", second.epoch)
      yield* report(second.epoch, "off")
      assert.strictEqual(yield* lifecycle, "off")
      yield* start("w", "b2", "other")
      yield* report(second.epoch, "ready")
      assert.strictEqual(yield* lifecycle, "off")
      yield* presence.report({ agentId: agentId("nobody"), epoch: 1, lifecycle: "ready" })
    })
  ),
  StoreKit.definition(
    "reports, heartbeats and attachments of one agent at once all get their answers",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      yield* start("w", "b1", "a")
      const { epoch } = yield* attach("a", "n")
      const calls = Array.from({ length: 20 }, (_, index) => [
        presence.report({ agentId: agentId("a"), epoch: epoch + index, lifecycle: "ready" }),
        attach("a", "n"),
        beat("n", session("a", epoch + index))
      ])
      yield* Effect.all(calls.flat(), { concurrency: "unbounded", discard: true })
      assert.strictEqual((yield* attach("a", "n")).epoch, epoch + 21)
    })
  ),
  StoreKit.definition(
    "a waiting dial hears of another node that attached its agent after the wait began",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "10 seconds"), [])
      const { epoch } = yield* attach("a", "n2")
      yield* clock.pass("10 seconds")
      // Its wait began later: the other node may be gone by now.
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "5 seconds"), [])
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "20 seconds"), [agentId("a")])
      // A heartbeat proves that it is not.
      yield* beat("n2", session("a", epoch, "9 seconds"))
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "5 seconds"), [agentId("a")])
    })
  ),
  StoreKit.definition(
    "a waiting dial does not hear of its own node, of a session that ended, or of an agent that is not there",
    Effect.gen(function*() {
      yield* start("w", "b1", "a")
      yield* attach("a", "n1")
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "10 seconds"), [])
      const { epoch } = yield* attach("a", "n2")
      yield* detach("a", epoch)
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "10 seconds"), [])
      assert.deepStrictEqual(yield* elsewhere("n1", "nobody", "10 seconds"), [])
    })
  ),
  StoreKit.definition(
    "a heartbeat of a session that was replaced does not count as heard",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* start("w", "b1", "a")
      const old = yield* attach("a", "n2")
      yield* attach("a", "n2")
      yield* clock.pass("10 seconds")
      yield* beat("n2", session("a", old.epoch))
      assert.deepStrictEqual(yield* elsewhere("n1", "a", "5 seconds"), [])
    })
  ),
  StoreKit.definition(
    "of many that attach at once each has its own epoch, and each knows the one before it",
    Effect.gen(function*() {
      yield* start("w", "b1", "a")
      const names = Array.from({ length: 16 }, (_, index) => `i${index}`)
      const attached = yield* Effect.forEach(
        names,
        (name) => Effect.map(attach("a", "n", name), (attached) => ({ ...attached, name })),
        { concurrency: "unbounded" }
      )
      const inOrder = attached.toSorted((left, right) => left.epoch - right.epoch)
      assert.deepStrictEqual(inOrder.map(({ epoch }) => epoch), names.map((_, index) => index + 1))
      assert.deepStrictEqual(
        inOrder.map(({ previous }) => previous),
        [null, ...inOrder.slice(0, -1).map(({ name }) => incarnation(name))]
      )
    })
  ),
  StoreKit.definition(
    "nodes that beat for the same agents, in any order, while builds revoke them, all get their answers",
    Effect.gen(function*() {
      const names = Array.from({ length: 40 }, (_, index) => `a${index}`)
      yield* Effect.forEach(names, (name) => start(`w-${name}`, `b-${name}`, name))
      yield* Effect.forEach(names, (name) => attach(name, "n"), { concurrency: "unbounded" })
      const sessions = names.map((name) => session(name, 1))
      const beats = Array.from(
        { length: 12 },
        (_, index) => beat(`n${index}`, ...(index % 2 === 0 ? sessions : sessions.toReversed()))
      )
      const builds = names.slice(0, 20).map((name) => start(`w-${name}`, `c-${name}`, `next-${name}`))
      yield* Effect.all([...beats, ...builds], { concurrency: "unbounded", discard: true })
      assert.deepStrictEqual(
        yield* beat("n", ...sessions),
        names.map((_, index) => index < 20 ? "revoked" : "valid")
      )
    })
  ),
  ...StoreKit.deaths(calls)
]
