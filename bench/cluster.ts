/**
 * Agents that another node holds: the first dial, calls, and what idle ones cost. Everybody has a process of his own: the
 * other node, NATS, the agents, and the one who answers the raw request that calls are compared with.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import * as Path from "node:path"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import type { AgentTransport } from "../src/agent/AgentTransport.ts"
import * as NatsServerLink from "../src/cli/NatsServerLink.ts"
import * as NatsTransport from "../src/cluster/NatsTransport.ts"
import type { AgentId } from "../src/domain/Ids.ts"
import * as b from "./backend.ts"
import { fileName } from "./gateway.ts"
import * as h from "./harness.ts"
import { cpuShare } from "./idle.ts"
import * as Nats from "./nats.ts"
import type * as Agents from "./peers/agents.ts"
import type * as Node from "./peers/node.ts"
import * as Peer from "./peers/peer.ts"
import type * as Responder from "./peers/responder.ts"

/** As long as the answer to a stat. */
const payload = JSON.stringify({ name: fileName, type: "file", size: 12_345, modifiedAtMillis: 1.5, mode: 0o644 })

type Transport = AgentTransport["Service"]

interface World {
  readonly nats: Nats.Server
  readonly other: Peer.Peer<Node.Command>
  readonly here: b.Backend
  readonly agents: Peer.Peer<Agents.Command>
}

type Needs = b.Stores | NodeServices.NodeServices | Scope.Scope

const dialed = Effect.fnUntraced(function*(transport: Transport, ids: ReadonlyArray<AgentId>) {
  const taken: Array<number> = []
  for (const id of ids) {
    const begin = performance.now()
    yield* transport.dial(id)
    taken.push(performance.now() - begin)
  }
  return { p50: h.quantileOf(taken, 0.5), p99: h.quantileOf(taken, 0.99) }
})

const world = Effect.gen(function*(): Effect.fn.Return<World, unknown, Needs> {
  const nats = yield* Nats.start
  const other = yield* Peer.start<Node.Command>("node", [String(nats.port)])
  const here = yield* b.serve(
    NatsTransport.layer.pipe(
      Layer.provideMerge(AgentGateway.layerTransport()),
      Layer.provide(NatsServerLink.layer({ servers: [`127.0.0.1:${nats.port}`] }))
    )
  )
  return { nats, other, here, agents: yield* Peer.start<Agents.Command>("agents") }
})

/** Cheap agents that are attached to the other node. */
const elsewhere = Effect.fnUntraced(function*({ agents, other }: World, count: number) {
  const enrolled = yield* other.ask<Node.Enrolled>({ _tag: "Enroll", count })
  const before = yield* other.ask<number>({ _tag: "Attached" })
  yield* agents.ask({ _tag: "Dial", url: enrolled.url, tokens: enrolled.agents.map(({ token }) => token) })
  for (let left = 600; (yield* other.ask<number>({ _tag: "Attached" })) < before + count; left--) {
    if (left === 0) return yield* Effect.die(new Error("the agents do not come"))
    yield* Effect.sleep("100 millis")
  }
  return enrolled.agents.map(({ agentId }) => agentId)
})

/** What goes on at the server and here, for a while. */
const traffic = Effect.fnUntraced(function*({ nats }: World, millis: number) {
  const before = yield* nats.counts
  const begin = performance.now()
  const cpu = yield* cpuShare(millis)
  const after = yield* nats.counts
  const seconds = (performance.now() - begin) / 1000
  return {
    cpu,
    messages: (after.messages - before.messages) / seconds,
    bytes: (after.bytes - before.bytes) / seconds,
    subscriptions: after.subscriptions
  }
})

const idle = Effect.fnUntraced(function*(world: World, { quick }: h.Options) {
  const count = 1000
  const millis = quick ? 3000 : 10_000
  const before = yield* traffic(world, millis)
  yield* elsewhere(world, count)
  // Their coming is announced; what they cost from then on is asked.
  yield* Effect.sleep("2 seconds")
  const after = yield* traffic(world, millis)
  const subscriptions = (after.subscriptions - before.subscriptions) / count
  const messages = after.messages - before.messages
  return {
    rows: [
      [`${count.toLocaleString("en")} idle agents of the other node`, "figure", "", "", "aim"],
      ["  subscriptions for each", h.digits(subscriptions), "", "", "1"],
      ["  messages in a second, of all", h.digits(messages), "", "", "0"],
      ["  CPU of this node, of one core", `${h.digits((after.cpu - before.cpu) * 100)} %`, "", "", "nothing"]
    ],
    failures: [
      ...(subscriptions > 1.01 ? [`${h.digits(subscriptions)} subscriptions for each idle agent`] : []),
      // A node says a few things to itself, not always the same number of them.
      ...(messages > count / 100 ? [`${h.digits(messages)} messages in a second for idle agents`] : [])
    ]
  }
})

