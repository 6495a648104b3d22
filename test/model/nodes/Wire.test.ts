/** The sockets of the model of nodes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { randomOf } from "../../dial/support/VirtualRuntime.ts"
import { Machines } from "./Machines.ts"
import { Wire } from "./Wire.ts"

/** So many operations before another one, which decide where the fiber yields. */
const behind = <A, E>(operations: number, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  operations === 0 ? effect : Effect.suspend(() => behind(operations - 1, effect))

/** Reads once, on a node whose fibers yield whenever they may, while the agent does something. */
const readWhile = (seed: number, operations: number, does: (wire: Wire) => void) => {
  const machines = new Machines({ random: randomOf(seed), yields: 1 })
  const agent = machines.make()
  const node = machines.make()
  const wire = new Wire(agent, node, { onFrame: () => undefined, onClosed: () => undefined })
  const reading = node.fork(
    Effect.scoped(Effect.flatMap(wire.socket.reader, ({ pull }) => behind(operations, pull)))
  )
  agent.post(() => does(wire))
  machines.drain()
  return reading.pollUnsafe()
}

/** The yields of a fiber fall between any two operations of a read in some of these, and what comes falls into them. */
const cases = Array.from({ length: 400 }, (_, index) => ({ seed: 1 + index, operations: index % 20 }))

describe("a wire", () => {
  it("brings what comes while its reader yields", () => {
    for (const { operations, seed } of cases) {
      const exit = readWhile(seed, operations, (wire) => wire.send(1))
      assert.deepStrictEqual(exit, Exit.succeed(["1\n"] as const), `seed ${seed}`)
    }
  })

  it("tells its reader of an end that comes while it yields", () => {
    for (const { operations, seed } of cases) {
      const exit = readWhile(seed, operations, (wire) => wire.close())
      assert.isTrue(exit !== undefined && Exit.isFailure(exit), `seed ${seed}`)
    }
  })
})
