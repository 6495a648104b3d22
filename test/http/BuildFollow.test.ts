import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Duration, Effect, Fiber, Layer, Queue, Stream } from "effect"
import { Build, BuildRecord } from "../../src/domain/Build.ts"
import type { BuildStatus, LogLine } from "../../src/domain/Build.ts"
import type { BuildProgress } from "../../src/domain/BuildProgress.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { AgentId, BuildId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as BuildFollow from "../../src/http/BuildFollow.ts"
import { Readiness } from "../../src/provisioner/Readiness.ts"
import type { Ready } from "../../src/provisioner/Readiness.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"

const buildId = BuildId.make("build")
const at = DateTime.makeUnsafe(0)

const line = (number: number): LogLine => ({ number, at, text: `line ${number}` })

const ready = (status: BuildStatus, fields: Partial<Ready> = {}): Ready => ({
  record: new BuildRecord({
    build: new Build({
      buildId,
      workspaceId: WorkspaceId.make("w"),
      number: 1,
      transition: "start",
      status,
      logTail: null
    }),
    templateId: null,
    parameters: {},
    failure: null,
    attempt: 1,
    ahead: 0,
    createdAt: at,
    startedAt: at,
    finishedAt: null,
    asOf: at
  }),
  failure: null,
  agentStatus: null,
  agentError: null,
  startupScripts: null,
  lifecycle: null,
  ...fields
})

const common = { buildId, transition: "start", elapsed: Duration.zero } as const

const building = (...numbers: ReadonlyArray<number>): BuildProgress => ({
  _tag: "Building",
  ...common,
  attempt: 1,
  lines: numbers.map(line)
})

/** A build whose log and wait a test goes on with by hand. */
const world = Effect.gen(function*() {
  const written: Array<LogLine> = []
  const more = yield* Queue.unbounded<void>()
  const reports = yield* Queue.unbounded<BuildProgress>()
  const answer = yield* Deferred.make<Ready, StoreError>()
  let over = false
  let waiting = 0
  let dials = false
  const log = (after: number): Stream.Stream<LogLine, StoreError> =>
    Stream.suspend(() => {
      const lines = written.filter(({ number }) => number > after)
      const last = lines.at(-1)?.number ?? after
      const next = over && lines.length === 0
        ? Stream.empty
        : lines.length > 0
        ? log(last)
        : Stream.unwrap(Effect.as(Queue.take(more), log(last)))
      return Stream.concat(Stream.fromIterable(lines), next)
    })
  const follow = yield* BuildFollow.make.pipe(Effect.provide([
    Layer.mock(Workspaces, { log: (_, options) => log(options?.after ?? 0) }),
    Layer.mock(Readiness, {
      of: (_, options) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            waiting++
            dials = options?.dial ?? true
          }),
          () =>
            Effect.raceFirst(
              Deferred.await(answer),
              Effect.forever(
                Effect.flatMap(Queue.take(reports), (progress) => options?.report?.(progress) ?? Effect.void)
              )
            ),
          () => Effect.sync(() => void waiting--)
        )
    })
  ]))
  return {
    /** What is told, in short, with its number. */
    told: (after = 0) =>
      Stream.map(
        follow(buildId, after),
        ({ data, number }) => `${number} ${data._tag === "Progress" ? data.progress._tag : data._tag}`
      ),
    write: (...numbers: ReadonlyArray<number>) =>
      Effect.suspend(() => {
        written.push(...numbers.map(line))
        return Queue.offer(more, undefined)
      }),
    /** Nobody is told that there are more lines, or that the build has ended. */
    writeUnheard: (...numbers: ReadonlyArray<number>) =>
      Effect.sync(() => {
        written.push(...numbers.map(line))
        over = true
      }),
    end: Effect.suspend(() => {
      over = true
      return Queue.offer(more, undefined)
    }),
    report: (progress: BuildProgress) => Queue.offer(reports, progress),
    come: (outcome: Ready | StoreError) =>
      outcome instanceof StoreError ? Deferred.fail(answer, outcome) : Deferred.succeed(answer, outcome),
    waiting: () => waiting,
    dials: () => dials
  }
})

