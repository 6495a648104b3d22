/** What is done to the fleet, one thing after the other, and what is measured of it. */
import { Effect, Fiber } from "effect"
import * as Figures from "./Figures.ts"
import type { Stage } from "./Figures.ts"
import type { Sample } from "./Load.ts"
import * as NatsCluster from "./NatsCluster.ts"
import type { Node } from "./Nodes.ts"
import * as World from "./World.ts"
import { now } from "./World.ts"

/**
 * Calls that are under way when a node dies, beside those of the chats: a third of its agents. The machine greets all of
 * them anew at the same time.
 */
const underWay = 24

/** A node dies with the sessions that it holds; its agents come back to the others. */
export const killNode = Effect.fnUntraced(function*(world: World.World) {
  const { bounds, nodes, workspaces } = world
  yield* Effect.sleep(bounds.breath)
  const victim = World.holder(world)
  const held = World.heldBy(world, victim)
  const from = (): ReadonlyArray<Node> => nodes.all.filter((node) => node !== victim)
  // Those who call by the node that dies ask again elsewhere.
  const first = (): ReadonlyArray<Node> => victim.isInRotation() ? [victim] : from()
  const calls = yield* Effect.forkChild(Effect.all([
    World.burst(world, held.slice(0, underWay), { from }),
    World.burst(world, workspaces.slice(0, 8), { from: first })
  ], { concurrency: "unbounded" }))
  yield* Effect.sleep("1 second")
  const killedAt = now()
  yield* victim.child.kill
  yield* World.probe(world, held, { from, timeoutMillis: 30_000 })
  yield* Fiber.join(calls)
  yield* victim.child.start
  yield* World.whole(world)

  const isHeld = new Set(held)
  const after = World.samplesSince(world, killedAt)
  const concerned = after.filter(({ node, operation }) => node !== victim && isHeld.has(operation.workspace))
  const inFlight = concerned.filter(({ began }) => began < killedAt)
  const back = (agent: string): number => World.nextSession(world, agent, killedAt)?.from ?? Number.NaN
  const lateness = ({ began, ended, millis, operation }: Sample): number =>
    ended - Math.max(back(operation.workspace.agent), began + millis)
  return {
    name: `SIGKILL of ${victim.name}, which held ${held.length} agents`,
    figures: [
      Figures.figure(
        "calls in flight from other nodes: the caller knows that the session is lost",
        inFlight.flatMap(({ lost }) => lost === null ? [] : [lost - killedAt]),
        { of: "p50", millis: bounds.noticed }
      ),
      Figures.figure("agents: back at another node", held.map(({ agent }) => back(agent) - killedAt)),
      Figures.figure(
        "calls in flight: answered, after both the agent was back and the command over",
        inFlight.filter(({ lost, outcome }) => lost !== null && outcome === "done").map(lateness)
      ),
      Figures.figure(
        "the next call: answered, after the agent was back",
        concerned.filter(({ began, millis }) => began >= killedAt && millis === 0).map(lateness),
        { of: "p50", millis: bounds.nextCall }
      )
    ],
    counts: World.outcomes(after)
  } satisfies Stage
})

/** The NATS server with the most nodes dies, and comes back later. */
export const killNats = Effect.fnUntraced(function*(world: World.World) {
  const { bounds, nats, nodes, workspaces } = world
  yield* Effect.sleep(bounds.breath)
  const counted = yield* Effect.forEach(
    nats,
    (server) => Effect.map(server.counts, ({ connections }) => ({ server, connections }))
  )
  const [victim] = counted.toSorted((one, other) => other.connections - one.connections)
  if (victim === undefined) return yield* Effect.die("no NATS server")
  const calls = yield* Effect.forkChild(World.burst(world, workspaces, {}))
  yield* Effect.sleep("1 second")
  const killedAt = now()
  yield* victim.server.kill
  // From each node to agents of the others, until it has worked.
  yield* Effect.forEach(nodes.all, (node) =>
    World.probe(
      world,
      workspaces.filter(({ agent }) => nodes.holder(agent)?.node !== node),
      { from: () => [node], timeoutMillis: 30_000 }
    ), { concurrency: "unbounded", discard: true })
  yield* Fiber.join(calls)
  yield* victim.server.start
  yield* NatsCluster.whole(nats)
  yield* World.whole(world)

  const after = World.samplesSince(world, killedAt)
  const probes = after.filter(({ began, millis, outcome }) => began >= killedAt && millis === 0 && outcome === "done")
  return {
    name: `SIGKILL of ${victim.server.name}, which ${victim.connections} nodes were connected to`,
    figures: [
      Figures.figure(
        "calls of other nodes' agents: one has worked, after the kill",
        probes.map(({ ended }) => ended - killedAt),
        { of: "max", millis: bounds.nats }
      ),
      Figures.figure(
        "calls in flight: the caller knows that the session is lost",
        after.flatMap(({ began, lost }) => lost === null || began >= killedAt ? [] : [lost - killedAt])
      )
    ],
    counts: World.outcomes(after)
  } satisfies Stage
})

