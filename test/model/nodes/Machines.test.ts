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

  it("say so when an instant does not end", () => {
    const { machines, one } = two()
    one.fork(Effect.forever(Effect.yieldNow))
    machines.drain()
    assert.isTrue(machines.stuck)
  })
})
