import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Operations from "../../../src/agent/program/Operations.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"
import { StateDirectory } from "../../../src/agent/program/StateDirectory.ts"
import { AgentBusy, OperationId, OperationRefused } from "../../../src/agent/Protocol.ts"

class Sample implements Operations.Operation {
  readonly id: OperationId
  readonly digest: string
  settledAt: number | undefined
  readonly outcome = Effect.succeed({ _tag: "Files", versions: [] } as const)
  constructor(id: OperationId, digest: string) {
    this.id = id
    this.digest = digest
  }
}

const isOwn = (operation: Operations.Operation): operation is Sample => operation instanceof Sample
const [a, b, c] = [OperationId.make("a"), OperationId.make("b"), OperationId.make("c")]

const claim = (id: OperationId, content: unknown = "content") =>
  Effect.flatMap(
    Operations.Operations,
    (operations) => operations.claim({ id, content, isOwn, make: (digest) => new Sample(id, digest) })
  )

const layer = (config: Partial<ProgramConfig.ProgramConfig> = {}, earlier: ReadonlyArray<OperationId> = []) =>
  Operations.layer.pipe(
    Layer.provide([
      ProgramConfig.layer(config),
      Layer.succeed(StateDirectory, { earlier: { groups: [], operations: earlier }, save: () => Effect.void })
    ])
  )

const refused = (id: OperationId, reason: OperationRefused["reason"]) =>
  new OperationRefused({ operationId: id, reason })

describe("Operations", () => {
  it.effect("gives the operation of the first claim to a claim with the same content", () =>
    Effect.gen(function*() {
      const first = yield* claim(a, { argv: ["x"] })
      const second = yield* claim(a, { argv: ["x"] })
      assert.deepStrictEqual([first.fresh, second.fresh], [true, false])
      assert.strictEqual(first.operation, second.operation)
    }).pipe(Effect.provide(layer())))

  it.effect("refuses an id that was used for another call", () =>
    Effect.gen(function*() {
      yield* claim(a, { argv: ["x"] })
      assert.deepStrictEqual(yield* Effect.flip(claim(a, { argv: ["y"] })), refused(a, "conflict"))
      const operations = yield* Operations.Operations
      const other = operations.claim({
        id: a,
        content: { argv: ["x"] },
        isOwn: (operation): operation is never => operation.id !== a,
        make: () => assert.fail("made")
      })
      assert.deepStrictEqual(yield* Effect.flip(other), refused(a, "conflict"))
    }).pipe(Effect.provide(layer())))

  it.effect("refuses a buried id, and says that it was killed", () =>
    Effect.gen(function*() {
      const operations = yield* Operations.Operations
      operations.bury(a)
      assert.deepStrictEqual(yield* Effect.flip(claim(a)), refused(a, "killed"))
      assert.deepStrictEqual(yield* Effect.flip(operations.find(a)), refused(a, "killed"))
      assert.deepStrictEqual(yield* operations.outcome(a), { _tag: "Killed" })
    }).pipe(Effect.provide(layer())))

  it.effect("answers that an earlier run of the agent had an id, and does not run it", () =>
    Effect.gen(function*() {
      const operations = yield* Operations.Operations
      assert.deepStrictEqual(yield* Effect.flip(claim(a)), refused(a, "agentRestarted"))
      assert.deepStrictEqual(yield* operations.outcome(a), { _tag: "AgentRestarted" })
      assert.deepStrictEqual(yield* operations.outcome(b), { _tag: "Unknown" })
    }).pipe(Effect.provide(layer({}, [a]))))

  it.effect("remembers an ended operation for its hour, and forgets it then only for want of room", () =>
    Effect.gen(function*() {
      const operations = yield* Operations.Operations
      const { operation } = yield* claim(a)
      yield* operations.settle(operation)
      yield* claim(b)
      yield* TestClock.adjust(3_599_999)
      assert.deepStrictEqual(yield* Effect.flip(claim(c)), new AgentBusy({ limit: "operations remembered" }))
      assert.isTrue(operations.isKnown(a))
      yield* TestClock.adjust("1 millis")
      assert.isTrue((yield* claim(c)).fresh)
      assert.deepStrictEqual([a, b, c].map(operations.isKnown), [false, true, true])
    }).pipe(Effect.provide(layer({ operations: 2 }))))

  it.effect("never forgets an operation that has not ended", () =>
    Effect.gen(function*() {
      yield* claim(a)
      yield* TestClock.adjust("30 days")
      assert.strictEqual((yield* Effect.flip(claim(b)))._tag, "AgentBusy")
      assert.isFalse((yield* claim(a)).fresh)
    }).pipe(Effect.provide(layer({ operations: 1 }))))

  it.effect("buries ids also when it is full, and forgets the oldest grave first", () =>
    Effect.gen(function*() {
      const operations = yield* Operations.Operations
      yield* claim(a)
      operations.bury(b)
      assert.deepStrictEqual(yield* operations.outcome(b), { _tag: "Killed" })
      operations.bury(c)
      assert.deepStrictEqual(yield* operations.outcome(c), { _tag: "Killed" })
      assert.deepStrictEqual(yield* operations.outcome(b), { _tag: "Unknown" })
    }).pipe(Effect.provide(layer({ operations: 1 }))))
})
