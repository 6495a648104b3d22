import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Lifecycle } from "../../src/domain/Agent.ts"
import type { BuildOutcome } from "../../src/domain/Build.ts"
import type { BuildProgress } from "../../src/domain/BuildProgress.ts"
import { BuildId } from "../../src/domain/Ids.ts"
import * as Readiness from "../../src/provisioner/Readiness.ts"
import * as Builds from "../../src/store/Builds.ts"
import type { Signals } from "../../src/store/Signals.ts"
import { ScriptedTransport } from "../../src/testing/ScriptedTransport.ts"
import {
  agentId,
  agentIs,
  asked,
  connected,
  Faults,
  finished,
  ground,
  layer,
  logged,
  main,
  notified,
  started,
  taken
} from "./support/ReadinessWorld.ts"

type Options = Parameters<Readiness.Readiness["Service"]["of"]>[1]

const wait = Effect.fnUntraced(function*(buildId: BuildId, options?: Options) {
  const readiness = yield* Readiness.Readiness
  const fiber = yield* Effect.forkChild(readiness.of(buildId, options), { startImmediately: true })
  yield* TestClock.adjust(0)
  return fiber
})

/** A wait with all that was reported to it. */
const watch = Effect.fnUntraced(function*(buildId: BuildId) {
  const reports: Array<BuildProgress> = []
  const fiber = yield* wait(buildId, { report: (progress) => Effect.sync(() => reports.push(progress)) })
  return { fiber, reports }
})

/** What a wait came to, without the record and what is null. */
const outcome = (ready: Readiness.Ready) =>
  Object.fromEntries(Object.entries(ready).filter(([key, value]) => key !== "record" && value !== null))

/** Not 1 ms before, but then. */
const endsAfter = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>, bound: Duration.Input) {
  yield* TestClock.adjust(Duration.subtract(Duration.fromInputUnsafe(bound), Duration.millis(1)))
  assert.isUndefined(fiber.pollUnsafe(), "it ended too early")
  yield* TestClock.adjust(1)
  return yield* endsNow(fiber)
})

const endsNow = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  yield* TestClock.adjust(0)
  assert.isDefined(fiber.pollUnsafe(), "it has not ended")
  return yield* Fiber.join(fiber)
})

const store = (mode: Faults["Service"]["mode"]) =>
  Effect.map(Faults, (faults) => {
    faults.mode = mode
  })

const nothing = {}
const running = Effect.gen(function*() {
  const buildId = yield* asked()
  yield* taken
  return buildId
})

