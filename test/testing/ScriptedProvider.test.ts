import { assert, describe, it } from "@effect/vitest"
import { Ids } from "chat-workspace/domain"
import { Provider } from "chat-workspace/provisioner"
import { ScriptedProvider } from "chat-workspace/testing"
import { Cause, DateTime, Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Template } from "../../src/domain/Template.ts"
import { Workspace } from "../../src/domain/Workspace.ts"

const template = new Template({
  templateId: Ids.TemplateId.make("dev"),
  name: "dev",
  description: "",
  readme: null,
  parameters: [],
  agents: [],
  provider: { type: ScriptedProvider.type, settings: {}, directory: null },
  owners: null,
  startupScript: null,
  shutdownScript: null,
  connectionTimeout: Duration.seconds(120)
})

const makeRequest = (lines: Array<string> = []): Provider.ProviderRequest => ({
  buildId: Ids.BuildId.make("b"),
  workspace: new Workspace({
    workspaceId: Ids.WorkspaceId.make("w"),
    owner: Ids.OwnerId.make("ann"),
    name: null,
    templateId: template.templateId,
    createdAt: DateTime.makeUnsafe(0)
  }),
  template,
  parameters: {},
  agents: [],
  gatewayUrl: "ws://gateway",
  log: (line) => Effect.sync(() => lines.push(line))
})

const request = makeRequest()

const failure = (exit: Exit.Exit<void, Provider.ProviderFailed> | undefined) =>
  exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

const test = (
  name: string,
  body: (
    script: ScriptedProvider.ScriptedProvider["Service"],
    provider: Provider.Provider
  ) => Effect.Effect<void, unknown>
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const script = yield* ScriptedProvider.ScriptedProvider
      const provider = (yield* Provider.Providers).get(ScriptedProvider.type)
      assert(provider !== undefined)
      yield* body(script, provider)
    }).pipe(Effect.provide(ScriptedProvider.layer)))

const calling = (effect: Effect.Effect<void, Provider.ProviderFailed>) =>
  Effect.forkDetach(effect, { startImmediately: true })

describe("calls", () => {
  test(
    "succeed at once before anything is said, and take every template",
    (script, provider) =>
      Effect.gen(function*() {
        yield* provider.check(template)
        yield* provider.start(request)
        yield* provider.stop(request)
        yield* provider.delete(request)
        assert.deepStrictEqual(script.counts(), { calls: 3, running: 0, finished: 3, interrupted: 0 })
        assert.deepStrictEqual(script.requests().map(({ transition }) => transition), ["start", "stop", "delete"])
      })
  )

  test("fail with the detail given, those of one transition only", (script, provider) =>
    Effect.gen(function*() {
      yield* script.fail("no disk", "start")
      assert.strictEqual((yield* Effect.flip(provider.start(request))).detail, "no disk")
      yield* provider.stop(request)
      yield* script.succeed("start")
      yield* provider.start(request)
    }))

  test("die when they are told to", (script, provider) =>
    Effect.gen(function*() {
      yield* script.die("boom")
      assert.strictEqual(failure(yield* Effect.exit(provider.delete(request))), "boom")
    }))

  for (const ending of ["succeed", "fail", "die"] as const) {
    test(`hang until the next script: ${ending}`, (script, provider) =>
      Effect.gen(function*() {
        yield* script.hang()
        const call = yield* calling(provider.start(request))
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(call.pollUnsafe())
        yield* ending === "succeed" ? script.succeed() : ending === "fail" ? script.fail("no") : script.die("no")
        const exit = yield* Fiber.await(call)
        assert.strictEqual(exit._tag, ending === "succeed" ? "Success" : "Failure")
      }))
  }

  test("take as long as they are told to", (script, provider) =>
    Effect.gen(function*() {
      yield* script.takes("5 seconds")
      yield* script.fail("no")
      const call = yield* calling(provider.start(request))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(call.pollUnsafe())
    }))

  test("print when they begin, also those that fail", (script, provider) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      yield* script.print(["one", "two"])
      yield* script.hang()
      const call = yield* calling(provider.start(makeRequest(lines)))
      assert.deepStrictEqual(lines, ["one", "two"])
      yield* script.fail("no")
      yield* Fiber.await(call)
    }))

  test(
    "run the handler of their transition before they succeed, and not when they fail",
    (script, provider) =>
      Effect.gen(function*() {
        const handled: Array<string> = []
        yield* script.onStart(({ buildId }) => Effect.sync(() => handled.push(`start ${buildId}`)))
        yield* script.onEnd(() => new Provider.ProviderFailed({ detail: "still busy" }))
        yield* provider.start(request)
        assert.deepStrictEqual(handled, ["start b"])
        for (const end of [provider.stop, provider.delete]) {
          assert.strictEqual((yield* Effect.flip(end(request))).detail, "still busy")
        }
        yield* script.fail("no")
        yield* Effect.flip(provider.start(request))
        assert.strictEqual(handled.length, 1)
      })
  )
})

describe("interruption", () => {
  test("ends a call, and is counted", (script, provider) =>
    Effect.gen(function*() {
      yield* script.hang()
      const call = yield* calling(provider.start(request))
      assert.deepStrictEqual(script.counts("start"), { calls: 1, running: 1, finished: 0, interrupted: 0 })
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(script.counts("start"), { calls: 1, running: 0, finished: 0, interrupted: 1 })
      assert.deepStrictEqual(script.counts("stop"), { calls: 0, running: 0, finished: 0, interrupted: 0 })
    }))

  test(
    "is ignored by calls that are told to, until they end as they like",
    (script, provider) =>
      Effect.gen(function*() {
        yield* script.ignoreInterruption(true)
        yield* script.takes("1 minute")
        const call = yield* calling(provider.start(request))
        call.interruptUnsafe()
        yield* TestClock.adjust("59 seconds")
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.isDefined(call.pollUnsafe())
        assert.deepStrictEqual(script.counts(), { calls: 1, running: 0, finished: 1, interrupted: 0 })
        yield* script.ignoreInterruption(false)
        yield* Fiber.interrupt(yield* calling(provider.start(request)))
        assert.deepInclude(script.counts(), { interrupted: 1 })
      })
  )
})

test("one can wait for the next call", (script, provider) =>
  Effect.gen(function*() {
    const second = yield* calling(script.untilCalled(2, "stop"))
    yield* provider.stop(request)
    yield* provider.start(request)
    assert.isUndefined(second.pollUnsafe())
    yield* provider.stop(request)
    yield* Fiber.join(second)
    yield* script.untilCalled(3)
  }))

test("builds may be run again unless said otherwise", (script, provider) =>
  Effect.gen(function*() {
    assert.isTrue(provider.isRepeatable(template))
    yield* script.repeatable(false)
    assert.isFalse(provider.isRepeatable(template))
  }))
