import { assert, describe, it } from "@effect/vitest"
import { AgentToken } from "chat-workspace/domain"
import { BuildMetrics } from "chat-workspace/provisioner"
import { Duration, Effect, Metric, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { TemplateId } from "../../src/domain/Ids.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as Runners from "./support/runners.ts"

describe("taking builds", () => {
  it.effect("a build is taken at once when somebody notifies", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      const { signals } = yield* world.runner("a")
      yield* TestClock.adjust("5 seconds")
      const { buildId } = yield* world.create()
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "pending")
      yield* signals.notify(Signals.queue)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "succeeded")
    }))

  it.effect("and at the next poll when nobody does", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      const { buildId } = yield* world.create()
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* world.status(buildId), "pending")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
    }))

  it.effect("no more run at once than there are places, and the next begins when one ends", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make({ config: { concurrency: 2 } })
      // Not a time at which anybody looks.
      yield* world.script.takes("9 seconds")
      for (let build = 0; build < 5; build++) yield* world.create()
      const { runner } = yield* world.runner("a")
      yield* TestClock.adjust("8999 millis")
      assert.deepInclude(world.script.counts(), { calls: 2, running: 2 })
      assert.deepStrictEqual(runner.running().map(({ buildId }) => String(buildId)), ["w1/1", "w2/1"])
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(world.script.counts(), { calls: 4, running: 2, finished: 2 })
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(world.script.counts(), { calls: 5, running: 0, finished: 5 })
      assert.deepStrictEqual(runner.running(), [])
    }))

  it.effect("builds of two runners on one queue run once each", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make({ config: { concurrency: 3 } })
      yield* world.script.takes("1 second")
      for (let build = 0; build < 20; build++) yield* world.create()
      yield* world.runner("a")
      yield* world.runner("b")
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(world.script.counts(), { calls: 20, finished: 20 })
      assert.strictEqual(new Set(world.script.requests().map(({ buildId }) => buildId)).size, 20)
    }))

  it.effect("a queue that cannot be asked is asked again, and that is said once", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      world.faults.set("take", "fail")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(world.warnings(), ["Builds cannot be taken"])
      world.faults.heal("take")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.include(world.logged.map(({ message }) => message), "Builds are taken again")
    }))

  it.effect("what runs is described", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId, workspaceId } = yield* world.create()
      const { runner } = yield* world.runner("a")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(runner.nodeId, "a")
      assert.deepStrictEqual(runner.running(), [
        { buildId, workspaceId, transition: "start", attempt: 1, runningFor: Duration.seconds(3) }
      ])
    }))
})