describe("Readiness of a build", () => {
  it.effect("its end is seen at the next poll", () =>
    Effect.gen(function*() {
      const buildId = yield* Effect.andThen(started(), asked("stop"))
      yield* taken
      const fiber = yield* wait(buildId)
      yield* finished(buildId)
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, "2 seconds")), nothing)
    }).pipe(Effect.provide(layer)))

  it.effect("its end is seen at once when its node says so", () =>
    Effect.gen(function*() {
      const buildId = yield* Effect.andThen(started(), asked("stop"))
      yield* taken
      const fiber = yield* wait(buildId)
      yield* finished(buildId)
      yield* notified(buildId)
      const ready = yield* endsNow(fiber)
      assert.deepStrictEqual(outcome(ready), nothing)
      assert.strictEqual(ready.record.build.status, "succeeded")
    }).pipe(Effect.provide(layer)))

  it.effect("an end that its node tells of during a look is not slept over", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const buildId = yield* Effect.andThen(started(), asked("stop"))
      yield* taken
      const services = yield* Effect.context<Builds.Builds | Signals>()
      faults.meanwhile = Effect.suspend(() => {
        faults.meanwhile = Effect.void
        return Effect.provideContext(Effect.andThen(Effect.orDie(finished(buildId)), notified(buildId)), services)
      })
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), nothing)
    }).pipe(Effect.provide(layer)))

  const failures: ReadonlyArray<readonly [BuildOutcome, string]> = [
    [{ _tag: "Failed", code: "provider_failed", message: "No space left." }, "No space left."],
    [{ _tag: "Canceled" }, "The build was canceled."]
  ]

  it.effect.each(failures)(
    "one that ends %j failed, and nobody asks for an agent",
    ([ended, failure]) =>
      Effect.gen(function*() {
        const faults = yield* Faults
        const buildId = yield* running
        yield* finished(buildId, ended)
        assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), { failure })
        assert.strictEqual(faults.counts.latestBuild, 0)
      }).pipe(Effect.provide(layer))
  )

  it.effect.each(["stop", "delete"] as const)(
    "a %s that succeeded has no agent to wait for",
    (transition) =>
      Effect.gen(function*() {
        const faults = yield* Faults
        const buildId = yield* Effect.andThen(started("main"), asked(transition))
        yield* taken
        yield* finished(buildId)
        assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), nothing)
        assert.strictEqual(faults.counts.latestBuild, 0)
      }).pipe(Effect.provide(layer))
  )

  it.effect("one that no runner takes ends the wait at its limit", () =>
    Effect.gen(function*() {
      const buildId = yield* asked()
      yield* TestClock.adjust("500 millis")
      const ready = yield* endsAfter(
        yield* wait(buildId),
        Duration.subtract(Duration.minutes(15), Duration.millis(500))
      )
      assert.deepStrictEqual(outcome(ready), { failure: "No runner took the build within 15m." })
      assert.strictEqual(ready.record.build.status, "pending")
    }).pipe(Effect.provide(layer)))

  it.effect("one that does not end does so too, and is said to run", () =>
    Effect.gen(function*() {
      const ready = yield* endsAfter(yield* wait(yield* running), "15 minutes")
      assert.deepStrictEqual(outcome(ready), { failure: "The build did not end within 15m." })
    }).pipe(Effect.provide(layer)))

  it.effect("a wait that begins behind the limit looks once", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      yield* TestClock.adjust("20 minutes")
      const late = yield* endsNow(yield* wait(buildId))
      assert.deepStrictEqual(outcome(late), { failure: "The build did not end within 15m." })
      yield* finished(buildId, { _tag: "Canceled" })
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), { failure: "The build was canceled." })
    }).pipe(Effect.provide(layer)))

  it.effect("the limit is one of the store's clock", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const buildId = yield* running
      faults.ahead = 10 * 60_000
      assert.isNotNull((yield* endsAfter(yield* wait(buildId), "5 minutes")).failure)
    }).pipe(Effect.provide(layer)))

  it.effect("a build that nobody knows, and a store that does not answer the first question, fail the wait", () =>
    Effect.gen(function*() {
      const unknown = yield* Effect.flip(endsNow(yield* wait(BuildId.make("unknown"))))
      assert.strictEqual(unknown._tag, "StoreError")
      const buildId = yield* running
      yield* store("fail")
      assert.strictEqual((yield* Effect.flip(endsNow(yield* wait(buildId))))._tag, "StoreError")
      yield* store("hang")
      const hanging = yield* Effect.flip(endsAfter(yield* wait(buildId), "3 seconds"))
      assert.strictEqual(hanging.operation, "Builds.get")
    }).pipe(Effect.provide(layer)))

  it.effect("an outage in the middle is waited for", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      const fiber = yield* wait(buildId)
      yield* store("fail")
      yield* TestClock.adjust("5 minutes")
      yield* store("hang")
      yield* TestClock.adjust("5 minutes")
      assert.isUndefined(fiber.pollUnsafe())
      yield* finished(buildId, { _tag: "Canceled" })
      yield* store("answer")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), { failure: "The build was canceled." })
    }).pipe(Effect.provide(layer)))

  it.effect("an outage that outlasts the limit ends the wait at the limit, with what was known", () =>
    Effect.gen(function*() {
      const fiber = yield* wait(yield* running)
      yield* store("fail")
      const ready = yield* endsAfter(fiber, "15 minutes")
      assert.deepStrictEqual(outcome(ready), { failure: "The build did not end within 15m." })
    }).pipe(Effect.provide(layer)))

  it.effect("a store that hangs to the end holds up the limit by one call at most", () =>
    Effect.gen(function*() {
      const fiber = yield* wait(yield* running)
      yield* store("hang")
      yield* TestClock.adjust(Duration.sum(Duration.minutes(15), Duration.seconds(3)))
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), { failure: "The build did not end within 15m." })
    }).pipe(Effect.provide(layer)))
})

