/** The deadlines of calls that an agent takes and never answers, 1 ms before each and at it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { AgentConnection } from "../../src/agent/index.ts"
import * as h from "./support/harness.ts"
import * as virtual from "./support/virtual.ts"

const test = (name: string, body: Effect.Effect<void, unknown, virtual.Stores | Scope.Scope>): void => {
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(virtual.layerStores)))
}

/** A connection to an agent that answers pings and the hello, and nothing else. */
const silent = Effect.gen(function*() {
  const node = yield* Effect.flatMap(virtual.world, (world) => world.node())
  const enrolled = yield* h.enroll()
  const agent = yield* virtual.attached(node, enrolled)
  return { agent, connection: yield* node.transport.dial(enrolled.agentId) }
})

const command = () => ({ id: h.operation(), argv: ["true"] as const })

type Call = (connection: AgentConnection.AgentConnection) => Effect.Effect<unknown, { readonly _tag: string }>

/** None has ended 1 ms before the time, and all at it. */
const allEnd = (calls: ReadonlyArray<Call>, millis: number) =>
  Effect.gen(function*() {
    const { connection } = yield* silent
    const fibers = yield* Effect.forEach(calls, (call) => Effect.forkChild(Effect.flip(call(connection))))
    yield* virtual.pass(millis - 1)
    assert.deepStrictEqual(fibers.map((fiber) => fiber.pollUnsafe()), fibers.map(() => undefined))
    yield* TestClock.adjust(1)
    for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "CallTimedOut")
  })

describe("the deadlines of calls", () => {
  test(
    "stat, list, signal and the start of a command end after 10 s",
    allEnd([
      ({ files }) => files.stat("/"),
      ({ files }) => files.list("/"),
      ({ processes }) => processes.list,
      ({ processes }) => processes.signal(h.operation(), "SIGINT"),
      ({ processes }) => processes.start(command())
    ], 10_000)
  )

  test(
    "files end after 30 s, and so does the output that is kept",
    allEnd([
      ({ files }) => files.read("x"),
      ({ files }) => files.write({ id: h.operation(), path: "x", bytes: new Uint8Array(1) }),
      ({ files }) => files.edit({ id: h.operation(), files: [{ path: "x", edits: [{ find: "a", replace: "b" }] }] }),
      ({ processes }) => processes.output(h.operation())
    ], 30_000)
  )

  test(
    "a command that names no deadline ends after 30 s",
    allEnd([({ processes }) => processes.run(command())], 30_000)
  )

  test(
    "a follower waits 30 s for a lost agent, and without end for one that is there",
    Effect.gen(function*() {
      const { agent, connection } = yield* silent
      const follower = yield* Effect.forkChild(
        Effect.exit(Stream.runDrain(connection.processes.follow(h.operation())))
      )
      yield* virtual.pass("10 minutes", "4 seconds")
      assert.strictEqual(follower.pollUnsafe(), undefined)
      agent.vanish()
      yield* virtual.pass(29_999)
      assert.strictEqual(follower.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(follower)))
    })
  )
})
