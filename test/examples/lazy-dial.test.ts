import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { sandbox, type Sandboxes } from "../../examples/lazy-dial.ts"

/** An SDK whose sandboxes connect when they are let to. */
const makeSdk = (current: string | undefined) => {
  const world = { asked: 0, connects: [] as Array<string>, disconnects: [] as Array<string> }
  const up = new Set<string>()
  const waiting: Array<{ readonly id: string; readonly connected: () => void }> = []
  const sdk: Sandboxes = {
    connect: (id) =>
      new Promise((resolve) => {
        world.connects.push(id)
        const connected = () =>
          resolve({
            run: (command) => Promise.resolve(`${command} on ${id}`),
            disconnect: () => Promise.resolve(void world.disconnects.push(id))
          })
        if (up.has(id)) connected()
        else waiting.push({ id, connected })
      }),
    currentId: () => {
      world.asked++
      return Promise.resolve(current)
    }
  }
  const letIn = (id: string) => {
    up.add(id)
    for (const one of waiting) if (one.id === id) one.connected()
  }
  return { sdk, world, letIn }
}

/** Promises settle in turns of their own, which a virtual clock does not know. */
const promises = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the lazy dial around an SDK", () => {
  it.effect("a remembered sandbox that answers is reached without a question", () =>
    Effect.gen(function*() {
      const { letIn, sdk, world } = makeSdk("a")
      letIn("a")
      const said = yield* Effect.scoped(
        Effect.flatMap(sandbox(sdk, "chat", "a"), ({ connection }) => Effect.promise(() => connection.run("ls")))
      )
      assert.strictEqual(said, "ls on a")
      assert.deepStrictEqual(world, { asked: 0, connects: ["a"], disconnects: ["a"] })
    }))

  it.effect("one that hangs is left after a second for the one there is now, and closed when it comes after all", () =>
    Effect.gen(function*() {
      const { letIn, sdk, world } = makeSdk("b")
      letIn("b")
      const dialing = yield* Effect.forkChild(sandbox(sdk, "chat", "a"), { startImmediately: true })
      yield* TestClock.adjust(999)
      assert.strictEqual(world.asked, 0)
      yield* TestClock.adjust(1)
      const { id, path } = yield* Fiber.join(dialing)
      assert.deepStrictEqual([id, path, world.asked], ["b", "switched", 1])
      letIn("a")
      yield* promises
      assert.deepStrictEqual(world.disconnects, ["a"])
    }))

  it.effect("when there is none, that is the answer", () =>
    Effect.gen(function*() {
      const { sdk } = makeSdk(undefined)
      const dialing = yield* Effect.forkChild(Effect.flip(sandbox(sdk, "chat", "a")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(dialing), { _tag: "SandboxError", reason: "gone" })
    }))

  it.effect("when it is the right one and hangs, the call ends after thirty seconds", () =>
    Effect.gen(function*() {
      const { sdk } = makeSdk("a")
      const dialing = yield* Effect.forkChild(Effect.flip(sandbox(sdk, "chat", "a")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* promises
      yield* TestClock.adjust(28_999)
      assert.isUndefined(dialing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Fiber.join(dialing), { _tag: "SandboxError", reason: "slow" })
    }))
})