describe("Readiness of an agent", () => {
  it.effect("one that answers at once is ready, and its connection is let go", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      yield* connected()
      const ready = yield* endsNow(yield* wait(buildId))
      assert.deepStrictEqual(outcome(ready), nothing)
      assert.deepInclude(transport.counts(main), { dials: 1, opened: 1, open: 0 })
    }).pipe(Effect.provide(layer)))

  it.effect("one that is silent is dialed for 5 s at a time, and found as soon as it comes", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* wait(yield* started("main"))
      assert.strictEqual(transport.counts(main).dials, 1)
      yield* TestClock.adjust(4999)
      assert.strictEqual(transport.counts(main).dials, 1)
      yield* TestClock.adjust(1)
      assert.deepInclude(transport.counts(main), { dials: 2, pending: 1 })
      yield* TestClock.adjust("63 seconds")
      yield* connected()
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), nothing)
      assert.deepInclude(transport.counts(main), { pending: 0, open: 0 })
    }).pipe(Effect.provide(layer)))

  it.effect("one that refuses is dialed every 2 s", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* transport.refuse(main)
      yield* wait(yield* started("main"))
      yield* TestClock.adjust(1999)
      assert.strictEqual(transport.counts(main).dials, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(transport.counts(main).dials, 2)
    }).pipe(Effect.provide(layer)))

  it.effect("the time that a dial takes is part of the 2 s", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* transport.refuse(main, { after: 1500 })
      yield* wait(yield* started("main"))
      yield* TestClock.adjust(1999)
      assert.strictEqual(transport.counts(main).dials, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(transport.counts(main).dials, 2)
    }).pipe(Effect.provide(layer)))

  it.effect("one that never comes is given up 2 min after the build", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      yield* TestClock.adjust(34_500)
      assert.deepStrictEqual(outcome(yield* endsAfter(yield* wait(buildId), 85_500)), {
        agentStatus: "not_ready",
        agentError: "No answer from the workspace's agent within 5 s."
      })
      assert.strictEqual(transport.counts(main).pending, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("the deadline is one of the store's clock, also when that is set meanwhile", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const fiber = yield* wait(yield* started("main"))
      faults.ahead = 90_000
      assert.strictEqual((yield* endsAfter(fiber, "30 seconds")).agentStatus, "not_ready")
    }).pipe(Effect.provide(layer)))

  it.effect("what the last dial said is told", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* transport.refuse(main, { reason: "incompatible" })
      const buildId = yield* started("main")
      yield* TestClock.adjust(500)
      const ready = yield* endsAfter(yield* wait(buildId), 119_500)
      assert.deepStrictEqual(outcome(ready), {
        agentStatus: "not_ready",
        agentError: "The workspace's agent speaks a version that this server does not."
      })
    }).pipe(Effect.provide(layer)))

  it.effect("a wait that begins behind the deadline still makes one whole dial", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      yield* TestClock.adjust("1 hour")
      const absent = yield* endsAfter(yield* wait(buildId), "5 seconds")
      assert.strictEqual(absent.agentStatus, "not_ready")
      yield* connected()
      yield* transport.accept(main, { after: 4999 })
      assert.deepStrictEqual(outcome(yield* endsAfter(yield* wait(buildId), 4999)), nothing)
    }).pipe(Effect.provide(layer)))

  it.effect("dials that ignore their interruption delay nothing, and what they open late is let go", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* transport.ignoreCancellation(main, { after: "1 hour", outcome: "succeed" })
      const ready = yield* endsAfter(yield* wait(yield* started("main")), "2 minutes")
      assert.strictEqual(ready.agentStatus, "not_ready")
      yield* TestClock.adjust("2 hours")
      const { opened, open, pending } = transport.counts(main)
      assert.deepStrictEqual({ open, pending }, { open: 0, pending: 0 })
      assert.strictEqual(opened, transport.counts(main).dials)
    }).pipe(Effect.provide(layer)))

  it.effect("a stop that is asked for meanwhile ends the wait, and so does a start", () =>
    Effect.gen(function*() {
      const start = yield* started("main")
      const fiber = yield* wait(start)
      const stop = yield* asked("stop")
      yield* TestClock.adjust("5 seconds")
      const not_ready = { agentStatus: "not_ready" }
      const stopping = { ...not_ready, agentError: "The workspace is stopping." }
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), stopping)
      yield* taken
      yield* finished(stop)
      const stopped = { ...not_ready, agentError: "The workspace is stopped." }
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(start))), stopped)
      const again = yield* started("other")
      const startedAgain = { ...not_ready, agentError: "The workspace was started again meanwhile." }
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(start))), startedAgain)
      const gone = yield* asked("delete")
      yield* taken
      yield* finished(gone)
      const deleted = { ...not_ready, agentError: "The workspace of this chat was deleted." }
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(again))), deleted)
    }).pipe(Effect.provide(layer)))

  it.effect("a template without agents, and one whose agents are ambiguous, are said", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(yield* started()))), { agentStatus: "no_agent" })
      const ambiguous = yield* Effect.andThen(ended, started("a-chat", "b-chat"))
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(ambiguous))), {
        agentStatus: "selection_error",
        agentError: "The workspace's template names several agents for chats: a-chat, b-chat."
      })
      assert.strictEqual(transport.counts().dials, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("the agent is the one that connecting would choose", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* wait(yield* started("main", "dev-chat", "dev-ai"))
      assert.strictEqual(transport.counts(agentId("dev-ai")).dials, 1)
      assert.strictEqual(transport.counts().dials, 1)
    }).pipe(
      Effect.provide(Layer.provideMerge(Readiness.layerWith({ preferredSuffix: "-ai" }), ground))
    ))

  it.effect("an outage in the middle does not end the dials", () =>
    Effect.gen(function*() {
      const fiber = yield* wait(yield* started("main"))
      yield* store("fail")
      yield* TestClock.adjust("1 minute")
      yield* connected()
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(fiber.pollUnsafe(), "its scripts are not known")
      yield* store("answer")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), nothing)
    }).pipe(Effect.provide(layer)))

  it.effect("an agent that the store never named is not ready", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      const fiber = yield* wait(buildId)
      const faults = yield* Faults
      yield* finished(buildId)
      faults.mode = "fail"
      faults.of = ["latestBuild"]
      yield* notified(buildId)
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, "2 minutes")), {
        agentStatus: "not_ready",
        agentError: "The database could not answer (latestBuild)."
      })
    }).pipe(Effect.provide(layer)))

  it.effect("without a dial the agent is taken as reachable once it has connected", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* wait(yield* started("main"), { dial: false })
      yield* agentIs({ lifecycle: "ready" })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* agentIs({ firstConnectedAt: yield* DateTime.now })
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, "2 seconds")), nothing)
      assert.strictEqual(transport.counts().dials, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("without a dial an agent that does not come in 2 min is not ready", () =>
    Effect.gen(function*() {
      const fiber = yield* wait(yield* started("main"), { dial: false })
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, "2 minutes")), {
        agentStatus: "not_ready",
        agentError: "The workspace's agent has not connected yet."
      })
    }).pipe(Effect.provide(layer)))
})