const calls = Effect.fnUntraced(function*(world: World, { quick }: h.Options) {
  const { here, nats, other } = world
  const file = yield* b.programFile
  const [mine] = yield* b.enroll(1)
  const { agents: [theirs], url } = yield* other.ask<Node.Enrolled>({ _tag: "Enroll", count: 1 })
  if (mine === undefined || theirs === undefined) return yield* Effect.die("no agents")
  const programs = [
    yield* b.startProgram(file, here.url, mine.token),
    yield* b.startProgram(file, url, theirs.token)
  ]
  for (const { directory } of programs) writeFileSync(Path.join(directory, fileName), "content")
  const local = yield* here.transport.dial(mine.agentId)
  const remote = yield* here.transport.dial(theirs.agentId)

  const responder = yield* Peer.start<Responder.Command>("responder", [String(nats.port)])
  yield* responder.ask({ subject: "bench.raw", answer: payload })
  const connection = yield* Effect.acquireRelease(
    Effect.promise(() => connect({ servers: `127.0.0.1:${nats.port}` })),
    (connection) => Effect.promise(() => connection.close())
  )
  const request = new TextEncoder().encode(JSON.stringify({ path: fileName }))
  const raw = (): Promise<unknown> => connection.request("bench.raw", request, { timeout: 10_000 })

  const millis = quick ? 300 : 1000
  const rounds = quick ? 3 : 9
  const measure = (callers: number) =>
    h.takeTurns(rounds, {
      local: h.load(callers, millis, local.files.stat(fileName)),
      raw: h.loadPlain(callers, millis, raw),
      remote: h.load(callers, millis, remote.files.stat(fileName))
    })
  const one = yield* measure(1)
  const many = yield* measure(64)
  const sums = h.spread(one.remote.flatMap((sample, round) => {
    const [local, raw] = [one.local[round], one.raw[round]]
    return local === undefined || raw === undefined ? [] : [sample.p50 / (local.p50 + raw.p50)]
  }))

  const quiet = yield* traffic(world, millis * 2)
  const before = yield* nats.counts
  const sample = yield* h.load(1, millis * 2, remote.files.stat(fileName))
  const after = yield* nats.counts
  const made = sample.perSecond * millis * 2 / 1000
  const row = (what: string, samples: ReadonlyArray<h.Sample>, aim = "") => [
    what,
    h.withSpread(h.spread(samples.map(({ perSecond }) => perSecond))),
    h.digits(h.median(samples.map(({ p50 }) => p50))),
    h.digits(h.median(samples.map(({ p99 }) => p99))),
    aim
  ]
  return [
    ["stat by the agent program, 1 in flight", "calls/s", "p50 ms", "p99 ms", "aim"],
    row("  agent of this node", one.local),
    row("  raw NATS request with the same payload", one.raw),
    row("  agent of the other node", one.remote),
    ["  it is so many times (local + raw), by p50", h.withSpread(sums), "", "", "at most 1.5"],
    [
      "  messages of NATS for a call",
      h.digits((after.messages - before.messages) / made - quiet.messages / sample.perSecond),
      "",
      "",
      ""
    ],
    ["  bytes", h.digits((after.bytes - before.bytes) / made - quiet.bytes / sample.perSecond), "", "", ""],
    ["64 in flight", "calls/s", "p50 ms", "p99 ms", ""],
    row("  agent of this node", many.local),
    row("  raw NATS request", many.raw),
    row("  agent of the other node", many.remote),
    [
      "  of what the local one does",
      h.withSpread(h.ratios(many.remote, many.local, ({ perSecond }) => perSecond)),
      "",
      "",
      "at least 0.4"
    ]
  ]
})

export const run = (options: h.Options): Effect.Effect<h.Report, unknown> => {
  const version = Nats.version()
  if (version === undefined) {
    return Effect.succeed({
      rows: [],
      notes: ["skipped: no nats-server was found (NATS_SERVER names one)"],
      failures: []
    })
  }
  return Effect.scoped(Effect.gen(function*(): Effect.fn.Return<h.Report, unknown, Needs> {
    const built = yield* world
    const cost = yield* idle(built, options)
    const called = yield* calls(built, options)
    const ids = yield* elsewhere(built, 300)
    const scope = yield* Scope.make()
    const first = yield* Scope.provide(dialed(built.here.transport, ids), scope)
    const again = yield* Effect.scoped(dialed(built.here.transport, ids))
    yield* Scope.close(scope, Exit.void)
    return {
      rows: [
        ...cost.rows,
        ["dial of 300 of its agents, one after the other", "", "p50 ms", "p99 ms", "aim"],
        ["  first", "", h.digits(first.p50), h.digits(first.p99), "10 ms"],
        ["  with the session between the nodes open", "", h.digits(again.p50), h.digits(again.p99), "0.1 ms"],
        ...called
      ],
      notes: [version],
      failures: cost.failures
    }
  })).pipe(Effect.provide([b.layerStores, NodeServices.layer]))
}