/** A node stands still for longer than its agents wait for it, and goes on. */
export const freezeNode = Effect.fnUntraced(function*(world: World.World) {
  const { bounds, load, nodes } = world
  yield* Effect.sleep(bounds.breath)
  const victim = World.holder(world)
  const held = World.heldBy(world, victim)
  const from = (): ReadonlyArray<Node> => nodes.all.filter((node) => node !== victim)
  const isHeld = new Set(held)
  load.abandoning(true)
  const frozenAt = now()
  yield* victim.child.freeze
  const calls = yield* Effect.forkChild(World.burst(world, held, { from }))
  yield* Effect.sleep(bounds.freeze)
  const thawedAt = now()
  yield* victim.child.thaw
  yield* World.whole(world)
  const wholeAt = now()
  load.abandoning(false)
  yield* World.probe(world, held, {})
  yield* Fiber.join(calls)
  // What was given up must not begin now, and that is looked at somewhat later.
  yield* Effect.sleep("4 seconds")

  const after = World.samplesSince(world, frozenAt)
  const concerned = after.filter(({ began, node, operation }) =>
    node !== victim && isHeld.has(operation.workspace) && began < thawedAt
  )
  const failed = concerned.filter(({ outcome }) => outcome !== "done")
  const sessions = nodes.sessions.filter(({ node, to }) => node === victim && to !== undefined && to >= thawedAt)
  return {
    name: `SIGSTOP of ${victim.name}, which held ${held.length} agents, for ${Math.round(bounds.freeze / 1000)} s`,
    figures: [
      Figures.figure(
        "calls from other nodes that began before the thaw: answered, whatever came of them",
        concerned.map(({ began, ended, millis }) => ended - began - millis),
        { of: "max", millis: bounds.typed }
      ),
      Figures.figure("of these, failed typed", failed.map(({ began, ended, millis }) => ended - began - millis)),
      Figures.figure(
        "calls that the frozen node had lost: their caller knows, after the freeze",
        concerned.flatMap(({ began, lost }) => lost === null || began >= frozenAt ? [] : [lost - frozenAt])
      ),
      Figures.figure(
        "old sessions of the thawed node: ended, after the thaw",
        sessions.map(({ to = 0 }) => to - thawedAt)
      ),
      Figures.figure("each agent has one session again, after the thaw", [wholeAt - thawedAt])
    ],
    counts: World.outcomes(after)
  } satisfies Stage
})

/** All nodes are deployed, one after the other, while chats work. */
export const deploy = Effect.fnUntraced(function*(world: World.World) {
  const { bounds, ledger, nodes } = world
  yield* Effect.sleep(bounds.breath)
  const beganAt = now()
  const took: Array<number> = []
  const gaps: Array<number> = []
  const moments: Array<number> = []
  let kept = 0
  for (const node of nodes.all) {
    const held = World.heldBy(world, node)
    const toldAt = now()
    if (!(yield* node.child.stop(bounds.deploy))) {
      ledger.violate(`${node.name} did not end within ${bounds.deploy} ms when it was asked to`)
    }
    took.push(now() - toldAt)
    for (const { agent } of held) {
      const old = nodes.sessions.findLast((held) => held.agent === agent && held.node === node)
      const next = World.nextSession(world, agent, toldAt)
      if (old?.to === undefined || next === undefined) continue
      moments.push(next.from - toldAt)
      // Two processes, one clock, whole milliseconds.
      if (old.reason === "replaced" && old.to >= next.from - 1) kept += 1
      else gaps.push(next.from - old.to)
    }
    yield* node.child.start
    yield* World.whole(world)
    yield* Effect.sleep("1 second")
  }
  if (gaps.length > bounds.gaps) ledger.violate(`${gaps.length} agents were without a session in the deploy`)
  const after = World.samplesSince(world, beganAt)
  const failed = after.filter(({ outcome }) => outcome !== "done")
  return {
    name: "A deploy: SIGTERM and a new start of each node, one after the other",
    figures: [
      Figures.figure("from SIGTERM to the end of the process", took),
      Figures.figure("from SIGTERM to the new link of an agent", moments),
      Figures.figure("agents that were without a session, and how long", gaps),
      Figures.figure(
        "calls: answered, beyond what their command took",
        after.filter(({ outcome }) => outcome === "done").map(({ began, ended, millis }) => ended - began - millis)
      )
    ],
    counts: [
      ["agents that were greeted at another node before they left", kept],
      ["calls that failed and were asked again by their operation", failed.length],
      ...World.outcomes(after)
    ]
  } satisfies Stage
})

export const all = { killNode, killNats, freezeNode, deploy } as const