describe("Readiness of start-up scripts", () => {
  it.effect("they are looked at after 0.1 s, each time after twice as long, and then every 2 s", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const buildId = yield* started("main")
      yield* connected("created")
      yield* wait(buildId)
      yield* TestClock.adjust(0)
      const before = faults.counts.latestBuild
      for (
        const [at, looks] of [[99, 0], [1, 1], [199, 1], [1, 2], [400, 3], [800, 4], [1600, 5], [2000, 6]] as const
      ) {
        yield* TestClock.adjust(at)
        assert.strictEqual(faults.counts.latestBuild - before, looks)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("they are looked at to their end", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* connected("created")
      const fiber = yield* wait(buildId)
      yield* TestClock.adjust("1 minute")
      yield* agentIs({ lifecycle: "starting" })
      yield* TestClock.adjust("1 minute")
      yield* agentIs({ lifecycle: "ready" })
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, 1100)), nothing)
    }).pipe(Effect.provide(layer)))

  const failed: ReadonlyArray<Lifecycle> = ["start_timeout", "start_error", "shutting_down", "shutdown_error", "off"]

  it.effect.each(failed)("%s is no start", (lifecycle) =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* connected(lifecycle)
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), {
        startupScripts: "startup_scripts_failed",
        lifecycle
      })
    }).pipe(Effect.provide(layer)))

  it.effect("they have 10 min from when the agent first came", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* TestClock.adjust("30 seconds")
      yield* connected("starting")
      yield* TestClock.adjust(180_500)
      assert.deepStrictEqual(outcome(yield* endsAfter(yield* wait(buildId), 419_500)), {
        startupScripts: "startup_scripts_timeout",
        lifecycle: "starting"
      })
    }).pipe(Effect.provide(layer)))

  it.effect("where nobody records that the agent came, nobody tells of them, and they are not waited for", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      yield* transport.accept(main)
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), nothing)
    }).pipe(Effect.provide(layer)))

  it.effect("a wait that begins behind the deadline looks once", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* connected("starting")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* endsNow(yield* wait(buildId))).startupScripts, "startup_scripts_timeout")
      yield* agentIs({ lifecycle: "ready" })
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId))), nothing)
    }).pipe(Effect.provide(layer)))

  it.effect("where nobody could be asked to the end, nothing is known of them", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const fiber = yield* wait(yield* started("main"))
      yield* store("fail")
      yield* transport.accept(main)
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, "10 minutes")), {
        startupScripts: "startup_scripts_unknown"
      })
    }).pipe(Effect.provide(layer)))

  it.effect("a stop that is asked for meanwhile ends the wait", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* connected("starting")
      const fiber = yield* wait(buildId)
      yield* asked("stop")
      assert.deepStrictEqual(outcome(yield* endsAfter(fiber, 100)), {
        agentStatus: "not_ready",
        agentError: "The workspace is stopping."
      })
    }).pipe(Effect.provide(layer)))
})

