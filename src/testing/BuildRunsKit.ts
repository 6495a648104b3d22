/**
 * What every `Builds` has to keep towards runners; `BuildsKit` has what it keeps towards those who ask for builds.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { unbound } from "../domain/Binding.ts"
import { BuildRecord } from "../domain/Build.ts"
import { LeaseLost } from "../domain/Errors.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { Builds } from "../store/Builds.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import {
  agentOf,
  append,
  aroundBound,
  attach,
  cancel,
  created,
  failed,
  finish,
  lease,
  limit,
  logOf,
  millisBetween,
  prepare,
  recordOf,
  release,
  renew,
  request,
  seen,
  statusOf,
  succeeded,
  take,
  takeSome,
  verify
} from "./BuildWords.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, chat, enrolled, node, secretOf, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports =
  | AgentPresence
  | Builds
  | ChatBindings
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
  // Whose build is taken, when others ask for some at the same time, cannot be said.
  ["createWorkspace", created(suffix)],
  ["take", takeSome()],
  ["renew", renew(`b${suffix}`, 1)],
  ["prepareAgents", unlessLost(prepare(`b${suffix}`, 1, enrolled(`a${suffix}`)))],
  ["appendLog", unlessLost(append(`b${suffix}`, 1, 1, "line"))],
  ["lastLine", Builds.use((builds) => builds.lastLine(build(`b${suffix}`)))],
  ["log", logOf(`b${suffix}`)],
  ["release", release(`b${suffix}`, 0)],
  ["finish", unlessLost(finish(`b${suffix}`, 1, succeeded))]
]

const unlessLost = <A, E, R>(call: Effect.Effect<A, E | LeaseLost, R>) =>
  Effect.catchIf(call, Schema.is(LeaseLost), () => Effect.void)
const running: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a runner gets the oldest build with what it needs, and those behind it say how many are ahead",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const { workspace } = yield* created("1")
      yield* clock.pass("1 minute")
      yield* created("2")
      yield* clock.pass("1 minute")
      yield* created("3")
      assert.deepStrictEqual(
        (yield* Effect.forEach(["b1", "b2", "b3"], recordOf)).map(({ ahead }) => ahead),
        [0, 1, 2]
      )
      const taken = yield* take()
      assert.deepInclude(taken.build, { buildId: build("b1"), status: "running" })
      assert.deepInclude(taken, { epoch: 1, attempt: 1 })
      assert.deepStrictEqual(
        [taken.workspace.workspaceId, taken.workspace.name],
        [workspace.workspaceId, workspace.name]
      )
      assert.deepStrictEqual(taken.parameters, { size: "2" })
      const remaining = Duration.toMillis(taken.remaining)
      assert.isAtMost(remaining, 13 * 60_000)
      assert.isAtLeast(remaining, 13 * 60_000 - Duration.toMillis(clock.slack))
      assert.deepStrictEqual(
        (yield* Effect.forEach(["b1", "b2", "b3"], recordOf)).map(({ ahead }) => ahead),
        [0, 0, 1]
      )
      const record = yield* recordOf("b1")
      assert.strictEqual(record.attempt, 1)
      assert(record.startedAt !== null)
      assert.strictEqual((yield* take()).build.buildId, build("b2"))
      assert.strictEqual((yield* take()).build.buildId, build("b3"))
      assert.deepStrictEqual(yield* takeSome(), Option.none())
    })
  ),
  StoreKit.definition(
    "of many runners each build has one",
    Effect.gen(function*() {
      const suffixes = Array.from({ length: 20 }, (_, index) => String(index))
      yield* Effect.forEach(suffixes, (suffix) => created(suffix))
      const taken: Array<string> = []
      // One that looked past rows that others were just taking looks again.
      const runner = (name: string) =>
        Effect.gen(function*() {
          while (taken.length < 20) {
            const next = yield* takeSome({ node: name })
            if (Option.isSome(next)) taken.push(next.value.build.buildId)
            yield* Effect.yieldNow
          }
        })
      yield* Effect.forEach(["n1", "n2", "n3", "n4"], runner, { concurrency: "unbounded" })
      assert.deepStrictEqual(taken.toSorted(), suffixes.map((suffix) => `b${suffix}`).toSorted())
    })
  ),
  StoreKit.definition(
    "a build is kept while it is renewed, and a repeatable one goes to another when its lease has ended",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* created("1", { repeatable: true })
      const first = yield* take()
      yield* clock.pass("20 seconds")
      assert.strictEqual(yield* renew("b1", first.epoch), "held")
      const { startedAt } = yield* recordOf("b1")
      yield* aroundBound(
        lease,
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* takeSome(), Option.none())
        }),
        Effect.gen(function*() {
          const second = yield* take({ node: "other" })
          assert.deepInclude(second, { epoch: 2, attempt: 2 })
          assert.strictEqual(second.build.buildId, build("b1"))
          assert.deepStrictEqual(yield* takeSome(), Option.none())
        })
      )
      const record = yield* recordOf("b1")
      assert.strictEqual(record.attempt, 2)
      assert(startedAt !== null && record.startedAt !== null)
      // It has begun when it first began.
      assert.isAtLeast(millisBetween(record.startedAt, record.asOf), 50_000)
    })
  ),
  StoreKit.definition(
    "a lost build that is not repeatable ends, with the end of its log",
    Effect.gen(function*() {
      yield* created("1")
      const { epoch } = yield* take()
      yield* append("b1", epoch, 1, "one", "two")
      yield* aroundBound(
        lease,
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* takeSome(), Option.none())
          assert.strictEqual(yield* statusOf("b1"), "running")
        }),
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* takeSome(), Option.none())
          const record = yield* recordOf("b1")
          assert.deepInclude(record.build, { status: "failed", logTail: "one\ntwo" })
          assert.strictEqual(record.failure?.code, "runner_lost")
          assert(record.finishedAt !== null)
          assert.strictEqual(record.attempt, 1)
        })
      )
      assert.strictEqual(yield* renew("b1", epoch), "lost")
    })
  ),
  StoreKit.definition(
    "a repeatable build is taken so many times and no more",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* created("1", { repeatable: true })
      for (const attempt of [1, 2, 3]) {
        assert.strictEqual((yield* take()).attempt, attempt)
        yield* clock.pass(lease)
      }
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      const record = yield* recordOf("b1")
      assert.deepInclude(record, { attempt: 3 })
      assert.strictEqual(record.build.status, "failed")
      assert.strictEqual(record.failure?.code, "runner_lost")
    })
  ),
  StoreKit.definition(
    "a build that nobody took within its limit ends, and so does one that was lost and would be repeated too late",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* created("1", { repeatable: true })
      yield* created("2", { repeatable: true })
      const first = yield* take()
      yield* clock.pass(Duration.seconds(60))
      assert.strictEqual(yield* renew("b1", first.epoch), "held")
      yield* aroundBound(
        Duration.subtract(limit, Duration.seconds(60)),
        Effect.gen(function*() {
          // Taken now, it has next to no time.
          const { build, remaining } = yield* take()
          assert.strictEqual(build.buildId, "b1")
          assert(Duration.toMillis(remaining) > 0)
          assert.isAtMost(Duration.toMillis(remaining), Math.max(1, Duration.toMillis(clock.slack)))
          yield* release("b1", 2)
        }),
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* takeSome(), Option.none())
          for (const name of ["b1", "b2"]) {
            const record = yield* recordOf(name)
            assert.strictEqual(record.build.status, "failed")
            assert.strictEqual(record.failure?.code, "timed_out")
          }
        })
      )
    })
  ),
  StoreKit.definition(
    "a build over its limit is left to the runner that holds it",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* created("1")
      yield* clock.pass(Duration.subtract(limit, Duration.seconds(10)))
      const { epoch } = yield* take()
      yield* clock.pass("20 seconds")
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      assert.strictEqual(yield* statusOf("b1"), "running")
      yield* finish("b1", epoch, { _tag: "Failed", code: "timed_out", message: "Too long." })
      assert.strictEqual((yield* recordOf("b1")).failure?.code, "timed_out")
    })
  ),
  StoreKit.definition(
    "a runner whose lease ended keeps the build until somebody takes it",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      yield* created("1", { repeatable: true })
      const { epoch } = yield* take()
      yield* clock.pass("1 minute")
      assert.strictEqual(yield* renew("b1", epoch), "held")
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      yield* clock.pass("1 minute")
      assert.deepInclude(yield* finish("b1", epoch, succeeded), { status: "succeeded" })
    })
  ),
  StoreKit.definition(
    "a runner that lost its build changes nothing anywhere",
    Effect.gen(function*() {
      const builds = yield* Builds
      const clock = yield* StoreClock
      yield* created("1", { repeatable: true })
      const old = yield* take()
      yield* prepare("b1", old.epoch, enrolled("a1", { secretHash: yield* secretOf(1) }))
      yield* clock.pass(lease)
      const { epoch } = yield* take({ node: "other" })
      const unchanged = Effect.gen(function*() {
        const lost = new LeaseLost({ buildId: build("b1") })
        const before = yield* recordOf("b1")
        assert.strictEqual(yield* renew("b1", old.epoch), "lost")
        for (
          const attempt of [
            prepare("b1", old.epoch, enrolled("a2", { secretHash: yield* secretOf(3) })),
            append("b1", old.epoch, 1, "late"),
            finish("b1", old.epoch, succeeded),
            finish("b1", epoch + 1, succeeded)
          ]
        ) {
          assert.deepStrictEqual<unknown>(yield* Effect.flip(attempt), lost)
        }
        yield* release("b1", old.epoch)
        const after = yield* recordOf("b1")
        assert.deepStrictEqual(after, new BuildRecord({ ...before, asOf: after.asOf }))
        assert.deepStrictEqual(yield* logOf("b1"), [])
        assert.strictEqual(yield* verify("a1", 1), "valid")
        assert.deepStrictEqual(yield* agentOf("a2"), Option.none())
      })
      yield* unchanged
      assert.strictEqual(yield* renew("b1", epoch), "held")
      assert.deepInclude(yield* finish("b1", epoch, succeeded), { status: "succeeded" })
      yield* unchanged
      // Nor does one whose build has ended, under whatever epoch.
      assert.strictEqual(yield* renew("b1", epoch), "lost")
      yield* release("b1", epoch)
      assert.deepStrictEqual(
        yield* Effect.flip(finish("b1", epoch, failed())),
        new LeaseLost({ buildId: build("b1") })
      )
      assert.strictEqual(yield* statusOf("b1"), "succeeded")
      assert.deepStrictEqual(
        yield* Effect.flip(finish("nowhere", 1, succeeded)),
        new LeaseLost({ buildId: build("nowhere") })
      )
      assert.deepStrictEqual(yield* builds.get(build("nowhere")), Option.none())
    })
  ),
  StoreKit.definition(
    "a build that is given back is taken at once if it is repeatable, and otherwise ends",
    Effect.gen(function*() {
      yield* created("1", { repeatable: true })
      const first = yield* take()
      yield* release("b1", first.epoch)
      assert.strictEqual(yield* statusOf("b1"), "running")
      assert.strictEqual(yield* renew("b1", first.epoch), "lost")
      const second = yield* take()
      assert.strictEqual(second.build.buildId, build("b1"))
      assert.strictEqual(second.attempt, 2)
      assert(second.epoch > first.epoch)
      yield* cancel("1")
      yield* release("b1", second.epoch)
      assert.strictEqual(yield* statusOf("b1"), "canceled")
      yield* created("2")
      const third = yield* take()
      yield* append("b2", third.epoch, 1, "half")
      yield* release("b2", third.epoch)
      const record = yield* recordOf("b2")
      assert.deepInclude(record.build, { status: "failed", logTail: "half" })
      assert.strictEqual(record.failure?.code, "runner_lost")
      assert.deepStrictEqual(yield* takeSome(), Option.none())
    })
  ),
  StoreKit.definition(
    "a build ends as its runner says, once",
    Effect.gen(function*() {
      yield* created("1")
      const { epoch } = yield* take()
      const ended = yield* finish("b1", epoch, failed("No such image: \0x."))
      assert.deepInclude(ended, { number: 1, status: "failed", logTail: null })
      const record = yield* recordOf("b1")
      assert.deepStrictEqual(record.build, ended)
      assert.deepStrictEqual(record.failure, { code: "provider_failed", message: "No such image: \uFFFDx." })
      assert.isAtLeast(millisBetween(record.startedAt, record.finishedAt), 0)
      assert.deepStrictEqual(
        yield* Effect.flip(finish("b1", epoch, succeeded)),
        new LeaseLost({ buildId: build("b1") })
      )
    })
  ),
  StoreKit.definition(
    "builds that end while others are asked for and taken, of the same workspaces, all get their answers",
    Effect.gen(function*() {
      const suffixes = Array.from({ length: 12 }, (_, index) => String(index))
      yield* Effect.forEach(suffixes, (suffix) => created(suffix, { chat: unbound(chat(`c${suffix}`)) }))
      const taken = yield* Effect.forEach(suffixes, () => take())
      yield* Effect.forEach(taken, ({ build, epoch }) => prepare(build.buildId, epoch, enrolled(`a-${build.buildId}`)))
      const calls = taken.flatMap(({ build, epoch }, index) => [
        finish(build.buildId, epoch, index % 2 === 0 ? succeeded : failed()),
        cancel(suffixes[index] ?? ""),
        append(build.buildId, epoch, 1, "line").pipe(Effect.exit),
        Effect.flatMap(seen(`c${suffixes[index]}`), (row) => request(suffixes[index] ?? "", "start", 1, { chat: row })),
        takeSome()
      ])
      yield* Effect.all(calls, { concurrency: "unbounded", discard: true })
      for (const [index, { build }] of taken.entries()) {
        assert.strictEqual(yield* statusOf(build.buildId), index % 2 === 0 ? "succeeded" : "failed")
      }
    })
  )
]

const agentsOfBuilds: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "agents are made while the build runs, and their time to connect begins with its success",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const agents = yield* WorkspaceAgents
      yield* created("1")
      const { epoch } = yield* take()
      const ids = yield* prepare(
        "b1",
        epoch,
        enrolled("a1", { connectionTimeout: Duration.seconds(90) }),
        enrolled("a2", { name: "second", displayOrder: 3, parentId: agentId("a1") })
      )
      assert.deepStrictEqual(ids, new Map([["main", agentId("a1")], ["second", agentId("a2")]]))
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w1")))
      assert.strictEqual(latest.build.status, "running")
      const fresh = { lifecycle: "created", startedAt: null, firstConnectedAt: null, buildId: build("b1") } as const
      assert.strictEqual(latest.agents.length, 2)
      assert.deepInclude(latest.agents[0], {
        ...fresh,
        agentId: agentId("a1"),
        workspaceId: workspace("w1"),
        name: "main",
        connectionTimeout: Duration.seconds(90)
      })
      assert.deepInclude(latest.agents[1], { ...fresh, parentId: agentId("a1"), name: "second", displayOrder: 3 })
      yield* clock.pass("1 minute")
      yield* finish("b1", epoch, succeeded)
      yield* clock.pass("20 seconds")
      const snapshot = Option.getOrThrow(yield* agents.agent(agentId("a1")))
      assert.strictEqual(snapshot.agent.lifecycle, "created")
      const age = millisBetween(snapshot.agent.startedAt, snapshot.asOf)
      assert.isAtLeast(age, 20_000)
      assert.isAtMost(age, 20_000 + Duration.toMillis(clock.slack))
    })
  ),
  StoreKit.definition(
    "a build that fails does not start the time of its agents",
    Effect.gen(function*() {
      yield* created("1")
      const { epoch } = yield* take()
      yield* prepare("b1", epoch, enrolled("a1"))
      yield* finish("b1", epoch, failed())
      assert.strictEqual(Option.getOrThrow(yield* agentOf("a1")).startedAt, null)
    })
  ),
  StoreKit.definition(
    "the next runner's agents keep their ids, get new secrets, and start from nothing",
    Effect.gen(function*() {
      const clock = yield* StoreClock
      const agents = yield* WorkspaceAgents
      const presence = yield* AgentPresence
      yield* created("1", { repeatable: true })
      const first = yield* take()
      yield* prepare(
        "b1",
        first.epoch,
        enrolled("a1", { secretHash: yield* secretOf(1) }),
        enrolled("a2", { name: "left", secretHash: yield* secretOf(2) })
      )
      const old = yield* attach("a1")
      yield* presence.report({ agentId: agentId("a1"), epoch: old.epoch, lifecycle: "ready" })
      yield* clock.pass(lease)
      const second = yield* take()
      const ids = yield* prepare(
        "b1",
        second.epoch,
        enrolled("a3", { name: "new", secretHash: yield* secretOf(3), parentId: agentId("a4") }),
        enrolled("a4", { secretHash: yield* secretOf(4), displayOrder: 5 })
      )
      assert.deepStrictEqual(ids, new Map([["new", agentId("a3")], ["main", agentId("a1")]]))
      assert.strictEqual(yield* verify("a1", 1), "unknown")
      assert.strictEqual(yield* verify("a1", 4), "valid")
      assert.strictEqual(yield* verify("a3", 3), "valid")
      assert.strictEqual(yield* verify("a2", 2), "unknown")
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w1")))
      assert.deepStrictEqual(latest.agents.map(({ agentId, name, parentId }) => [agentId, name, parentId]), [
        [agentId("a1"), "main", null],
        [agentId("a3"), "new", agentId("a1")]
      ])
      assert.deepInclude(latest.agents[0], {
        displayOrder: 5,
        lifecycle: "created",
        firstConnectedAt: null,
        lastConnectedAt: null,
        disconnectedAt: null
      })
      // The session of the runner before is not the newest any more, and says nothing.
      yield* presence.report({ agentId: agentId("a1"), epoch: old.epoch, lifecycle: "ready" })
      const beat = yield* presence.beat({
        nodeId: node("n"),
        sessions: [{ agentId: agentId("a1"), epoch: old.epoch, age: Duration.zero }],
        waiting: []
      })
      assert.deepStrictEqual(beat.verdicts, new Map([[agentId("a1"), "replaced" as const]]))
      assert.deepInclude(Option.getOrThrow(yield* agentOf("a1")), { lifecycle: "created", lastConnectedAt: null })
      const next = yield* attach("a1")
      assert(next.epoch > old.epoch)
      assert.strictEqual(next.previous, null)
    })
  )
]

const logs: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "lines keep their numbers, repeats change nothing, and the next runner goes on behind the last",
    Effect.gen(function*() {
      const builds = yield* Builds
      const clock = yield* StoreClock
      yield* created("1")
      const { epoch } = yield* take()
      assert.strictEqual(yield* builds.lastLine(build("b1")), 0)
      assert.deepStrictEqual(yield* logOf("b1"), [])
      yield* append("b1", epoch, 1, "one", "two")
      yield* append("b1", epoch, 2, "TWO", "three", "")
      yield* append("b1", epoch, 10, "ten \u{1F600} '$1\\")
      yield* append("b1", epoch, 5)
      assert.strictEqual(yield* builds.lastLine(build("b1")), 10)
      assert.deepStrictEqual(yield* logOf("b1"), [
        [1, "one"],
        [2, "two"],
        [3, "three"],
        [4, ""],
        [10, "ten \u{1F600} '$1\\"]
      ])
      assert.deepStrictEqual(yield* logOf("b1", 3), [[4, ""], [10, "ten \u{1F600} '$1\\"]])
      assert.deepStrictEqual(yield* logOf("b1", 10), [])
      assert.strictEqual(yield* builds.lastLine(build("nowhere")), 0)
      yield* clock.pass("5 seconds")
      const [line] = yield* builds.log({ buildId: build("b1"), after: 0 })
      const { asOf } = yield* recordOf("b1")
      assert(line !== undefined)
      assert.isAtMost(Math.abs(millisBetween(line.at, asOf) - 5000), Duration.toMillis(clock.slack))
    })
  ),
  StoreKit.definition(
    "a line that no database can hold is kept readable",
    Effect.gen(function*() {
      yield* created("1")
      const { epoch } = yield* take()
      yield* append("b1", epoch, 1, "nul \0 half \uD83D end")
      assert.deepStrictEqual(yield* logOf("b1"), [[1, "nul \uFFFD half \uFFFD end"]])
    })
  ),
  StoreKit.definition(
    "a long log is read in pages of 1,000 lines",
    Effect.gen(function*() {
      const builds = yield* Builds
      yield* created("1")
      const { epoch } = yield* take()
      yield* append("b1", epoch, 1, ...Array.from({ length: 1200 }, (_, index) => `line ${index + 1}`))
      const first = yield* builds.log({ buildId: build("b1"), after: 0 })
      assert.deepStrictEqual([first.length, first.at(-1)?.number], [1000, 1000])
      assert.strictEqual((yield* builds.log({ buildId: build("b1"), after: 1000 })).length, 200)
    })
  ),
  StoreKit.definition(
    "a build that failed shows the end of its log, at most 4 KiB of it",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      yield* created("1")
      const { epoch } = yield* take()
      // Two bytes a character, and an odd number of them: the cut is not in the middle of one.
      yield* append("b1", epoch, 1, "first", "\u00E9".repeat(3000), "xy")
      const { logTail } = yield* finish("b1", epoch, failed())
      assert.strictEqual(logTail, `${"\u00E9".repeat(2046)}\nxy`)
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w1")))
      assert.strictEqual(latest.build.logTail, logTail)
      yield* created("2")
      const second = yield* take()
      yield* append("b2", second.epoch, 1, "fine")
      assert.strictEqual((yield* finish("b2", second.epoch, succeeded)).logTail, null)
    })
  )
]

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  ...running,
  ...agentsOfBuilds,
  ...logs,
  ...StoreKit.deaths(calls)
]
