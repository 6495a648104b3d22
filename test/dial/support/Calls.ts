/** Calls under way, what they came to and what they cost. */
import type { Duration } from "effect"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { AgentConnection } from "../../../src/agent/AgentConnection.ts"
import type { ChatWorkspace } from "../../../src/dial/ChatWorkspaces.ts"
import type { ConnectError } from "../../../src/domain/Errors.ts"
import * as World from "./World.ts"

/** A call under way, in a scope of its own. */
export const call = Effect.fnUntraced(function*(workspace: ChatWorkspace) {
  const scope = yield* Scope.make()
  const fiber = yield* Effect.forkChild(Scope.provide(workspace.connect, scope), { startImmediately: true })
  return {
    fiber,
    result: () => fiber.pollUnsafe(),
    end: Effect.suspend(() => {
      fiber.interruptUnsafe()
      return Scope.close(scope, Exit.void)
    })
  }
})

export type Call = Effect.Success<ReturnType<typeof call>>

export const errorOf = (exit: Exit.Exit<AgentConnection, ConnectError> | undefined): unknown =>
  exit !== undefined && Exit.isFailure(exit) ? exit.cause.reasons.map((r) => r._tag === "Fail" ? r.error : r)[0] : exit

/** A chat bound to the agent of a running workspace, or only to the workspace. */
export const running = Effect.fnUntraced(function*(options?: { readonly bound?: boolean }) {
  const world = yield* World.make
  world.build({ number: 1, agents: ["a1"] })
  world.bind({ agent: options?.bound === false ? null : "a1", build: 1 })
  return world
})

export const costs = (counts: World.State["counts"]): string =>
  Object.entries(counts).flatMap(([name, count]) => count === 0 ? [] : [`${name} ${count}`]).join(", ")

/** A whole first call of a turn: open, connect, let the time pass, and what it came to and cost. */
export const firstCall = Effect.fnUntraced(function*(world: World.World, time: Duration.Input = 0) {
  const [first, counts] = yield* world.counted(Effect.gen(function*() {
    const first = yield* call(yield* world.chats.open(World.chat))
    yield* TestClock.adjust(time)
    return first
  }))
  return { first, cost: costs(counts) }
})