/** Ends what runs, so that another start can be made. */
const ended = Effect.gen(function*() {
  const buildId = yield* asked("stop")
  yield* taken
  yield* finished(buildId)
})

describe("Readiness after a restart", () => {
  /** The wait is begun in one layer and taken up in another over the same store. */
  const restarted = Effect.fnUntraced(function*(buildId: BuildId, after: Duration.Input) {
    const first = yield* Scope.make()
    const before = yield* Layer.buildWithScope(Layer.fresh(Readiness.layer), first)
    const lost = yield* Effect.provideContext(wait(buildId), before)
    yield* TestClock.adjust(after)
    assert.isUndefined(lost.pollUnsafe())
    yield* Scope.close(first, Exit.void)
    assert.strictEqual((yield* Effect.flip(endsNow(lost)))._tag, "StoreError")
    return yield* Effect.provideContext(wait(buildId), yield* Layer.build(Layer.fresh(Readiness.layer)))
  })

  it.effect("the build has no longer deadline", () =>
    Effect.gen(function*() {
      const fiber = yield* restarted(yield* running, "14 minutes")
      assert.strictEqual((yield* endsAfter(fiber, "1 minute")).failure, "The build did not end within 15m.")
    }).pipe(Effect.provide(ground)))

  it.effect("the agent has no longer deadline", () =>
    Effect.gen(function*() {
      const fiber = yield* restarted(yield* started("main"), "100 seconds")
      assert.strictEqual((yield* endsAfter(fiber, "20 seconds")).agentStatus, "not_ready")
    }).pipe(Effect.provide(ground)))

  it.effect("the scripts have no longer deadline", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      yield* connected("starting")
      const fiber = yield* restarted(buildId, "9 minutes")
      assert.strictEqual((yield* endsAfter(fiber, "1 minute")).startupScripts, "startup_scripts_timeout")
    }).pipe(Effect.provide(ground)))

  it.effect("the end of a layer does not wait for a dial that ignores it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      yield* transport.acquireUninterruptibly(main)
      yield* restarted(yield* started("main"), "1 second")
      assert.strictEqual(transport.counts(main).dials, 2)
    }).pipe(Effect.provide(ground)))
})

