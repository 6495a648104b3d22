import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Socket } from "effect/socket"
import * as TurnWriter from "../../src/agent/TurnWriter.ts"

type Frame = string | Uint8Array | Socket.CloseEvent

const make = Effect.gen(function*() {
  const frames: Array<Frame> = []
  const hear = (heard: ReadonlyArray<Frame>) => Effect.sync(() => void frames.push(...heard))
  const scope = yield* Effect.scope
  const writer = yield* TurnWriter.make({ write: (frame) => hear([frame]), writeAll: hear })
  return { frames, writer, scope }
})

/** Later than all that happens at the end of this turn. */
const nextTurn = Effect.callback<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

describe("what is written in one turn", () => {
  it.effect("goes out as one frame, in order, whoever wrote it", () =>
    Effect.gen(function*() {
      const { frames, writer } = yield* make
      const writers = ["a\n", "b\n", "c\n"].map((text) =>
        Effect.forkChild(writer.write(text), { startImmediately: true })
      )
      yield* Effect.forEach(writers, (write) => write)
      assert.deepStrictEqual(frames, [])
      yield* nextTurn
      assert.deepStrictEqual(frames, ["a\nb\nc\n"])
    }))

  it.effect("leaves before the next turn, and what is written then is another frame", () =>
    Effect.gen(function*() {
      const { frames, writer } = yield* make
      yield* writer.write("a\n")
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(frames, ["a\n"])
      yield* writer.writeAll(["b\n", "c\n"])
      yield* nextTurn
      assert.deepStrictEqual(frames, ["a\n", "b\nc\n"])
    }))

  it.effect("is put together up to a limit, so that no frame is more than a peer takes", () =>
    Effect.gen(function*() {
      const { frames, writer } = yield* make
      const rest = "x".repeat(TurnWriter.togetherLimit - 1)
      const large = "y".repeat(TurnWriter.togetherLimit * 3)
      yield* writer.writeAll(["a", rest, "b", large, "c", new Uint8Array([1]), "d"])
      yield* nextTurn
      assert.deepStrictEqual(frames, [`a${rest}`, "b", large, "c", new Uint8Array([1]), "d"])
    }))

  it.effect("goes out when the first who wrote was interrupted", () =>
    Effect.gen(function*() {
      const { frames, writer } = yield* make
      const first = yield* Effect.forkChild(Effect.andThen(writer.write("a\n"), Effect.never), {
        startImmediately: true
      })
      yield* writer.write("b\n")
      first.interruptUnsafe()
      yield* Fiber.await(first)
      yield* nextTurn
      assert.deepStrictEqual(frames, ["a\nb\n"])
    }))
})

it.effect("a writer waits for no frame: not for one that cannot leave yet, nor for one that never will", () =>
  Effect.gen(function*() {
    const opened = yield* Deferred.make<void>()
    const frames: Array<Frame> = []
    const writer = yield* TurnWriter.make({
      write: () => Effect.void,
      writeAll: (heard) => Effect.andThen(Deferred.await(opened), Effect.sync(() => void frames.push(...heard)))
    })
    yield* writer.write("a\n")
    yield* nextTurn
    yield* writer.write("b\n")
    yield* nextTurn
    assert.deepStrictEqual(frames, [])
    yield* Deferred.succeed(opened, undefined)
    yield* nextTurn
    assert.deepStrictEqual(frames, ["a\n", "b\n"])
    const failing = yield* TurnWriter.make({
      write: () => Effect.void,
      writeAll: () => new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: "broken" }) })
    })
    assert.isTrue(Exit.isSuccess(yield* Effect.exit(failing.write("a\n"))))
    yield* nextTurn
  }))

it.effect("a close goes out at once", () =>
  Effect.gen(function*() {
    const { frames, writer } = yield* make
    const close = new Socket.CloseEvent(4001, "replaced")
    yield* writer.write(close)
    assert.deepStrictEqual(frames, [close])
  }))

it.effect("after the end of its scope nothing is written", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { frames, writer } = yield* Scope.provide(make, scope)
    yield* writer.write("a\n")
    yield* Scope.close(scope, Exit.void)
    yield* writer.write("b\n")
    yield* nextTurn
    assert.notInclude(frames, "b\n")
  }))
