import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Metric, References, Schema, Stream, Tracer } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { ToolCalls, ToolFailure } from "../../src/tool/index.ts"
import * as t from "./support/calls.ts"

const Echo = Tool.make("echo", {
  description: "Says it again",
  parameters: Schema.Struct({
    text: Schema.String,
    options: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  }),
  success: Schema.Struct({ said: Schema.String }),
  failure: ToolFailure.ToolFailure,
  failureMode: "return"
})

const Tools = Toolkit.make(Echo)

type Handler = Toolkit.HandlersFrom<Toolkit.Tools<typeof Tools>>["echo"]

const kit = (echo: Handler) =>
  Effect.flatMap(Tools.toHandlers({ echo }), (handlers) => ToolCalls.make(Object.values(Tools.tools), handlers))

const refusal: ToolFailure.ToolFailure = { error: "agent_busy", message: "Later.", retry: "later" }

/** Runs with metrics of its own; answers what was counted, by outcome. */
const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const value = yield* effect
    const metrics = yield* Metric.snapshot
    return {
      value,
      outcomes: metrics.filter(({ id }) => id === "chat_workspace_tool_calls_total").map((metric) => ({
        tool: metric.attributes?.["tool"],
        outcome: metric.attributes?.["outcome"],
        count: metric.type === "Counter" ? Number(metric.state.count) : 0
      })),
      seconds: metrics.filter(({ id }) => id === "chat_workspace_tool_seconds").map((metric) =>
        metric.type === "Histogram" ? [metric.state.count, metric.state.sum] : []
      )
    }
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))

describe("every call", () => {
  it.effect("is counted by tool and outcome, with its seconds", () =>
    Effect.gen(function*() {
      const { outcomes, seconds } = yield* counted(Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const toolkit = yield* kit(({ text }, { preliminary }) =>
          text === "no"
            ? Effect.fail(refusal)
            : text === "left"
            ? Effect.andThen(preliminary({ said: "not yet" }), Effect.never)
            : Effect.delay(Effect.succeed({ said: text }), "1500 millis")
        )
        const calling = yield* Effect.forkChild(t.call(toolkit, "echo", { text: "hi" }), { startImmediately: true })
        yield* TestClock.adjust("1500 millis")
        assert.deepStrictEqual(yield* Fiber.join(calling), { isFailure: false, result: { said: "hi" } })
        assert.deepStrictEqual(yield* t.call(toolkit, "echo", { text: "no" }), { isFailure: true, result: refusal })
        yield* t.call(toolkit, "echo", { text: 1 })
        const left = yield* Effect.forkChild(
          Stream.unwrap(toolkit.handle("echo", { text: "left" })).pipe(
            Stream.runForEach(({ preliminary }) => preliminary ? Deferred.succeed(begun, undefined) : Effect.void)
          ),
          { startImmediately: true }
        )
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(left)
      }))
      assert.deepStrictEqual(outcomes, [
        { tool: "echo", outcome: "ok", count: 1 },
        { tool: "echo", outcome: "agent_busy", count: 1 },
        { tool: "echo", outcome: "invalid_arguments", count: 1 },
        { tool: "echo", outcome: "interrupted", count: 1 }
      ])
      assert.deepStrictEqual(seconds, [[4, 1.5]])
    }))

  it.effect("has a span without arguments and output, also where the caller has none", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const toolkit = yield* kit(Effect.fn("inside")(({ text }) => Effect.succeed({ said: text })))
      yield* t.call(toolkit, "echo", { text: "secret" }).pipe(Effect.withTracer(tracer))
      yield* t.call(toolkit, "echo", { text: "secret" }).pipe(Effect.withSpan("caller"), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans.map(({ name }) => name), ["Tool.call", "inside", "caller", "Tool.call", "inside"])
      for (const span of spans) {
        assert.notInclude(JSON.stringify(Array.from(span.attributes)), "secret")
        assert.strictEqual(span.status._tag, "Ended")
      }
      const [outer, inner] = spans
      assert.deepStrictEqual(Array.from(outer?.attributes ?? []), [["tool.name", "echo"]])
      assert.strictEqual(inner?.parent._tag === "Some" ? inner.parent.value.spanId : undefined, outer?.spanId)
    }))

  it.effect("with wrong arguments is refused in the shape of every failure", () =>
    Effect.gen(function*() {
      const toolkit = yield* kit(() => Effect.die("not reached"))
      const { isFailure, result } = yield* t.call(toolkit, "echo", { text: 7 })
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "invalid_arguments", retry: "never" })
      assert.match(
        result.message,
        /^The arguments do not fit the tool: Expected string.*at \["text"\]. Correct the call.$/s
      )
      const long = yield* t.call(toolkit, "echo", { text: "", options: { ["x".repeat(100_000)]: 7 } })
      assert.isAtMost(long.result.message.length, 1100)
    }))

  it.effect("of a tool with a defect is answered too, and the cause is logged", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, message }) => {
        logged.push(`${String(message)} ${String(cause)}`)
      })
      const toolkit = yield* kit(() => Effect.die(new Error("a bug")))
      const { isFailure, result } = yield* t.call(toolkit, "echo", { text: "hi" }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Error")
      )
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "internal", retry: "never" })
      assert.notInclude(result.message, "a bug")
      assert.strictEqual(logged.length, 1)
      assert.include(logged[0], "a bug")
    }))

  it.effect("whose handler was interrupted from elsewhere is interrupted, not broken", () =>
    Effect.gen(function*() {
      const toolkit = yield* kit(() => Effect.interrupt)
      const exit = yield* Effect.exit(t.call(toolkit, "echo", { text: "hi" }))
      assert.isTrue(Exit.hasInterrupts(exit))
    }))

  it.effect("that is interrupted ends its handler", () =>
    Effect.gen(function*() {
      let ended = false
      const toolkit = yield* kit(() =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            ended = true
          }))
      )
      const calling = yield* Effect.forkChild(t.call(toolkit, "echo", { text: "hi" }), { startImmediately: true })
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(calling)
      assert.isTrue(ended)
    }))

  it.effect("of a tool that is not there fails as a toolkit's does, and is not counted", () =>
    Effect.gen(function*() {
      const { outcomes, value } = yield* counted(Effect.gen(function*() {
        const toolkit = yield* kit(() => Effect.never)
        return yield* Effect.flip(Stream.runDrain(Stream.unwrap(toolkit.handle("nope", {}))))
      }))
      assert.deepInclude(value.reason, { _tag: "ToolNotFoundError", toolName: "nope" })
      assert.deepStrictEqual(outcomes, [])
    }))
})