describe("BuildFollow", () => {
  it.effect("tells the lines, and in the end what the build came to", () =>
    Effect.gen(function*() {
      const { come, end, told, write } = yield* world
      yield* write(1, 2)
      const all = yield* Effect.forkChild(Stream.runCollect(told()))
      yield* Effect.yieldNow
      yield* write(3)
      yield* end
      yield* come(ready("succeeded"))
      assert.deepStrictEqual(yield* Fiber.join(all), ["1 Line", "2 Line", "3 Line", "3 End"])
    }))

  it.effect("lines that come when the wait is over already are told before the end, each once", () =>
    Effect.gen(function*() {
      const { come, end, told, write } = yield* world
      yield* write(...Array.from({ length: 5_000 }, (_, index) => index + 1))
      yield* end
      yield* come(ready("failed"))
      const all = yield* Stream.runCollect(told())
      assert.deepStrictEqual(all, [
        ...Array.from({ length: 5_000 }, (_, index) => `${index + 1} Line`),
        "5000 End"
      ])
    }))

  it.effect("lines that were written unheard are told before the end", () =>
    Effect.gen(function*() {
      const { come, told, write, writeUnheard } = yield* world
      yield* write(1)
      const pull = yield* Stream.toPull(told())
      assert.deepStrictEqual<unknown>(yield* pull, ["1 Line"])
      yield* writeUnheard(2, 3)
      yield* come(ready("succeeded"))
      assert.deepStrictEqual<unknown>([...yield* pull, ...yield* pull], ["2 Line", "3 Line", "3 End"])
    }))

  it.effect("goes on behind the line that is named", () =>
    Effect.gen(function*() {
      const { come, end, told, write } = yield* world
      yield* write(1, 2, 3)
      yield* end
      yield* come(ready("succeeded"))
      assert.deepStrictEqual(yield* Stream.runCollect(told(2)), ["3 Line", "3 End"])
      assert.deepStrictEqual(yield* Stream.runCollect(told(3)), ["3 End"])
    }))

  it.effect("progress has the number of the last line, and lines are not told twice", () =>
    Effect.gen(function*() {
      const { come, dials, end, report, told, write } = yield* world
      yield* write(1)
      const pull = yield* Stream.toPull(told())
      assert.deepStrictEqual<unknown>(yield* pull, ["1 Line"])
      yield* report(building())
      assert.deepStrictEqual<unknown>(yield* pull, ["1 Building"])
      yield* report(building(1))
      yield* report({ ...common, _tag: "AwaitingAgent", agentId: AgentId.make("agent") })
      assert.deepStrictEqual<unknown>(yield* pull, ["1 AwaitingAgent"])
      yield* end
      yield* come(ready("succeeded"))
      assert.deepStrictEqual<unknown>(yield* pull, ["1 End"])
      assert.isFalse(dials())
    }))

  it.effect("a wait that ends before the build ends the stream too", () =>
    Effect.gen(function*() {
      const { come, told, write } = yield* world
      yield* write(1)
      const all = yield* Effect.forkChild(Stream.runCollect(told()))
      yield* Effect.yieldNow
      yield* come(ready("running", { failure: "It did not end." }))
      assert.strictEqual((yield* Fiber.join(all)).at(-1)?.split(" ")[1], "End")
    }))

  it.effect("a store that cannot be asked at all fails it", () =>
    Effect.gen(function*() {
      const { come, told } = yield* world
      yield* come(new StoreError({ operation: "test" }))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(told())))._tag, "StoreError")
    }))

  it.effect("who leaves, leaves the wait", () =>
    Effect.gen(function*() {
      const { told, waiting, write } = yield* world
      yield* write(1)
      yield* Stream.runDrain(Stream.take(told(), 1))
      assert.strictEqual(waiting(), 0)
      const fiber = yield* Effect.forkChild(Stream.runDrain(told()))
      while (waiting() === 0) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(waiting(), 0)
    }))
})
