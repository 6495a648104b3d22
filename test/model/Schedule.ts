/**
 * Schedules: what happens to chats, workspaces and agents, in order, as plain data. Every action has a meaning in every
 * state (indices count modulo what there is), so that any part of a schedule is a schedule.
 */
import type { Query } from "../../src/testing/ScriptedStores.ts"
import { randomOf } from "../dial/support/VirtualRuntime.ts"

/** What an agent does with dials. */
export type Mode =
  | { readonly mode: "accept"; readonly after: number }
  | { readonly mode: "refuse"; readonly after: number }
  | { readonly mode: "stall"; readonly holding: boolean }
  | { readonly mode: "stubborn"; readonly after: number; readonly outcome: "succeed" | "fail" }
  | { readonly mode: "uninterruptible" }

export type StoreScript =
  | { readonly script: "heal" }
  | { readonly script: "fail" }
  | { readonly script: "hang" }
  | { readonly script: "delay"; readonly after: number }

export type Step =
  /** A new turn of a chat. */
  | { readonly do: "open"; readonly chat: number }
  /** Calls of a turn, each holding its connection for a while. With patience they wait no longer, and keep their scope. */
  | {
    readonly do: "connect"
    readonly turn: number
    readonly calls: number
    readonly hold: number
    readonly patience?: number
  }
  | { readonly do: "interrupt"; readonly call: number }
  | { readonly do: "advance"; readonly millis: number }
  | { readonly do: "dials"; readonly agent: number } & Mode
  /** A new start build; the old agent may live on. */
  | { readonly do: "rebuild"; readonly workspace: number; readonly oldAgent: "gone" | "alive" }
  /** A build that leaves the workspace without an agent. */
  | {
    readonly do: "build"
    readonly workspace: number
    readonly transition: "start" | "stop" | "delete"
    readonly status: "running" | "succeeded" | "failed"
  }
  /** Another writer binds a workspace or none; the turn may be told. */
  | { readonly do: "bindWorkspace"; readonly chat: number; readonly workspace: number | null; readonly told: boolean }
  /** Another writer binds the current agent of the chat's workspace. */
  | { readonly do: "bindAgent"; readonly chat: number; readonly told: boolean }
  /** The agent's row says that it has been dead for so long, or that it lives. */
  | { readonly do: "dead"; readonly agent: number; readonly since: number | null }
  | { readonly do: "lose"; readonly agent: number; readonly reason: "lost" | "replaced" | "revoked" }
  | { readonly do: "presence"; readonly agent: number; readonly presence: "live" | "absent" | "unknown" }
  | { readonly do: "liveness"; readonly agent: number; readonly liveness: "live" | "unknown" }
  | { readonly do: "store"; readonly queries: ReadonlyArray<Query> } & StoreScript
  /** The layer closes, whatever is in flight. Everything after it happens to a closed layer. */
  | { readonly do: "shutdown" }

/** With `settle` false the next action happens before any fiber runs. */
export type Action = Step & { readonly settle: boolean }

export interface Schedule {
  readonly seed: number
  readonly actions: ReadonlyArray<Action>
}

/** Times at, a millisecond before and after each bound, and some between. */
const times = [
  ...[500, 1_000, 3_000, 5_000, 30_000, 40_000].flatMap((bound) => [bound - 1, bound, bound + 1]),
  1,
  1,
  10,
  10,
  100,
  2_000,
  10_000,
  60_000,
  90_000,
  300_000
]

const delays = [0, 0, 0, 1, 10, 499, 500, 999, 1_000, 1_001, 3_000, 29_999, 30_000]

const ages = [0, 1, 29_999, 30_000, 30_001, 84_999, 85_000, 89_999, 90_000, 90_001, 200_000]

const queries: ReadonlyArray<Query> = ["binding", "agent", "latestBuild", "bindAgent"]