describe("what a build does", () => {
  it.effect("a start makes its agents, and hands the provider tokens that are theirs", () =>
    Effect.gen(function*() {
      const agents = [{ name: "main", displayOrder: 0 }, { name: "gpu", displayOrder: 1 }]
      const template = Runners.template({ agents, connectionTimeout: Duration.minutes(7) })
      const world = yield* Runners.make({ templates: [template] })
      const { buildId, workspaceId } = yield* world.create({ parameters: { size: "large" } })
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      const [request] = world.script.requests()
      assert(request !== undefined)
      assert.deepInclude(request, {
        transition: "start",
        buildId,
        template,
        parameters: { size: "large" },
        gatewayUrl: "ws://gateway"
      })
      assert.strictEqual(request.workspace.workspaceId, workspaceId)
      assert.deepStrictEqual(request.agents.map(({ name }) => name), ["main", "gpu"])
      for (const { agentId, token } of request.agents) {
        const parsed = Option.getOrThrow(AgentToken.parse(token))
        assert.strictEqual(yield* world.presence.verify(parsed), agentId)
      }
      const rows = world.store.agentsOf(buildId)
      assert.deepStrictEqual(
        rows.map(({ connectionTimeout, displayOrder, lifecycle, name }) => [
          name,
          displayOrder,
          lifecycle,
          Duration.toMinutes(connectionTimeout)
        ]),
        [["main", 0, "created", 7], ["gpu", 1, "created", 7]]
      )
    }))

  for (const transition of ["stop", "delete"] as const) {
    it.effect(`a ${transition} makes no agents`, () =>
      Effect.gen(function*() {
        const world = yield* Runners.make()
        yield* world.runner("a")
        const { workspaceId } = yield* world.create()
        yield* TestClock.adjust("2 seconds")
        const { buildId } = yield* world.request(workspaceId, transition)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* world.status(buildId), "succeeded")
        assert.deepStrictEqual(world.script.requests().map(({ agents, transition }) => [transition, agents.length]), [
          ["start", 1],
          [transition, 0]
        ])
        assert.strictEqual(world.faults.count("prepareAgents"), 1)
      }))
  }

  it.effect("a template without agents is started without", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make({ templates: [Runners.template({ agents: [] })] })
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "succeeded")
    }))

  it.effect("a template that is gone fails the build, and nothing is called", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      const { buildId } = yield* world.create({ template: "gone" })
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual((yield* world.record(buildId)).failure, {
        code: "template_missing",
        message: "The template \"gone\" is not there any more."
      })
      assert.strictEqual(world.script.counts().calls, 0)
    }))

  it.effect("so does a provider that is not there", () =>
    Effect.gen(function*() {
      const provider = { type: "cloud", settings: {}, directory: null }
      const world = yield* Runners.make({
        templates: [Runners.template({ templateId: TemplateId.make("far"), provider })]
      })
      const { buildId } = yield* world.create({ template: "far" })
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual((yield* world.record(buildId)).failure, {
        code: "template_missing",
        message: "The template \"far\" wants a provider \"cloud\", which is not there."
      })
    }))

  it.effect("a store that fails before the provider is called is asked again", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      world.faults.set("template", "fail")
      world.faults.set("prepareAgents", "fail")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(world.script.counts().calls, 0)
      world.faults.heal("template")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(world.faults.count("prepareAgents"), 1)
      world.faults.heal("prepareAgents")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
    }))
})

