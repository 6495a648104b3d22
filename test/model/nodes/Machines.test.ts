/** The machines that the model of nodes stands on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomOf } from "../../dial/support/VirtualRuntime.ts"
import { Machines } from "./Machines.ts"

const two = () => {
  const machines = new Machines({ random: randomOf(1), yields: 0 })
  return { machines, one: machines.make(), other: machines.make() }
}

/** Passes time as the model does: from instant to instant. */
const pass = (machines: Machines, millis: number) => {
  const end = machines.now + millis
  machines.drain()
  while (machines.next() <= end) machines.wake(machines.next())
  machines.now = end
}

describe("machines", () => {
  it("share one time, and each has its timers", () => {
    const { machines, one, other } = two()
    const woken: Array<string> = []
    one.fork(Effect.andThen(Effect.sleep(10), Effect.sync(() => woken.push("one"))))
    other.fork(Effect.andThen(Effect.sleep(5), Effect.sync(() => woken.push("other"))))
    pass(machines, 9)
    assert.deepStrictEqual(woken, ["other"])
    pass(machines, 1)
    assert.deepStrictEqual(woken, ["other", "one"])
  })

  it("do nothing while they are frozen, and what is overdue when they thaw", () => {
    const { machines, one } = two()
    const sleeping = one.fork(Effect.sleep(10))
    let posted = false
    one.freeze()
    one.post(() => {
      posted = true
    })
    pass(machines, 1_000)
    assert.isFalse(posted)
    assert.isUndefined(sleeping.pollUnsafe())
    one.thaw()
    assert.strictEqual(one.frozenFor, 1_000)
    pass(machines, 0)
    assert.isTrue(posted)
    assert.isDefined(sleeping.pollUnsafe())
  })

  it("do at the end of a turn what is left to it, before anything else", () => {
    const { machines, one } = two()
    const done: Array<string> = []
    const other = globalThis.queueMicrotask
    for (const name of ["a", "b"]) {
      one.post(() => {
        queueMicrotask(() => done.push(`the end of ${name}`))
        done.push(name)
      })
    }
    pass(machines, 0)
    const [first, second] = done[0] === "a" ? ["a", "b"] : ["b", "a"]
    assert.deepStrictEqual(done, [first, `the end of ${first}`, second, `the end of ${second}`])
    assert.strictEqual(globalThis.queueMicrotask, other)
  })

  it("never do anything again when they are gone", () => {
    const { machines, one } = two()
    const sleeping = one.fork(Effect.sleep(10))
    one.kill()
    one.post(() => assert.fail("it is gone"))
    pass(machines, 1_000)
    assert.isUndefined(sleeping.pollUnsafe())
  })

  it("count the fibers that have not ended, detached ones too", () => {
    const { machines, one } = two()
    one.fork(Effect.andThen(Effect.forkDetach(Effect.sleep(20)), Effect.sleep(10)))
    pass(machines, 5)
    assert.strictEqual(one.fibers, 2)
    pass(machines, 5)
    assert.strictEqual(one.fibers, 1)
    pass(machines, 10)
    assert.strictEqual(one.fibers, 0)
  })

  it("yield often, but not where no scheduler does: who is interrupted before it begins does not begin", () => {
    const machines = new Machines({ random: randomOf(1), yields: 1 })
    const machine = machines.make()
    const done: Array<string> = []
    const child = Effect.andThen(Effect.sync(() => done.push("began")), Effect.never)
    machine.fork(Effect.flatMap(Effect.forkDetach(child), (fiber) => Effect.sync(() => fiber.interruptUnsafe())))
    const steps = (name: string) =>
      machine.fork(
        Effect.forEach(Array.from({ length: 40 }), () => Effect.sync(() => done.push(name)), { discard: true })
      )
    steps("a")
    steps("b")
    machines.drain()
    assert.strictEqual(machine.fibers, 0)
    assert.notInclude(done, "began")
    // Neither came to its end before the other went on.
    assert.isBelow(done.indexOf("b"), done.lastIndexOf("a"))
    assert.isBelow(done.indexOf("a"), done.lastIndexOf("b"))
  })

  it("say so when an instant does not end", () => {
    const { machines, one } = two()
    one.fork(Effect.forever(Effect.yieldNow))
    machines.drain()
    assert.isTrue(machines.stuck)
  })
})