export const draw = (seed: number, length: number): Schedule => {
  const random = randomOf(seed)
  const below = (n: number) => Math.floor(random() * n)
  const pick = <A>(from: readonly [A, ...ReadonlyArray<A>] | ReadonlyArray<A>): A => {
    const found = from[below(from.length)]
    if (found === undefined) throw new Error("nothing to pick from")
    return found
  }
  const chance = (p: number) => random() < p

  const mode = (): Mode => {
    switch (below(8)) {
      case 0:
        return { mode: "refuse", after: pick(delays) }
      case 1:
        return { mode: "stall", holding: chance(0.3) }
      case 2:
        return {
          mode: "stubborn",
          after: pick([1, 1_000, 30_000, 60_000]),
          outcome: pick(["succeed", "fail"] as const)
        }
      case 3:
        return { mode: "uninterruptible" }
      default:
        return { mode: "accept", after: pick(delays) }
    }
  }

  const storeScript = (): StoreScript => {
    switch (below(6)) {
      case 0:
        return { script: "fail" }
      case 1:
        return { script: "hang" }
      case 2:
        return { script: "delay", after: pick([1, 10, 499, 500, 501, 2_999, 3_000]) }
      default:
        return { script: "heal" }
    }
  }

  const build = () =>
    pick(
      [
        ["stop", "succeeded"],
        ["stop", "succeeded"],
        ["stop", "running"],
        ["stop", "failed"],
        ["start", "running"],
        ["start", "failed"],
        ["delete", "succeeded"]
      ] as const
    )

  const connect = (): Step => ({
    do: "connect",
    turn: below(4),
    calls: chance(0.25) ? 3 : 1,
    hold: pick([0, 1, 1_000, 60_000]),
    ...(chance(0.15) ? { patience: pick([1, 500, 2_000, 31_000]) } : {})
  })

  const step = (): Step => {
    const n = below(100)
    if (n < 32) return connect()
    if (n < 54) return { do: "advance", millis: pick(times) }
    if (n < 62) return { do: "interrupt", call: below(16) }
    if (n < 70) return { do: "dials", agent: below(16), ...mode() }
    if (n < 74) return { do: "rebuild", workspace: below(2), oldAgent: pick(["gone", "alive"] as const) }
    if (n < 76) {
      const [transition, status] = build()
      return { do: "build", workspace: below(2), transition, status }
    }
    if (n < 79) {
      return { do: "bindWorkspace", chat: below(2), workspace: chance(0.2) ? null : below(2), told: chance(0.6) }
    }
    if (n < 81) return { do: "bindAgent", chat: below(2), told: chance(0.4) }
    if (n < 85) return { do: "dead", agent: below(16), since: chance(0.4) ? null : pick(ages) }
    if (n < 88) return { do: "lose", agent: below(16), reason: pick(["lost", "replaced", "revoked"] as const) }
    if (n < 90) return { do: "presence", agent: below(16), presence: pick(["live", "absent", "unknown"] as const) }
    if (n < 94) return { do: "liveness", agent: below(16), liveness: chance(0.6) ? "unknown" : "live" }
    if (n < 97) return { do: "store", queries: chance(0.5) ? queries : [pick(queries)], ...storeScript() }
    return { do: "open", chat: below(2) }
  }

  const actions: Array<Action> = [{ do: "open", chat: 0, settle: true }, { do: "open", chat: 1, settle: true }]
  while (actions.length < length) actions.push({ ...step(), settle: chance(0.7) })
  if (chance(0.7)) {
    actions.push({ ...connect(), settle: chance(0.5) })
    actions.push({ do: "shutdown", settle: chance(0.5) }, { ...connect(), settle: true })
  }
  return { seed, actions }
}

/** The smallest part of a schedule, found by leaving parts out, that still goes wrong in the same way. */
export const shrink = (schedule: Schedule, fails: (schedule: Schedule) => boolean): Schedule => {
  let smallest = schedule
  let size = Math.max(1, Math.ceil(smallest.actions.length / 2))
  for (;;) {
    let smaller = false
    for (let from = 0; from < smallest.actions.length; from += size) {
      const actions = [...smallest.actions.slice(0, from), ...smallest.actions.slice(from + size)]
      const candidate = { ...smallest, actions }
      if (fails(candidate)) {
        smallest = candidate
        smaller = true
        from -= size
      }
    }
    if (size === 1 && !smaller) return smallest
    if (!smaller) size = Math.ceil(size / 2)
  }
}
