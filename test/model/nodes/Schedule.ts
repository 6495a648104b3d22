/**
 * What happens to nodes, agents and workspaces, and to the chats that work in them.
 */
import { randomOf } from "../../dial/support/VirtualRuntime.ts"
import { Draw } from "../Schedule.ts"
import type { Schedule } from "../Schedule.ts"
import type { Way } from "./Database.ts"
import type { Round } from "./Loop.ts"

export type Step =
  /** Commands of a chat on a node, in a turn of its own or in the one before. */
  | {
    readonly do: "call"
    readonly node: number
    readonly chat: number
    readonly calls: number
    /** The caller has its connection for so long before it uses it. */
    readonly waits: number
    readonly takes: number
    readonly within: number
    readonly anew: boolean
  }
  /** A caller leaves. */
  | { readonly do: "leave"; readonly call: number }
  | { readonly do: "advance"; readonly millis: number }
  /** A message of a user: the same number again is the same message. */
  | {
    readonly do: "send"
    readonly node: number
    readonly chat: number
    readonly message: number
    readonly rounds: ReadonlyArray<Round>
  }
  | { readonly do: "interruptTurn"; readonly node: number; readonly chat: number }
  /** What the network does to the links of an agent. */
  | { readonly do: "link"; readonly agent: number; readonly how: "cut" | "silent" | "mute" | "move" }
  /**
   * A clone is another program under the same identity, as in a copied workspace. One that is upgraded comes back in a
   * version that no node serves.
   */
  | {
    readonly do: "agent"
    readonly agent: number
    readonly what: "freeze" | "thaw" | "die" | "vanish" | "start" | "restart" | "clone" | "upgrade"
  }
  /** A node is stopped and goes on, is ended by SIGTERM or SIGKILL, is gone with its host, or takes its place again. */
  | {
    readonly do: "node"
    readonly node: number
    readonly what: "freeze" | "thaw" | "end" | "kill" | "vanish" | "start"
  }
  /** A start that was made elsewhere. The agent of the one before lives on, or does not. */
  | { readonly do: "enroll"; readonly workspace: number; readonly oldAgent: "alive" | "dead" }
  | { readonly do: "retire"; readonly workspace: number; readonly transition: "stop" | "delete" }
  /** A build for the queue, and what a runner does to it. */
  | { readonly do: "request"; readonly workspace: number; readonly transition: "start" | "stop" | "delete" }
  | {
    readonly do: "runner"
    readonly runner: number
    readonly what: "take" | "renew" | "prepare" | "succeed" | "fail" | "release"
  }
  /** Several ask for a workspace for a chat, having looked at its row at the same time. */
  | { readonly do: "create"; readonly chat: number; readonly callers: number }
  | { readonly do: "bind"; readonly chat: number; readonly workspace: number | null; readonly told: boolean }
  /** The way of one node to the database, or that of all. */
  | { readonly do: "database"; readonly node: number | null; readonly way: Way }

const bounds = [500, 1_000, 3_000, 5_000, 10_000, 15_000, 30_000]

/** Times at the bounds, a millisecond before and after, and some between. */
const times = [
  ...bounds.flatMap((bound) => [bound - 1, bound, bound + 1]),
  1,
  1,
  10,
  10,
  100,
  200,
  2_000,
  2_000
] as const