describe("toolkits in one", () => {
  const saying = (name: string, said: string, label?: string) => {
    const tools = Toolkit.make(Tool.make(name, {
      description: said,
      parameters: Schema.Struct({}),
      success: Schema.String,
      failure: ToolFailure.ToolFailure,
      failureMode: "return"
    }))
    return Effect.flatMap(
      tools.toHandlers({ [name]: () => Effect.succeed(said) }),
      (handlers) => ToolCalls.make(Object.values(tools.tools), handlers, { label })
    )
  }

  it.effect("call the tool of the earlier kit, and list the tools in the order of the kits", () =>
    Effect.gen(function*() {
      const merged = ToolCalls.merge(
        yield* saying("a", "first"),
        yield* saying("b", "second"),
        yield* saying("a", "shadow")
      )
      assert.deepStrictEqual(Object.keys(merged.tools), ["a", "b"])
      assert.deepStrictEqual(yield* t.call(merged, "a", {}), { isFailure: false, result: "first" })
      assert.deepStrictEqual(yield* t.call(merged, "b", {}), { isFailure: false, result: "second" })
      assert.strictEqual(merged.tools["a"]?.description, "first")
      const unknown = yield* Effect.exit(Stream.runCollect(Stream.unwrap(merged.handle("toString", {}))))
      assert.isTrue(Exit.isFailure(unknown))
    }))

  it.effect("count tools whose names are not ours under one of ours", () =>
    Effect.gen(function*() {
      const { outcomes } = yield* counted(
        Effect.flatMap(saying("theirs", "x", "mcp"), (kit) => t.call(kit, "theirs", {}))
      )
      assert.deepStrictEqual(outcomes, [{ tool: "mcp", outcome: "ok", count: 1 }])
    }))
})