describe("how a build ends", () => {
  it.effect("a provider that fails says why, without the tokens", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* world.script.untilCalled(1)
      const [request] = world.script.requests()
      const token = Redacted.value(request?.agents[0]?.token ?? Redacted.make("none"))
      yield* world.script.fail(`no disk for ${token}`)
      yield* TestClock.adjust(0)
      const record = yield* world.record(buildId)
      assert.strictEqual(record.build.status, "failed")
      assert.deepStrictEqual(record.failure, { code: "provider_failed", message: "no disk for ***" })
    }))

  it.effect("a provider that breaks is a failure without details, and the details are logged, without the tokens", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* world.script.untilCalled(1)
      const [request] = world.script.requests()
      const token = Redacted.value(request?.agents[0]?.token ?? Redacted.make("none"))
      yield* world.script.die(new Error(`boom ${token}`))
      yield* TestClock.adjust(0)
      const { failure } = yield* world.record(buildId)
      assert.strictEqual(failure?.code, "provider_failed")
      assert.notInclude(failure?.message, "boom")
      const [broke] = world.logged.filter(({ level }) => level === "Error")
      assert.include(broke?.text, "boom ***")
      assert.notInclude(JSON.stringify(world.logged), token)
    }))

  it.effect("one that ends by interrupting itself is broken too", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.onStart(() => Effect.interrupt)
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* world.record(buildId)).failure?.code, "provider_failed")
    }))

  it.effect("at its limit it is interrupted and has failed, not a millisecond before", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create()
      yield* TestClock.adjust("10 seconds")
      yield* world.runner("a")
      yield* TestClock.adjust(15 * 60_000 - 10_001)
      assert.strictEqual(yield* world.status(buildId), "running")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* world.record(buildId)).failure, {
        code: "timed_out",
        message: "The build did not end within 15m of its request."
      })
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
    }))

  it.effect("a cancel is heard with the next renewal", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId, workspaceId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("1 second")
      yield* world.builds.cancel({ owner: Runners.owner, workspaceId })
      yield* TestClock.adjust("8999 millis")
      assert.strictEqual(yield* world.status(buildId), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* world.status(buildId), "canceled")
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
    }))

  it.effect("or at once when a signal comes", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId, workspaceId } = yield* world.create()
      const { signals } = yield* world.runner("a")
      yield* TestClock.adjust("1 second")
      yield* world.builds.cancel({ owner: Runners.owner, workspaceId })
      yield* signals.notify(Signals.cancel(buildId))
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "canceled")
    }))

  it.effect("its own log is no reason to renew", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.print(["pulling"])
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(yield* world.log(buildId), ["pulling"])
      assert.strictEqual(world.faults.count("renew"), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(world.faults.count("renew"), 1)
    }))

  it.effect("a provider that ignores its interruption is left after twice the time to kill, and the end is written", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.ignoreInterruption(true)
      const { buildId, workspaceId } = yield* world.create()
      yield* world.runner("a")
      yield* world.script.untilCalled(1)
      yield* world.builds.cancel({ owner: Runners.owner, workspaceId })
      yield* TestClock.adjust("19999 millis")
      assert.strictEqual(yield* world.status(buildId), "running")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* world.status(buildId), "canceled")
      assert.deepStrictEqual(world.warnings(), ["A provider ignores its interruption and was left"])
      // What it still prints is nobody's.
      const [request] = world.script.requests()
      yield* request?.log("late") ?? Effect.void
      yield* world.script.succeed()
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* world.log(buildId), [])
      assert.strictEqual(yield* world.status(buildId), "canceled")
    }))

  it.effect("an end that cannot be written is written when the store answers", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      world.faults.set("finish", "fail")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("25 seconds")
      assert.strictEqual(yield* world.status(buildId), "running")
      world.faults.heal("finish")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.strictEqual(world.script.counts().calls, 1)
    }))

  for (const fault of ["fail", "hang", "stubborn"] as const) {
    it.effect(`but not once the lease is over: ${fault}`, () =>
      Effect.gen(function*() {
        const world = yield* Runners.make({ config: { attempts: 1 } })
        world.faults.set("finish", fault)
        const { buildId } = yield* world.create()
        const { runner } = yield* world.runner("a")
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual(runner.running().length, 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(runner.running().length, 0)
        assert.deepStrictEqual(world.warnings(), ["A build is not this node's any more"])
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* world.record(buildId)).failure?.code, "runner_lost")
        world.faults.heal("finish")
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* world.record(buildId)).failure?.code, "runner_lost")
      }))
  }

  it.effect("what breaks in the store ends the runner of the build, and is logged", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      world.faults.set("renew", "die")
      yield* world.create()
      const { runner } = yield* world.runner("a", { config: { concurrency: 1 } })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(runner.running().length, 0)
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
      assert.deepStrictEqual(world.warnings(), ["The runner of a build broke", "A build is not this node's any more"])
    }))
})

