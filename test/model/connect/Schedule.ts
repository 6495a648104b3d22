/**
 * What happens to chats, workspaces and agents on one node, over a transport that does its worst.
 */
import type { Query } from "../../../src/testing/ScriptedStores.ts"
import { randomOf } from "../../dial/support/VirtualRuntime.ts"
import { Draw } from "../Schedule.ts"
import type { Action, Schedule } from "../Schedule.ts"

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
    /** Who is refused tries once more at once. */
    readonly again?: boolean
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
  /** The row of an agent is not kept any longer. */
  | { readonly do: "forget"; readonly agent: number }
  /** The layer closes, whatever is in flight. Everything after it happens to a closed layer. */
  | { readonly do: "shutdown" }

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

export const draw = (seed: number, length: number): Schedule<Step> => {
  const d = new Draw(randomOf(seed))
  const below = (n: number) => d.below(n)
  const pick = <const A>(from: ReadonlyArray<A>): A => d.pick(from)
  const chance = (p: number) => d.chance(p)

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
          outcome: pick(["succeed", "fail"])
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
    ...(chance(0.15) ? { again: true } : {}),
    ...(chance(0.15) ? { patience: pick([1, 500, 2_000, 31_000]) } : {})
  })

  const step = (): Step => {
    const n = below(100)
    if (n < 32) return connect()
    if (n < 54) return { do: "advance", millis: pick(times) }
    if (n < 62) return { do: "interrupt", call: below(16) }
    if (n < 70) return { do: "dials", agent: below(16), ...mode() }
    if (n < 74) return { do: "rebuild", workspace: below(2), oldAgent: pick(["gone", "alive"]) }
    if (n < 76) {
      const [transition, status] = build()
      return { do: "build", workspace: below(2), transition, status }
    }
    if (n < 79) {
      return { do: "bindWorkspace", chat: below(2), workspace: chance(0.2) ? null : below(2), told: chance(0.6) }
    }
    if (n < 81) return { do: "bindAgent", chat: below(2), told: chance(0.4) }
    if (n < 85) return { do: "dead", agent: below(16), since: chance(0.4) ? null : pick(ages) }
    if (n < 88) return { do: "lose", agent: below(16), reason: pick(["lost", "replaced", "revoked"]) }
    if (n < 90) return { do: "presence", agent: below(16), presence: pick(["live", "absent", "unknown"]) }
    if (n < 94) return { do: "liveness", agent: below(16), liveness: chance(0.6) ? "unknown" : "live" }
    if (n < 95 && chance(0.2)) return { do: "forget", agent: below(16) }
    if (n < 97) return { do: "store", queries: chance(0.5) ? queries : [pick(queries)], ...storeScript() }
    return { do: "open", chat: below(2) }
  }

  /** Other writers bind the chat while a flight is about to. */
  const overtaken = (): ReadonlyArray<Step> => {
    const chat = below(2)
    const moved = (): Step => ({ do: "bindWorkspace", chat, workspace: below(2), told: chance(0.2) })
    return [
      { do: "bindWorkspace", chat, workspace: below(2), told: true },
      { do: "store", queries: ["bindAgent"], script: "delay", after: 10 },
      connect(),
      { do: "advance", millis: pick([0, 9]) },
      moved(),
      { do: "advance", millis: pick([1, 10, 19]) },
      moved(),
      { do: "advance", millis: 10 }
    ]
  }

  /** The agent refuses a dial, and takes the next. */
  const mended = (): ReadonlyArray<Step> => {
    const agent = below(4)
    return [
      { do: "lose", agent, reason: "lost" },
      { do: "dials", agent, mode: "refuse", after: pick([0, 10]) },
      { do: "store", queries: ["latestBuild"], script: "delay", after: 10 },
      connect(),
      { do: "advance", millis: pick([0, 9, 10]) },
      { do: "dials", agent, mode: "accept", after: pick([0, 10]) },
      { do: "advance", millis: 10 }
    ]
  }

  const actions: Array<Action<Step>> = [{ do: "open", chat: 0, settle: true }, { do: "open", chat: 1, settle: true }]
  while (actions.length < length) actions.push({ ...step(), settle: chance(0.7) })
  // What rarely meets by chance.
  if (chance(0.3)) {
    const scene = chance(0.5) ? overtaken() : mended()
    actions.splice(2 + below(length - 2), 0, ...scene.map((step) => ({ ...step, settle: chance(0.7) })))
  }
  if (chance(0.7)) {
    actions.push({ ...connect(), settle: chance(0.5) })
    actions.push({ do: "shutdown", settle: chance(0.5) }, { ...connect(), settle: true })
  }
  return { seed, actions }
}