describe("Readiness for many", () => {
  it.effect("64 callers share one wait and its answer", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      const fibers = yield* Effect.forEach(Array.from({ length: 64 }), () => wait(buildId))
      yield* connected()
      const answers = yield* Effect.forEach(fibers, endsNow)
      assert.strictEqual(new Set(answers).size, 1)
      assert.strictEqual(faults.counts.get, 1)
      assert.strictEqual(transport.counts(main).dials, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("who leaves changes nothing for the others; the last one leaves nothing behind", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      const transport = yield* ScriptedTransport
      const buildId = yield* started("main")
      const [first, second] = [yield* wait(buildId), yield* wait(buildId)]
      yield* Fiber.interrupt(first)
      assert.strictEqual(transport.counts(main).pending, 1)
      yield* Fiber.interrupt(second)
      yield* TestClock.adjust(0)
      const counts = { ...faults.counts }
      assert.deepInclude(transport.counts(main), { dials: 1, pending: 0 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(faults.counts, counts)
      assert.strictEqual(transport.counts(main).dials, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("who comes when the last one leaves begins anew", () =>
    Effect.gen(function*() {
      const readiness = yield* Readiness.Readiness
      const faults = yield* Faults
      const buildId = yield* running
      const first = yield* wait(buildId)
      first.interruptUnsafe()
      const second = yield* Effect.forkChild(readiness.of(buildId), { startImmediately: true })
      yield* TestClock.adjust(0)
      const { get } = faults.counts
      const third = yield* wait(buildId)
      assert.strictEqual(faults.counts.get, get, "the third shares the wait of the second")
      yield* finished(buildId, { _tag: "Canceled" })
      yield* TestClock.adjust("2 seconds")
      for (const fiber of [second, third]) {
        assert.strictEqual((yield* endsNow(fiber)).failure, "The build was canceled.")
      }
    }).pipe(Effect.provide(layer)))

  it.effect("a wait that ends late does not end the one that was begun meanwhile", () =>
    Effect.gen(function*() {
      const readiness = yield* Readiness.Readiness
      const faults = yield* Faults
      const run = Effect.runForkWith(yield* Effect.context())
      const buildId = yield* running
      let first: Fiber.Fiber<unknown, unknown> | undefined
      let second: Fiber.Fiber<unknown, unknown> | undefined
      // The report is part of the step in which the wait runs: it can end only after that.
      const report = () =>
        Effect.sync(() => {
          first?.interruptUnsafe()
          second ??= run(readiness.of(buildId))
        })
      first = yield* Effect.forkChild(readiness.of(buildId, { report }), { startImmediately: true })
      yield* TestClock.adjust(0)
      const { get } = faults.counts
      const third = yield* wait(buildId)
      assert.strictEqual(faults.counts.get, get, "the third shares the wait of the second")
      assert.isUndefined(second?.pollUnsafe())
      assert.isUndefined(third.pollUnsafe())
    }).pipe(Effect.provide(layer)))

  it.effect("the build goes on when its last waiter leaves", () =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const buildId = yield* running
      yield* Fiber.interrupt(yield* wait(buildId))
      yield* finished(buildId)
      const record = yield* builds.get(buildId)
      assert.strictEqual(record._tag === "Some" && record.value.build.status, "succeeded")
    }).pipe(Effect.provide(layer)))

  it.effect("a wait without a dial is another wait", () =>
    Effect.gen(function*() {
      const buildId = yield* started("main")
      const dialing = yield* wait(buildId)
      yield* agentIs({ lifecycle: "ready", firstConnectedAt: yield* DateTime.now })
      assert.deepStrictEqual(outcome(yield* endsNow(yield* wait(buildId, { dial: false }))), nothing)
      assert.isUndefined(dialing.pollUnsafe())
    }).pipe(Effect.provide(layer)))

  it.effect("a listener that hangs or fails holds up neither itself nor others", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      const hanging = yield* wait(buildId, { report: () => Effect.uninterruptible(Effect.never) })
      let heard = 0
      const failing = yield* wait(buildId, {
        report: () => Effect.andThen(Effect.sync(() => heard++), Effect.die("no"))
      })
      const { fiber, reports } = yield* watch(buildId)
      for (let number = 1; number <= 100; number++) {
        yield* logged(buildId, [number, `line ${number}`])
        yield* notified(buildId)
        yield* TestClock.adjust(0)
      }
      yield* finished(buildId, { _tag: "Canceled" })
      yield* notified(buildId)
      for (const waiting of [hanging, failing, fiber]) {
        assert.strictEqual((yield* endsNow(waiting)).failure, "The build was canceled.")
      }
      const lines = reports.flatMap((report) => report._tag === "Building" ? report.lines : [])
      assert.lengthOf(lines, 100)
      assert.isAtLeast(heard, 100)
    }).pipe(Effect.provide(layer)))
})

describe("Readiness as it is reported", () => {
  it.effect("who is slow hears the newest", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      const numbers: Array<number | undefined> = []
      const slow = Latch.makeUnsafe(false)
      yield* wait(buildId, {
        report: (progress) =>
          Effect.andThen(
            slow.await,
            Effect.sync(() => numbers.push(progress._tag === "Building" ? progress.lines[0]?.number : undefined))
          )
      })
      for (let number = 1; number <= 100; number++) {
        yield* logged(buildId, [number, "line"])
        yield* notified(buildId)
        yield* TestClock.adjust(0)
      }
      yield* slow.open
      yield* TestClock.adjust(0)
      // The one it was busy with, and the last sixteen.
      assert.deepStrictEqual(numbers, [undefined, ...Array.from({ length: 16 }, (_, index) => 85 + index)])
    }).pipe(Effect.provide(layer)))

  const short = (report: BuildProgress): string => {
    const { _tag, elapsed } = report
    const more = _tag === "Queued"
      ? report.ahead
      : _tag === "Building"
      ? report.lines.map(({ text }) => text).join()
      : _tag === "AwaitingAgent"
      ? report.agentId
      : report.lifecycle
    return `${_tag} ${Duration.toSeconds(elapsed)} ${more}`.trim()
  }

  it.effect("queue, build with its log, agent and scripts follow each other, each with its time", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const builds = yield* Builds.Builds
      yield* transport.refuse(main)
      const buildId = yield* asked()
      const { fiber, reports } = yield* watch(buildId)
      yield* TestClock.adjust(2000)
      yield* taken
      yield* TestClock.adjust(2000)
      yield* logged(buildId, [1, "one"], [2, "two"])
      yield* TestClock.adjust(2000)
      yield* logged(buildId, [3, "three"])
      const agent = {
        agentId: main,
        parentId: null,
        name: "main",
        displayOrder: 0,
        connectionTimeout: Duration.zero,
        secretHash: new Uint8Array()
      }
      yield* builds.prepareAgents({ buildId, epoch: 1, agents: [agent] })
      yield* finished(buildId)
      yield* TestClock.adjust(2000)
      yield* TestClock.adjust(2000)
      yield* connected("starting")
      yield* TestClock.adjust(2000)
      yield* TestClock.adjust(4000)
      yield* agentIs({ lifecycle: "ready" })
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(outcome(yield* endsNow(fiber)), nothing)
      assert.deepStrictEqual(reports.map(short), [
        "Queued 0 0",
        "Queued 2 0",
        "Building 2",
        "Building 4 one,two",
        "Building 6 three",
        `AwaitingAgent 2 ${main}`,
        `AwaitingAgent 4 ${main}`,
        `AwaitingAgent 6 ${main}`,
        "AwaitingScripts 2 starting",
        "AwaitingScripts 5.1 starting"
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("what is not new is reported once a poll, however often something changes on the node", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      const { reports } = yield* watch(buildId)
      for (let times = 0; times < 10; times++) {
        yield* TestClock.adjust(199)
        yield* notified(buildId)
        yield* TestClock.adjust(0)
      }
      assert.lengthOf(reports, 1)
      yield* TestClock.adjust(10)
      yield* notified(buildId)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(reports.map(short), ["Building 0", "Building 2"])
    }).pipe(Effect.provide(layer)))

  it.effect("all of a long log is reported before what comes after it", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      yield* logged(buildId, ...Array.from({ length: 2500 }, (_, index) => [index + 1, "line"] as const))
      yield* finished(buildId, { _tag: "Canceled" })
      const { fiber, reports } = yield* watch(buildId)
      yield* endsNow(fiber)
      const lengths = reports.map((report) => report._tag === "Building" ? report.lines.length : 0)
      assert.deepStrictEqual(lengths, [1000, 1000, 500])
    }).pipe(Effect.provide(layer)))

  it.effect("who comes later hears at once how far it is", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      yield* watch(buildId)
      yield* TestClock.adjust(1000)
      const { reports } = yield* watch(buildId)
      assert.deepStrictEqual(reports.map(short), ["Building 0"])
    }).pipe(Effect.provide(layer)))

  it.effect("a build that has ended and printed nothing is not reported", () =>
    Effect.gen(function*() {
      const buildId = yield* running
      yield* finished(buildId, { _tag: "Canceled" })
      const { fiber, reports } = yield* watch(buildId)
      yield* endsNow(fiber)
      assert.lengthOf(reports, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("the log is not read where nobody listens", () =>
    Effect.gen(function*() {
      const faults = yield* Faults
      yield* wait(yield* running)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(faults.counts.log, 0)
    }).pipe(Effect.provide(layer)))
})