export const draw = (seed: number, length: number): Schedule<Step> => {
  const d = new Draw(randomOf(seed))
  // Where everything breaks all the time nothing gets far.
  const trouble = d.pick([0.3, 1, 1, 2])

  const way = (): Way =>
    d.weighted<Way>([
      [4, () => ({ way: "works" })],
      [2, () => ({ way: "fails" })],
      [1, () => ({ way: "forgets" })],
      [2, () => ({ way: "slow", millis: d.pick([1, 10, 499, 501, 2_999, 3_001]) })],
      [2, () => ({ way: "hangs", done: d.chance(0.5) })]
    ])

  const round = (): Round => ({
    commands: Array.from({ length: d.pick([1, 1, 2, 4]) }, () => d.pick([0, 10, 5_000, 40_000])),
    model: d.weighted([[12, () => "answers" as const], [1, () => "fails" as const], [1, () => "hangs" as const]])
  })

  const step = (): Step =>
    d.weighted<Step>([
      [22, () => ({
        do: "call",
        node: d.below(2),
        chat: d.below(3),
        calls: d.chance(0.2) ? 3 : 1,
        waits: d.pick([0, 0, 0, 100, 5_000]),
        takes: d.pick([0, 0, 10, 1_000, 20_000, 600_000]),
        within: d.pick([1_000, 30_000, 30_000]),
        anew: d.chance(0.4)
      })],
      [22, () => ({ do: "advance", millis: d.pick(times) })],
      [4, () => ({ do: "leave", call: d.below(16) })],
      [7, () => ({
        do: "send",
        node: d.below(2),
        chat: d.below(3),
        message: d.below(3),
        rounds: Array.from({ length: d.pick([0, 1, 1, 2]) }, round)
      })],
      [2, () => ({ do: "interruptTurn", node: d.below(2), chat: d.below(3) })],
      [7 * trouble, () => ({ do: "link", agent: d.below(8), how: d.pick(["cut", "cut", "silent", "mute", "move"]) })],
      [7 * trouble, () => ({
        do: "agent",
        agent: d.below(8),
        what: d.pick([
          "freeze",
          "thaw",
          "thaw",
          "die",
          "vanish",
          "start",
          "start",
          "start",
          "restart",
          "clone",
          "upgrade"
        ])
      })],
      [7 * trouble, () => ({
        do: "node",
        node: d.below(2),
        what: d.pick(["freeze", "freeze", "thaw", "thaw", "end", "kill", "vanish", "start", "start", "start"])
      })],
      [3, () => ({ do: "enroll", workspace: d.below(2), oldAgent: d.pick(["alive", "dead"]) })],
      [1, () => ({ do: "retire", workspace: d.below(2), transition: d.pick(["stop", "stop", "delete"]) })],
      [2, () => ({ do: "request", workspace: d.below(3), transition: d.pick(["start", "start", "stop", "delete"]) })],
      [6, () => ({
        do: "runner",
        runner: d.below(2),
        what: d.pick(["take", "take", "renew", "prepare", "prepare", "succeed", "succeed", "fail", "release"])
      })],
      [2, () => ({ do: "create", chat: d.below(3), callers: d.pick([1, 2, 3]) })],
      [2, () => ({
        do: "bind",
        chat: d.below(3),
        workspace: d.chance(0.1) ? null : d.below(3),
        told: d.chance(0.5)
      })],
      [6 * trouble, () => ({ do: "database", node: d.chance(0.3) ? null : d.below(2), way: way() })]
    ])

  /** What rarely meets by chance: a turn and its node, a runner and its build, a call and its link are parted. */
  const scene = (): ReadonlyArray<Step> => {
    const node = d.below(2)
    const chat = d.below(3)
    const agent = d.below(3)
    return d.weighted<ReadonlyArray<Step>>([
      [2, () => [
        { do: "send", node, chat, message: d.below(3), rounds: [round(), round()] },
        { do: "advance", millis: d.pick([1, 10, 3_000]) },
        d.chance(0.5) ? { do: "node", node, what: "freeze" } : { do: "database", node, way: way() },
        { do: "advance", millis: d.pick([5_000, 30_000, 60_000]) },
        d.chance(0.5) ? { do: "interruptTurn", node: d.below(2), chat } : { do: "node", node, what: "thaw" },
        { do: "database", node, way: { way: "works" } }
      ]],
      [1, () => [
        { do: "send", node, chat, message: d.below(3), rounds: [round(), { commands: [], model: "hangs" }] },
        { do: "advance", millis: d.pick([10, 3_000]) },
        { do: "database", node, way: d.pick([{ way: "fails" }, { way: "hangs", done: d.chance(0.5) }]) },
        { do: "advance", millis: 60_000 },
        { do: "advance", millis: d.pick([10_000, 60_000]) }
      ]],
      [1, () => [
        { do: "database", node, way: { way: "slow", millis: 501 } },
        { do: "send", node, chat, message: d.below(3), rounds: [round(), round()] },
        { do: "advance", millis: d.pick([500, 1_200, 1_400, 3_000]) },
        { do: "interruptTurn", node, chat },
        { do: "database", node, way: { way: "works" } }
      ]],
      // Calls of a step that are due when their node has lost the turn, and does not know it yet.
      [1, () => [
        { do: "send", node, chat, message: d.below(3), rounds: [{ commands: [40_000, 40_000, 10], model: "answers" }] },
        { do: "advance", millis: d.pick([10, 3_000]) },
        { do: "node", node, what: "freeze" },
        { do: "advance", millis: 60_000 },
        { do: "node", node, what: "thaw" },
        { do: "advance", millis: 10 }
      ]],
      // A handshake that is overtaken by another.
      [1, () => [
        { do: "database", node: null, way: { way: "slow", millis: 2_999 } },
        { do: "agent", agent, what: "clone" },
        { do: "advance", millis: d.pick([2_999, 3_000, 5_000]) },
        { do: "database", node: null, way: { way: "works" } },
        { do: "link", agent, how: "move" },
        { do: "advance", millis: 1 },
        d.chance(0.5) ? { do: "agent", agent, what: "die" } : { do: "link", agent, how: "cut" },
        { do: "advance", millis: 3_000 }
      ]],
      [1, () => [
        { do: "request", workspace: chat, transition: d.pick(["start", "stop"]) },
        { do: "runner", runner: 0, what: "take" },
        { do: "advance", millis: d.pick([29_999, 30_000, 30_001]) },
        { do: "runner", runner: 1, what: "take" },
        { do: "runner", runner: d.below(2), what: d.pick(["renew", "prepare", "succeed", "fail", "release"]) },
        { do: "runner", runner: 1, what: "prepare" },
        { do: "runner", runner: d.below(2), what: "succeed" }
      ]],
      [1, () => [
        { do: "link", agent, how: "mute" },
        { do: "call", node, chat, calls: 1, waits: 0, takes: 10, within: 30_000, anew: true },
        { do: "advance", millis: d.pick([10, 5_000]) },
        d.chance(0.7) ? { do: "agent", agent, what: "restart" } : { do: "link", agent, how: "cut" },
        { do: "advance", millis: d.pick([5_000, 15_000]) }
      ]],
      [3, () => [
        {
          do: "call",
          node,
          chat,
          calls: d.pick([1, 3]),
          waits: d.pick([0, 0, 100]),
          takes: d.pick([10, 1_000, 20_000, 600_000]),
          within: 30_000,
          anew: true
        },
        { do: "advance", millis: d.pick([0, 1, 10, 100]) },
        d.chance(0.5)
          ? { do: "link", agent, how: d.pick(["cut", "silent", "move"]) }
          : { do: "agent", agent, what: d.pick(["freeze", "restart", "clone"]) },
        { do: "advance", millis: d.pick([0, 1, 100, 5_000]) },
        d.chance(0.5) ? { do: "leave", call: d.below(3) } : { do: "agent", agent, what: "thaw" },
        { do: "advance", millis: d.pick([100, 5_000, 15_000]) }
      ]]
    ])
  }

  const steps = Array.from({ length }, step)
  if (d.chance(0.6)) steps.splice(d.below(length), 0, ...scene())
  return { seed, actions: steps.map((step) => ({ ...step, settle: d.chance(0.7) })) }
}
