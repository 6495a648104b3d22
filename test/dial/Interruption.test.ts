import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { always, VirtualRuntime } from "./support/VirtualRuntime.ts"
import * as World from "./support/World.ts"

/**
 * `connect` interrupted at every point where its fiber can be suspended, with another caller beside it that must not
 * notice, and without one. Every operation yields, so every point is one.
 */
const scenarios: Record<string, { readonly scene: (world: World.World) => void; readonly wait: number }> = {
  "a dial that succeeds at once": { scene: () => {}, wait: 0 },
  "a dial that takes time": { scene: (world) => world.mode("a1", { after: 500 }), wait: 500 },
  "a slow dial, confirmed": { scene: (world) => world.mode("a1", { after: 3000 }), wait: 3000 },
  "a refused dial, redialed": { scene: (world) => world.nextModes("a1", { ends: "refuse" }), wait: 0 },
  "a rebuilt workspace, switched": {
    scene: (world) => {
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { after: 60_000, stubborn: true })
      world.presence("a1", "absent")
    },
    wait: 1000
  },
  "an open connection in doubt": {
    scene: (world) => {
      world.state.liveness.set(1, "unknown")
      world.state.faults.set("agent", { after: 100 })
    },
    wait: 200
  }
}

interface Played {
  readonly steps: number
  readonly ended: "interrupted" | "connected"
}

const play = (name: string, interruptAfter: number, beside: boolean): Played => {
  const scenario = scenarios[name]
  assert.isDefined(scenario)
  const message = `${name}, after ${interruptAfter} steps, ${beside ? "beside another" : "alone"}`
  const runtime = new VirtualRuntime({ random: () => 0, shouldYield: always })
  const settle = <A, E>(effect: Effect.Effect<A, E>): A => {
    const fiber = runtime.run(effect)
    runtime.drain()
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error(`${message}: not settled`)
    return exit.value
  }
  const layerScope = Scope.makeUnsafe()
  const world = settle(World.makeIn(layerScope))
  world.build({ number: 1, agents: ["a1"] })
  world.bind({ agent: "a1", build: 1 })
  const turn = settle(world.chats.open(World.chat))
  if (name === "an open connection in doubt") settle(Effect.scoped(turn.connect))
  scenario.scene(world)

  const scope = Scope.makeUnsafe()
  const other = Scope.makeUnsafe()
  const bystander = beside ? runtime.run(Scope.provide(turn.connect, other)) : undefined
  const fiber = runtime.run(Scope.provide(turn.connect, scope))
  let steps = 0
  // Steps first, then time, one step at a time: so the interruption meets every moment of the whole wait.
  const until = runtime.now + scenario.wait
  while (steps < interruptAfter && fiber.pollUnsafe() === undefined) {
    if (runtime.step()) steps++
    else if (runtime.now < until) runtime.wake()
    else break
  }
  const before = fiber.pollUnsafe()
  fiber.interruptUnsafe()
  runtime.drain()
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, `${message}: an interrupted call ends without time`)
  if (before === undefined) assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit), message)
  settle(Scope.close(scope, Exit.void))
  assert.isAtMost(world.chats.describe(World.chat).waiters, beside ? 1 : 0, message)

  if (bystander !== undefined) {
    runtime.advance(60_000)
    const result = bystander.pollUnsafe()
    assert.isTrue(result !== undefined && Exit.isSuccess(result), `${message}: the other is connected`)
    settle(Scope.close(other, Exit.void))
  }
  // A stubborn dial takes its minute; then only what is idle is held, and after the idle time nothing.
  runtime.advance(60_000 + 300_000)
  World.assertNothingLeft(world, message)
  runtime.run(Scope.close(layerScope, Exit.void))
  runtime.advance(2000)
  assert.strictEqual(runtime.fibers, 0, message)
  assert.strictEqual(runtime.pendingTimers, 0, message)
  return { steps, ended: before === undefined ? "interrupted" : "connected" }
}

describe("connect interrupted at every yield leaves nothing and disturbs nobody", () => {
  for (const name of Object.keys(scenarios)) {
    for (const beside of [false, true]) {
      it(`${name}${beside ? ", beside another caller" : ""}`, () => {
        let interrupted = 0
        for (let at = 0;; at++) {
          const { ended } = play(name, at, beside)
          if (ended === "connected") break
          interrupted++
        }
        assert.isAbove(interrupted, 10)
      })
    }
  }
})
