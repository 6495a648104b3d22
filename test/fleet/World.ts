/** The fleet as those see it who hurt it, and what is common to all that is done to it. */
import { Effect } from "effect"
import type { Chance } from "../security/fuzz/Chance.ts"
import type { Workspace } from "./Agents.ts"
import type { Ledger } from "./Ledger.ts"
import type { Load, Run, Sample } from "./Load.ts"
import type * as NatsCluster from "./NatsCluster.ts"
import type { Held, Node, Nodes } from "./Nodes.ts"

export interface World {
  readonly nodes: Nodes
  readonly nats: ReadonlyArray<NatsCluster.Server>
  readonly workspaces: ReadonlyArray<Workspace>
  readonly load: Load
  readonly ledger: Ledger
  readonly chance: Chance
  readonly bounds: Bounds
}

/** What is waited for, and what figures are held to; in milliseconds, but for `gaps`. */
export interface Bounds {
  /** Before each thing that is done: calls are under way as ever. */
  readonly breath: number
  /** From the death of a node until a caller elsewhere knows. */
  readonly noticed: number
  /** From the return of an agent to the answer of the next call. */
  readonly nextCall: number
  /** From the death of a NATS server until calls of other nodes' agents work. */
  readonly nats: number
  /** How long a frozen node stands still: longer than agents wait for it. */
  readonly freeze: number
  /** From a call to its answer, whatever becomes of it. */
  readonly typed: number
  /** From SIGTERM to the end of a node. */
  readonly deploy: number
  /** How many agents may be without a session in a deploy. */
  readonly gaps: number
}

/** So many agents are called by hand beside the chats. */
const probed = 24

export const now = (): number => Date.now()

export const until = (what: string, condition: () => boolean, seconds = 60): Effect.Effect<void> => {
  const wait: Effect.Effect<void> = Effect.suspend(() => condition() ? Effect.void : Effect.delay(wait, "20 millis"))
  return Effect.timeoutOrElse(wait, {
    duration: seconds * 1000,
    orElse: () => Effect.die(new Error(`waited in vain until ${what}`))
  })
}

/** All nodes get calls, and each agent has one session. */
export const whole = ({ nodes, workspaces }: Pick<World, "nodes" | "workspaces">): Effect.Effect<void> =>
  Effect.andThen(
    until("all nodes are in rotation", () => nodes.rotation().length === nodes.all.length),
    until("each agent has one session", () => {
      const open = nodes.sessions.filter(({ to }) => to === undefined)
      return open.length === workspaces.length && new Set(open.map(({ agent }) => agent)).size === open.length
    })
  )

/** A node with agents: one that was started again may have none yet. */
export const holder = (world: World): Node => {
  const holders = world.nodes.all.filter((node) => heldBy(world, node).length > 0)
  return world.chance.pick(holders.length === 0 ? world.nodes.all : holders)
}

export const heldBy = ({ nodes, workspaces }: World, node: Node): ReadonlyArray<Workspace> =>
  workspaces.filter(({ agent }) => nodes.holder(agent)?.node === node)

/** Some of these agents are called, each with a command that takes no time, until that has worked. */
export const probe = (
  { chance, load }: World,
  all: ReadonlyArray<Workspace>,
  options: Omit<Run, "millis">
): Effect.Effect<void> => {
  const works = (workspace: Workspace): Effect.Effect<void> =>
    Effect.flatMap(
      load.run(workspace, { ...options, millis: 0 }),
      (done) => done ? Effect.void : Effect.delay(works(workspace), "20 millis")
    )
  const some = all.map((workspace) => ({ workspace, at: chance.below(1_000_000) })).toSorted((a, b) => a.at - b.at)
  return Effect.forEach(some.slice(0, probed), ({ workspace }) => works(workspace), {
    concurrency: "unbounded",
    discard: true
  })
}

/** Calls beside those of the chats, so that enough is in flight. */
export const burst = (
  { load }: World,
  all: ReadonlyArray<Workspace>,
  options: Omit<Run, "millis">
): Effect.Effect<void> =>
  Effect.forEach(all.slice(0, 2 * probed), (workspace) => load.run(workspace, { ...options, millis: 2000 }), {
    concurrency: "unbounded",
    discard: true
  })

export const samplesSince = ({ load }: World, since: number): ReadonlyArray<Sample> =>
  load.samples.filter(({ ended }) => ended >= since)

/** The first session that an agent got after a moment. */
export const nextSession = ({ nodes }: World, agent: string, after: number): Held | undefined =>
  nodes.sessions.find((held) => held.agent === agent && held.from >= after)

/** How often calls came to what. */
export const outcomes = (samples: ReadonlyArray<Sample>): ReadonlyArray<readonly [string, number]> => {
  const counts = new Map<string, number>()
  for (const { code, isRepeat } of samples) {
    const what = `${isRepeat ? "asked again" : "calls"}: ${code}`
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return [...counts].toSorted(([one], [other]) => one.localeCompare(other))
}
