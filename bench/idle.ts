/**
 * What agents cost a node while nobody calls them: bytes that live, and CPU for pings and heartbeats at their defaults.
 *
 * The sockets are real and their other ends in another process. The store answers at once and keeps nothing: what
 * PostgreSQL does is measured apart.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import * as AgentPresence from "../src/store/AgentPresence.ts"
import * as b from "./backend.ts"
import * as h from "./harness.ts"
import type * as Agents from "./peers/agents.ts"
import * as Peer from "./peers/peer.ts"

const maxBytes = 64 * 1024

const warmUp = 1000

/** Share of one core that this process takes. */
export const cpuShare = (millis: number): Effect.Effect<number> =>
  Effect.suspend(() => {
    const begin = performance.now()
    const before = process.cpuUsage()
    return Effect.map(Effect.sleep(millis), () => {
      const { system, user } = process.cpuUsage(before)
      return (system + user) / 1000 / (performance.now() - begin)
    })
  })

const presence = AgentPresence.AgentPresence.of({
  verify: ({ agentId }) => Effect.succeed(agentId),
  attach: () => Effect.succeed({ epoch: 1, previous: null }),
  beat: ({ sessions }) =>
    Effect.sync(() => ({ verdicts: new Map(sessions.map(({ agentId }) => [agentId, "valid"])), elsewhere: [] })),
  report: () => Effect.void,
  detach: () => Effect.void
})

export const run = ({ quick }: h.Options): Effect.Effect<h.Report, unknown> =>
  Effect.scoped(Effect.gen(function*(): Effect.fn.Return<h.Report, unknown, Scope.Scope | b.Stores> {
    const count = quick ? 1000 : 5000
    const watched = quick ? 10_000 : 30_000
    const node = yield* b.serve(
      AgentGateway.layerTransport().pipe(Layer.provide(Layer.succeed(AgentPresence.AgentPresence, presence)))
    )
    const agents = yield* Peer.start<Agents.Command>("agents")
    const dial = Effect.fnUntraced(function*(tokens: ReadonlyArray<string>) {
      const before = node.attached()
      yield* agents.ask({ _tag: "Dial", url: node.url, tokens })
      yield* h.until("all agents to come", () => node.attached() === before + tokens.length, 300_000)
    })
    // What is made once, compiled code above all, is there already.
    yield* dial((yield* b.enroll(warmUp)).map(({ token }) => token))
    yield* Effect.sleep("5 seconds")

    const tokens = (yield* b.enroll(count)).map(({ token }) => token)
    const cpuBefore = yield* cpuShare(watched / 3)
    const bytesBefore = yield* Effect.promise(h.liveBytes)
    const residentBefore = process.memoryUsage.rss()
    const begin = performance.now()
    const cpuOfComing = process.cpuUsage()
    yield* dial(tokens)
    const came = (performance.now() - begin) / 1000
    const { system, user } = process.cpuUsage(cpuOfComing)
    // Past the first pings, so that what they leave is counted.
    yield* Effect.sleep("5 seconds")
    const bytes = (yield* Effect.promise(h.liveBytes)) - bytesBefore
    const resident = process.memoryUsage.rss() - residentBefore
    const cpu = (yield* cpuShare(watched)) - cpuBefore
    const each = bytes / count
    const many = count.toLocaleString("en")
    return {
      rows: [
        ["", "figure", "aim"],
        [`live bytes of each of ${many} agents`, h.digits(each), `at most ${h.digits(maxBytes)}`],
        ["  resident bytes of each, in this run", h.digits(resident / count), ""],
        [`CPU of ${many} idle agents, of one core`, `${h.digits(cpu * 100)} %`, ""],
        ["  for each 1,000", `${h.digits(cpu * 100_000 / count)} %`, ""],
        [`${many} agents come at once, until all are attached`, `${h.digits(came)} s`, ""],
        ["  CPU for the coming of one", `${h.digits((system + user) / count)} µs`, ""]
      ],
      notes: ["live bytes: heap and buffers after forced collections, in a process that does nothing else"],
      failures: each > maxBytes ? [`${h.digits(each)} live bytes for each idle agent`] : []
    }
  })).pipe(Effect.provide(b.layerStores))