describe("the log", () => {
  it.effect("is written while the build runs, and who follows it is woken", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.print(["pulling", "creating"])
      const { buildId } = yield* world.create()
      const { signals } = yield* world.runner("a")
      yield* TestClock.adjust(0)
      const news = yield* signals.subscribe(Signals.build(buildId))
      const woken = yield* Effect.forkChild(news.changed("1 hour"), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(yield* world.log(buildId), [])
      assert.isUndefined(woken.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* world.log(buildId), ["pulling", "creating"])
      assert.isDefined(woken.pollUnsafe())
    }))

  it.effect("is whole before the end is written", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.print(["no such image"])
      yield* world.script.fail("it failed")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* world.record(buildId)).build.logTail, "no such image")
    }))

  it.effect("never holds a token", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.onStart(({ agents, log }) =>
        Effect.forEach(agents, ({ token }) => log(`export TOKEN=${Redacted.value(token)}`), { discard: true })
      )
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* world.log(buildId), ["export TOKEN=***"])
    }))

  it.effect("keeps to its limits", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make({ config: { logLines: 2 } })
      yield* world.script.print(["1", "2", "3", "4"])
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* world.log(buildId), [
        "1",
        "2",
        "The log is longer than its limit; what follows is not kept."
      ])
    }))

  for (const fault of ["fail", "hang", "stubborn"] as const) {
    it.effect(`that cannot be written holds up no end: ${fault}`, () =>
      Effect.gen(function*() {
        const world = yield* Runners.make()
        yield* world.script.hang()
        yield* world.script.print(["hello"])
        const { buildId, workspaceId } = yield* world.create()
        yield* world.runner("a")
        yield* world.script.untilCalled(1)
        world.faults.set("appendLog", fault)
        yield* world.builds.cancel({ owner: Runners.owner, workspaceId })
        yield* TestClock.adjust("10 seconds")
        assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
        world.faults.heal("appendLog")
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* world.status(buildId), "canceled")
        assert.deepStrictEqual(yield* world.log(buildId), ["hello"])
      }))
  }

  it.effect("that finds the lease lost ends the build here", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.print(["hello"])
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* world.script.untilCalled(1)
      yield* world.steal(buildId)
      yield* TestClock.adjust("1 second")
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
      assert.deepStrictEqual(yield* world.log(buildId), [])
      assert.deepStrictEqual(world.warnings(), ["A build is not this node's any more"])
    }))
})

describe("what is seen of it", () => {
  const count = (metric: ReturnType<typeof BuildMetrics.builds>) =>
    Effect.map(Metric.value(metric), ({ count }) => Number(count))

  it.effect("one line, one span without a parent, and the metrics", () =>
    Effect.gen(function*() {
      const succeeded = BuildMetrics.builds("start", "succeeded")
      const before = yield* count(succeeded)
      const waits = (yield* Metric.value(BuildMetrics.queueWait)).sum
      const seconds = (yield* Metric.value(BuildMetrics.duration("start", "succeeded"))).sum
      const world = yield* Runners.make()
      yield* world.script.takes("5 seconds")
      const { buildId, workspaceId } = yield* world.create()
      yield* TestClock.adjust("3 seconds")
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* Metric.value(BuildMetrics.running)).value, 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Metric.value(BuildMetrics.running)).value, 0)
      assert.strictEqual(yield* count(succeeded), before + 1)
      assert.strictEqual((yield* Metric.value(BuildMetrics.queueWait)).sum, waits + 3)
      assert.strictEqual((yield* Metric.value(BuildMetrics.duration("start", "succeeded"))).sum, seconds + 5)
      const lines = world.logged.filter(({ level }) => level !== "Debug")
      assert.deepStrictEqual(lines.map(({ level, message }) => [level, message]), [["Info", "A build ended"]])
      const spans = world.spans.filter(({ name }) => name !== "startup")
      assert.deepStrictEqual(spans.map(({ name }) => name), ["BuildRunner.build"])
      assert.isTrue(Option.isNone(spans[0]?.parent ?? Option.none()))
      assert.deepStrictEqual(Object.fromEntries(spans[0]?.attributes ?? []), {
        "build.id": buildId,
        "workspace.id": workspaceId,
        "build.transition": "start",
        "build.attempt": 1,
        "build.outcome": "succeeded"
      })
    }))

  it.effect("every outcome is counted under its name", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      const before = yield* count(BuildMetrics.builds("start", "provider_failed"))
      yield* world.script.fail("no")
      yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* count(BuildMetrics.builds("start", "provider_failed")), before + 1)
    }))
})
