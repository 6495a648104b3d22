/** Many nodes on the virtual clock, over NATS in memory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, type Scope, Stream } from "effect"
import type { AgentConnection } from "../../src/agent/AgentConnection.ts"
import { CloseCode } from "../../src/agent/Protocol.ts"
import * as Frame from "../../src/cluster/Frame.ts"
import * as Subjects from "../../src/cluster/Subjects.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import * as w from "./support/world.ts"

const test = (name: string, body: Effect.Effect<void, unknown, Scope.Scope>): void => {
  it.effect(name, () => Effect.scoped(body).pipe(Effect.provide(Logger.layer([]))), 20_000)
}

/** Two nodes, and an agent of the other one. */
const scene = Effect.fnUntraced(function*(options?: Parameters<typeof w.world>[0]) {
  const world = yield* w.world(options)
  const [here, there] = [yield* world.node(), yield* world.node()]
  const agentId = w.agentId()
  return { ...world, here, there, agentId }
})

const started = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

const isDone = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() !== undefined

/** Its result, once everybody has come to rest. */
const result = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  yield* w.settled(() => isDone(fiber))
  return yield* Effect.result(Fiber.join(fiber))
})

const ready = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  yield* w.settled(() => isDone(fiber))
  return yield* Fiber.join(fiber)
})

const failure = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, object>) {
  const answer = yield* result(fiber)
  return answer._tag === "Failure" ? answer.failure : assert.fail("it did not fail")
})

const opened = Effect.fnUntraced(function*(
  node: {
    readonly transport: { readonly dial: (id: AgentId) => Effect.Effect<AgentConnection, unknown, Scope.Scope> }
  },
  agentId: AgentId
) {
  return yield* ready(yield* started(node.transport.dial(agentId)))
})

/** Each node has had a sign of life of the other, and asked in the new tunnel whether that is there. */
const acquainted = Effect.andThen(w.pass("100 millis"), w.rest)

const requestsOf = (agent: w.Agent, tag: string) => agent.requests.filter((request) => request.tag === tag)

const unsaid = (world: { readonly nats: { readonly said: ReadonlyArray<{ readonly subject: string }> } }) =>
  world.nats.said.filter(({ subject }) => !subject.includes(".n.")).length

describe("an agent of this node", () => {
  test(
    "is dialed from memory, and nothing is said to others",
    Effect.gen(function*() {
      const { agentId, here, nats } = yield* scene()
      yield* here.attach(agentId, 1)
      const before = unsaid({ nats })
      const connection = yield* opened(here, agentId)
      assert.strictEqual((yield* ready(yield* started(connection.files.stat("x")))).name, "x")
      assert.strictEqual(unsaid({ nats }), before)
      assert.strictEqual(here.transport.presence(agentId), "live")
    })
  )

  test(
    "costs its node one subscription and the others none",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      yield* w.rest
      const [before, elsewhere] = [there.line.subjects().length, here.line.subjects().length]
      const agent = yield* there.attach(agentId, 1)
      assert.lengthOf(there.line.subjects(), before + 1)
      assert.lengthOf(here.line.subjects(), elsewhere)
      agent.vanish()
      yield* w.settled(() => there.line.subjects().length === before)
      yield* w.rest
      assert.isNull(there.transport.describe?.(agentId).session)
    })
  )
})

describe("an agent of another node", () => {
  test(
    "is dialed and called through that node",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      const connection = yield* opened(here, agentId)
      assert.strictEqual(connection.agentId, agentId)
      assert.deepStrictEqual(Array.from(connection.features), Array.from(agent.session.features))
      assert.strictEqual((yield* ready(yield* started(connection.files.stat("x")))).name, "x")
      assert.strictEqual(here.transport.presence(agentId), "live")
      assert.strictEqual(connection.liveness(), "live")
    })
  )

  test(
    "takes so many tunnels of other nodes, and no more",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene({ cluster: { tunnelsPerAgent: 1, idle: 0 } })
      const third = yield* node()
      yield* there.attach(agentId, 1)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* opened(here, agentId)
        const dial = yield* started(third.transport.dial(agentId))
        yield* w.pass("3 seconds")
        assert.isFalse(isDone(dial))
        yield* Fiber.interrupt(dial)
      }))
      yield* w.pass("2 seconds")
      yield* opened(third, agentId)
    })
  )

  test(
    "may answer as much as one of this node, also when its node says the same at more length",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene({ gateway: { frameLimit: 2000 } })
      const entry = `{"name":"x","type":"file","size":1,"modifiedAtMillis":1e20,"mode":0}`
      yield* there.attach(agentId, 1, {
        on: ({ id }, agent) =>
          agent.send(
            `{"_tag":"Exit","requestId":${JSON.stringify(id)},"exit":{"_tag":"Success","value":{"entries":[${
              Array.from({ length: 25 }, () => entry).join()
            }],"truncated":false}}}`
          )
      })
      const { files } = yield* opened(here, agentId)
      assert.lengthOf((yield* ready(yield* started(files.list("x")))).entries, 25)
    })
  )

  test(
    "shares one tunnel among all who dial it",
    Effect.gen(function*() {
      const { agentId, here, nats, there } = yield* scene()
      yield* there.attach(agentId, 1)
      for (const dial of yield* Effect.replicateEffect(started(here.transport.dial(agentId)), 10)) yield* ready(dial)
      const before = unsaid({ nats })
      yield* opened(here, agentId)
      assert.strictEqual(unsaid({ nats }), before)
    })
  )

  test(
    "may have any id",
    Effect.gen(function*() {
      const { here, there } = yield* scene()
      for (const [index, id] of ["a.b", "a.*", ">", "a b", "\u{1F600}", "ä", "=002e", "."].entries()) {
        const agentId = AgentId.make(id)
        yield* there.attach(agentId, 1, {
          on: (request, agent) => agent.answer(request.id, { ...w.stat, name: String(index) })
        })
        const { files } = yield* opened(here, agentId)
        assert.strictEqual((yield* ready(yield* started(files.stat("x")))).name, String(index))
      }
    })
  )

  test(
    "that is silent is in doubt here as well, although its node answers",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const connection = yield* opened(here, agentId)
      yield* w.pass("6 seconds")
      assert.strictEqual(connection.liveness(), "live")
      agent.mute(true)
      yield* w.pass("9 seconds")
      assert.strictEqual(connection.liveness(), "unknown")
      agent.mute(false)
      agent.session.confirmedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* w.pass("6 seconds")
      assert.strictEqual(connection.liveness(), "live")
      // Its heartbeats could not be recorded.
      agent.session.confirmedAt = undefined
      yield* w.pass("2 seconds")
      assert.strictEqual(connection.liveness(), "unknown")
      agent.session.confirmedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* w.pass("2 seconds")
      assert.strictEqual(connection.liveness(), "live")
    })
  )
})

describe("an agent that no node holds", () => {
  test(
    "is absent at once, and its dial waits",
    Effect.gen(function*() {
      const { agentId, here } = yield* scene()
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.settled(() => here.transport.presence(agentId) === "absent")
      yield* w.pass("1 minute", "1 second")
      assert.isFalse(isDone(dial))
      yield* Fiber.interrupt(dial)
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      // The pulse alone is left.
      assert.lengthOf(here.line.subjects(), 1)
    })
  )

  for (const where of ["here", "there"] as const) {
    test(
      `is there for all who wait as soon as it comes, ${where}`,
      Effect.gen(function*() {
        const nodes = yield* scene()
        const { agentId, here } = nodes
        const dials = yield* Effect.replicateEffect(started(here.transport.dial(agentId)), 3)
        yield* w.settled(() => here.transport.presence(agentId) === "absent")
        yield* nodes[where].attach(agentId, 1)
        for (const dial of dials) assert.strictEqual((yield* ready(dial)).agentId, agentId)
      })
    )
  }

  test(
    "is looked for every 2 s, should nobody have heard that it came",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.settled(() => here.transport.presence(agentId) === "absent")
      there.line.loseNext((subject) => subject.endsWith(".online"))
      yield* there.attach(agentId, 1)
      yield* w.pass(1999)
      assert.isFalse(isDone(dial))
      yield* w.pass(1)
      yield* ready(dial)
    })
  )

  test(
    "is not called absent within 2 s of its going, since it may be changing nodes",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const connection = yield* opened(here, agentId)
      agent.vanish()
      yield* w.settled(() => connection.liveness() === "closed")
      const call = yield* started(connection.files.stat("x"))
      yield* w.rest
      yield* w.pass(1999)
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      yield* w.pass(1)
      assert.strictEqual(here.transport.presence(agentId), "absent")
      yield* Fiber.interrupt(call)
    })
  )

  test(
    "that came in a version that is not served fails the dials of all nodes",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.settled(() => here.transport.presence(agentId) === "absent")
      there.sessions.incompatible(agentId, 0)
      assert.include(yield* failure(dial), { _tag: "DialFailed", reason: "incompatible" })
      // Its own node remembers it for a while, as without others.
      const later = yield* started(there.transport.dial(agentId))
      assert.include(yield* failure(later), { _tag: "DialFailed", reason: "incompatible" })
    })
  )
})

describe("a dial that is given up", () => {
  test(
    "while its session is made ready leaves no tunnel behind",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { processes } = yield* Effect.scoped(opened(here, agentId))
      const call = yield* started(processes.run({ id: w.operation(), argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Follow").length === 1)
      agent.vanish()
      yield* w.rest
      const before = there.line.subjects().length
      const [dial, next] = [
        yield* started(Effect.scoped(here.transport.dial(agentId))),
        yield* there.attach(agentId, 2, { on: () => undefined })
      ]
      yield* Fiber.interrupt(call)
      yield* w.settled(() => requestsOf(next, "Kill").length > 0 || isDone(dial))
      yield* Fiber.interrupt(dial)
      // The kill that is owed is given up in the end, and the idle tunnel with it.
      yield* w.pass("12 minutes", "1 second")
      assert.lengthOf(there.line.subjects(), before + 1)
    })
  )

  test(
    "while it asks leaves nothing behind",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene({ cluster: { idle: "1 second" } })
      yield* there.attach(agentId, 1)
      yield* w.rest
      const [own, others] = [here.line.subjects().length, there.line.subjects().length]
      for (let yields = 0; yields < 40; yields++) {
        const dial = yield* started(Effect.scoped(here.transport.dial(agentId)))
        for (let step = 0; step < yields; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(dial)
        yield* w.rest
        yield* w.pass("3 seconds", "500 millis")
        assert.lengthOf(here.line.subjects(), own, `after ${yields}`)
        assert.lengthOf(there.line.subjects(), others, `after ${yields}`)
      }
    })
  )
})

describe("the end of a session", () => {
  const ends = [
    ["lost", (agent: w.Agent) => agent.vanish(), "lost"],
    [
      "revoked",
      (agent: w.Agent) => agent.session.link.end({ reason: "revoked", code: CloseCode.revoked, detail: "" }),
      "revoked"
    ],
    [
      "ended by its node's shutdown",
      (agent: w.Agent) => agent.session.link.end({ reason: "shutdown", code: CloseCode.restarting, detail: "" }),
      "lost"
    ]
  ] as const
  for (const [name, end, expected] of ends) {
    test(
      `is known to others: ${name}`,
      Effect.gen(function*() {
        const { agentId, here, there } = yield* scene()
        const agent = yield* there.attach(agentId, 1)
        const connection = yield* opened(here, agentId)
        end(agent)
        assert.strictEqual(yield* ready(yield* started(connection.closed)), expected)
        assert.strictEqual(connection.liveness(), "closed")
      })
    )
  }

  test(
    "by an answer that breaks the protocol is found by the caller's node, and ends the agent's link",
    Effect.gen(
      function*() {
        const { agentId, here, there } = yield* scene()
        const agent = yield* there.attach(agentId, 1, {
          on: (request, agent) =>
            agent.answer(request.id, { entries: Array.from({ length: 1001 }, () => w.stat), truncated: true })
        })
        const { closed, files } = yield* opened(here, agentId)
        assert.include(yield* failure(yield* started(files.list("x"))), { _tag: "CallInterrupted" })
        assert.strictEqual(yield* ready(yield* started(closed)), "violation")
        yield* w.settled(() => agent.ended()?.code === CloseCode.violation)
      }
    )
  )

  test(
    "does not take an answer with it that came before",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      yield* there.attach(agentId, 1, {
        on: (request, agent) => {
          agent.answer(request.id, { _tag: "Running", end: 0 })
          agent.vanish()
        }
      })
      const { processes } = yield* opened(here, agentId)
      const call = yield* started(processes.signal(w.operation(), "SIGTERM"))
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
    })
  )

  test(
    "by one that does not decode is found by the holder",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: (request, agent) => agent.answer(request.id, "no stat") })
      const { files } = yield* opened(here, agentId)
      assert.include(yield* failure(yield* started(files.stat("x"))), { _tag: "CallInterrupted" })
      yield* w.settled(() => agent.ended()?.code === CloseCode.violation)
    })
  )
})

describe("what is known of an agent", () => {
  test(
    "for an operator: its session wherever that is, who waits, and what is called",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.pass("1 second")
      const waiting = here.transport.describe?.(agentId)
      assert.isNull(waiting?.session)
      assert.lengthOf(waiting?.waiters ?? [], 1)
      const agent = yield* there.attach(agentId, 7, { on: () => undefined })
      const { files } = yield* ready(dial)
      yield* started(files.stat("x"))
      yield* w.settled(() => requestsOf(agent, "Stat").length === 1)
      const called = here.transport.describe?.(agentId)
      assert.strictEqual(called?.session?.epoch, 7)
      assert.deepStrictEqual(called?.calls.map(({ method }) => method), ["stat"])
      assert.deepStrictEqual(here.transport.overview?.(10), { sessions: 1, waiters: 0, calls: 1, agents: [agentId] })
    })
  )
})

describe("two sessions of one agent", () => {
  test(
    "the newer one ends the other and its connections at once, wherever they are",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      const old = yield* there.attach(agentId, 1)
      const connections = [yield* opened(here, agentId), yield* opened(there, agentId), yield* opened(third, agentId)]
      yield* third.attach(agentId, 2)
      yield* w.settled(() => old.ended()?.reason === "replaced")
      for (const { closed } of connections) assert.strictEqual(yield* ready(yield* started(closed)), "replaced")
      const next = yield* opened(here, agentId)
      yield* ready(yield* started(next.files.stat("x")))
    })
  )

  test(
    "the newer one ends connections over a node that cannot say so",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      yield* there.attach(agentId, 1)
      const { closed } = yield* opened(here, agentId)
      yield* there.freeze
      yield* third.attach(agentId, 2)
      assert.strictEqual(yield* ready(yield* started(closed)), "replaced")
      const next = yield* opened(here, agentId)
      yield* ready(yield* started(next.files.stat("x")))
    })
  )

  test(
    "an older one that comes late is not lent",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      yield* there.attach(agentId, 2)
      const connection = yield* opened(here, agentId)
      const late = yield* here.attach(agentId, 1)
      yield* w.settled(() => late.ended()?.reason === "replaced")
      assert.notStrictEqual(connection.liveness(), "closed")
    })
  )

  test(
    "an older one is not lent to who has heard of a newer one, and hears of it",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.settled(() => here.transport.presence(agentId) === "absent")
      // It is there no more, or not to be reached.
      third.line.nats.publish(
        Subjects.make("chat-workspace").online(agentId),
        Frame.bodies.news.encode({ _tag: "Online", epoch: 2 })
      )
      yield* w.rest
      const older = yield* there.attach(agentId, 1)
      yield* w.settled(() => older.ended()?.reason === "replaced")
      assert.isFalse(isDone(dial))
      yield* third.attach(agentId, 2)
      yield* ready(dial)
    })
  )

  test(
    "one who did not hear of the newer one hears of it from whoever calls",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      const old = yield* there.attach(agentId, 1)
      third.line.loseNext((subject) => subject.endsWith(".online"))
      yield* third.attach(agentId, 2)
      yield* w.rest
      assert.isUndefined(old.ended())
      yield* opened(here, agentId)
      yield* w.settled(() => old.ended()?.reason === "replaced")
      const next = yield* opened(here, agentId)
      yield* ready(yield* started(next.files.stat("x")))
    })
  )
})

describe("a call on another node", () => {
  test(
    "is interrupted at the agent when its caller is",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { files } = yield* opened(here, agentId)
      const call = yield* started(files.stat("x"))
      yield* w.settled(() => requestsOf(agent, "Stat").length === 1)
      yield* Fiber.interrupt(call)
      yield* w.settled(() => requestsOf(agent, "Interrupt").length === 1)
    })
  )

  test(
    "that ran a command ends it when it is interrupted",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { processes } = yield* opened(here, agentId)
      for (const times of [1, 2]) {
        const call = yield* started(processes.run({ id: w.operation(), argv: ["x"] }))
        yield* w.settled(() => requestsOf(agent, "Follow").length === times)
        yield* Fiber.interrupt(call)
        yield* w.settled(() => requestsOf(agent, "Kill").length === times)
        yield* w.rest
      }
    })
  )

  test(
    "that is given up while its agent changes nodes ends its command there, once, before it is lent",
    Effect.gen(
      function*() {
        const { agentId, here, node, there } = yield* scene()
        const third = yield* node()
        const agent = yield* there.attach(agentId, 1)
        const { processes } = yield* opened(here, agentId)
        const call = yield* started(processes.run({ id: w.operation(), argv: ["x"] }))
        yield* w.settled(() => requestsOf(agent, "Follow").length === 1)
        agent.vanish()
        yield* w.rest
        yield* Fiber.interrupt(call)
        yield* w.rest
        const dial = yield* started(here.transport.dial(agentId))
        yield* third.attach(agentId, 2, { on: (_request, agent) => agent.vanish() })
        yield* w.rest
        const next = yield* third.attach(agentId, 3, { on: () => undefined })
        yield* w.pass("300 millis")
        yield* w.settled(() => requestsOf(next, "Kill").length === 1)
        yield* w.rest
        assert.isFalse(isDone(dial))
        for (const { id } of requestsOf(next, "Kill")) next.answer(id, { _tag: "Killed" })
        yield* ready(dial)
        yield* w.pass("1 second")
        assert.lengthOf(requestsOf(next, "Kill"), 1)
      }
    )
  )

  test(
    "goes on over its agent's next session, by its operation",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { processes } = yield* opened(here, agentId)
      const id = w.operation()
      const call = yield* started(processes.start({ id, argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      agent.vanish()
      yield* w.rest
      const next = yield* third.attach(agentId, 2)
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
      assert.deepStrictEqual(requestsOf(next, "Start").map(({ payload }) => payload), [
        { id, argv: ["x"], cwd: null, env: {} }
      ])
    })
  )

  test(
    "of an agent of this node goes on at the node to which that moves",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* here.attach(agentId, 1, { on: () => undefined })
      const { processes } = yield* opened(here, agentId)
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      // A node that drains takes no more agents; its own turns go on.
      yield* here.gateway.drain()
      yield* there.attach(agentId, 2)
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
      assert.strictEqual(agent.ended()?.reason, "replaced")
      yield* opened(here, agentId)
    })
  )

  test(
    "holds up the drain of the node that it is made on, and not that of the agent's",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { files } = yield* opened(here, agentId)
      const call = yield* started(files.stat("x"))
      yield* w.settled(() => requestsOf(agent, "Stat").length === 1)
      assert.deepStrictEqual([here.callsInFlight(), there.callsInFlight()], [1, 0])
      for (const { id } of requestsOf(agent, "Stat")) agent.answer(id, w.stat)
      yield* ready(call)
      assert.strictEqual(here.callsInFlight(), 0)
    })
  )

  test(
    "that its agent interrupts is asked again, as on one node",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const interruption = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: 1 }] }
      const agent = yield* there.attach(agentId, 1, {
        on: (request, agent) => {
          if (requestsOf(agent, "Stat").length > 1) return w.answering(request, agent)
          agent.send({ _tag: "Exit", requestId: request.id, exit: interruption })
        }
      })
      const { files } = yield* opened(here, agentId)
      const call = yield* started(files.stat("x"))
      yield* w.rest
      assert.isFalse(isDone(call))
      yield* w.pass("100 millis")
      assert.strictEqual((yield* ready(call)).name, "x")
      assert.lengthOf(requestsOf(agent, "Stat"), 2)
    })
  )

  test(
    "is not repeated to another incarnation",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { processes } = yield* opened(here, agentId)
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      agent.vanish()
      yield* w.rest
      const next = yield* there.attach(agentId, 2, { incarnation: "two" })
      assert.include(yield* failure(call), { _tag: "CallInterrupted", sent: "mayHaveRun" })
      assert.lengthOf(requestsOf(next, "Start"), 0)
    })
  )

  test(
    "whose reader takes nothing holds its agent up, and no other call",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const chunk = (id: number, offset: number) => ({
        _tag: "Chunk",
        requestId: id,
        values: [{ _tag: "Data", offset, stream: "stdout", bytes: btoa("x") }]
      })
      let follow = 0
      const agent = yield* there.attach(agentId, 1, {
        on: (request, agent) => {
          if (request.tag !== "Follow") return w.answering(request, agent)
          follow = request.id
          agent.send(chunk(follow, 0))
        }
      })
      const connection = yield* opened(here, agentId)
      yield* started(Stream.runForEach(connection.processes.follow(w.operation()), () => Effect.never))
      // A chunk for each acknowledgement, as an agent does.
      let acknowledged = 0
      for (let round = 0; round < 40; round++) {
        yield* w.rest
        const acks = requestsOf(agent, "Ack").length
        if (acks > acknowledged) agent.send(chunk(follow, ++acknowledged))
      }
      assert.isAtLeast(acknowledged, 1)
      assert.isAtMost(acknowledged, 8)
      assert.strictEqual((yield* ready(yield* started(connection.files.stat("x")))).name, "x")
    })
  )
})

describe("a node that dies", () => {
  test(
    "is known by the next sign of life, and its agent's call goes on elsewhere",
    Effect.gen(function*() {
      const { agentId, here, node, there } = yield* scene()
      const third = yield* node()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { closed, processes } = yield* opened(here, agentId)
      const id = w.operation()
      const call = yield* started(processes.start({ id, argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      there.line.die()
      yield* w.pass("50 millis")
      assert.strictEqual(yield* ready(yield* started(closed)), "lost")
      yield* third.attach(agentId, 2)
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
    })
  )

  test(
    "and called an agent of this one leaves nothing behind",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const before = there.line.subjects().length
      const { files } = yield* opened(here, agentId)
      yield* started(files.stat("x"))
      yield* w.settled(() => requestsOf(agent, "Stat").length === 1)
      here.line.die()
      yield* w.pass("50 millis")
      yield* w.settled(() => requestsOf(agent, "Interrupt").length === 1 && there.line.subjects().length === before)
    })
  )

  test(
    "of its own will tells those who wait, and those who call its agents",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const other = w.agentId()
      yield* there.attach(agentId, 1, { on: () => undefined })
      yield* here.attach(other, 1, { on: () => undefined })
      const { closed } = yield* opened(here, agentId)
      const own = yield* opened(there, other)
      const call = yield* started(own.processes.start({ id: w.operation(), argv: ["x"] }))
      const dial = yield* started(there.transport.dial(w.agentId()))
      yield* w.rest
      yield* there.close
      assert.include(yield* failure(dial), { _tag: "DialFailed", reason: "shutdown" })
      assert.strictEqual(yield* ready(yield* started(closed)), "lost")
      assert.strictEqual(yield* ready(yield* started(own.closed)), "shutdown")
      assert.include(yield* failure(call), { _tag: "CallInterrupted", sent: "mayHaveRun" })
    })
  )
})

describe("a node that stands still", () => {
  test(
    "is given up after 2 s, and does not run afterwards what was sent to it",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { closed, processes } = yield* opened(here, agentId)
      yield* w.pass("1 second")
      yield* there.freeze
      const call = yield* started(processes.signal(w.operation(), "SIGTERM"))
      yield* w.pass("1900 millis")
      assert.isFalse(isDone(call))
      yield* w.pass("200 millis")
      assert.include(yield* failure(call), { _tag: "CallInterrupted", sent: "mayHaveRun" })
      assert.strictEqual(yield* ready(yield* started(closed)), "lost")
      yield* there.thaw
      yield* w.pass("1 second")
      assert.lengthOf(requestsOf(agent, "Signal"), 0)
      // It holds the agent still, and can be asked again.
      yield* opened(here, agentId)
    })
  )

  test(
    "runs nothing of what comes after its first tick either",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { processes } = yield* opened(here, agentId)
      yield* w.pass("1 second")
      yield* there.freeze
      const call = yield* started(processes.signal(w.operation(), "SIGTERM"))
      yield* w.pass("3 seconds")
      yield* result(call)
      // Its timers first: the rest of what was sent is read later.
      yield* there.run
      yield* w.pass("200 millis")
      yield* there.thaw
      yield* w.pass("1 second")
      assert.lengthOf(requestsOf(agent, "Signal"), 0)
    })
  )

  test(
    "takes nobody for dead but itself: what waits there goes on waiting",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const dial = yield* started(there.transport.dial(agentId))
      yield* w.settled(() => there.transport.presence(agentId) === "absent")
      yield* there.freeze
      yield* w.pass("10 seconds", "1 second")
      yield* there.run
      yield* w.pass("50 millis")
      yield* there.thaw
      yield* w.pass("1 second")
      assert.isFalse(isDone(dial))
      yield* here.attach(agentId, 1)
      yield* ready(dial)
    })
  )

  test(
    "for a moment answers a question that was sent again meanwhile only once",
    Effect.gen(function*() {
      const { agentId, here, nats, there } = yield* scene()
      yield* there.attach(agentId, 1)
      yield* there.freeze
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.rest
      yield* w.pass("500 millis")
      assert.lengthOf(nats.said.filter(({ subject }) => subject.endsWith(".open")), 3)
      yield* there.thaw
      yield* ready(dial)
      yield* w.rest
      const accepted = nats.said.filter(({ data, subject }) =>
        subject.includes(".t.") && Frame.decode(data)?.kind === "Accept"
      )
      assert.lengthOf(accepted, 1)
    })
  )

  test(
    "does not accept a question for a session that has ended meanwhile",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      there.line.hold()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.rest
      agent.vanish()
      yield* w.settled(() => agent.ended() !== undefined)
      there.line.release()
      yield* w.rest
      assert.isFalse(isDone(dial))
      yield* there.attach(agentId, 2)
      const { files } = yield* ready(dial)
      yield* ready(yield* started(files.stat("x")))
    })
  )

  test(
    "is asked by those who dial its agent, every 200 ms, and anew every second",
    Effect.gen(function*() {
      const { agentId, here, nats, there } = yield* scene()
      yield* there.attach(agentId, 1)
      yield* there.freeze
      const dial = yield* started(here.transport.dial(agentId))
      const questions = () => nats.said.filter(({ subject }) => subject.endsWith(".open"))
      const askers = () => new Set(questions().map(({ reply }) => reply)).size
      yield* w.settled(() => questions().length === 1)
      yield* w.pass("199 millis", "1 millis")
      assert.lengthOf(questions(), 1)
      yield* w.pass("1 millis")
      assert.lengthOf(questions(), 2)
      yield* w.pass("799 millis", "1 millis")
      assert.strictEqual(askers(), 1)
      yield* w.pass("1 millis")
      assert.strictEqual(askers(), 2)
      yield* w.pass("10 seconds")
      assert.isFalse(isDone(dial))
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      yield* there.thaw
      yield* w.pass("2 seconds")
      // And not by a tunnel that the node's first tick ends.
      const connection = yield* ready(dial)
      yield* w.pass("1 second")
      assert.notStrictEqual(connection.liveness(), "closed")
    })
  )
})

describe("NATS that is lost", () => {
  test(
    "for less than 1 s ends nothing",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      yield* there.attach(agentId, 1)
      const connection = yield* opened(here, agentId)
      here.line.disconnect()
      yield* w.rest
      yield* w.pass("900 millis")
      assert.notStrictEqual(connection.liveness(), "closed")
      here.line.reconnect()
      yield* w.rest
      yield* w.pass("3 seconds")
      assert.notStrictEqual(connection.liveness(), "closed")
      yield* ready(yield* started(connection.files.stat("x")))
    })
  )

  test(
    "for 1 s ends what goes over it; dials fail at once; agents of the node work on; all comes back",
    Effect.gen(
      function*() {
        const { agentId, here, there } = yield* scene()
        const own = w.agentId()
        yield* there.attach(agentId, 1)
        yield* here.attach(own, 1)
        const connection = yield* opened(here, agentId)
        const local = yield* opened(here, own)
        const waiting = yield* started(here.transport.dial(w.agentId()))
        here.line.disconnect()
        yield* w.rest
        yield* w.pass("1100 millis")
        assert.strictEqual(yield* ready(yield* started(connection.closed)), "lost")
        assert.include(yield* failure(waiting), { _tag: "DialFailed", reason: "refused" })
        assert.include(yield* failure(yield* started(here.transport.dial(agentId))), {
          _tag: "DialFailed",
          reason: "refused"
        })
        yield* ready(yield* started(local.files.stat("x")))
        yield* opened(here, own)
        yield* w.pass("5 seconds")
        here.line.reconnect()
        yield* w.rest
        const again = yield* opened(here, agentId)
        yield* w.pass("1 second")
        assert.notStrictEqual(again.liveness(), "closed")
        yield* ready(yield* started(again.files.stat("x")))
      }
    )
  )

  test(
    "makes nobody absent",
    Effect.gen(function*() {
      const { agentId, here, nats, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { files } = yield* opened(here, agentId)
      agent.vanish()
      // A call in flight goes on waiting within its deadline.
      const call = yield* started(files.stat("x"))
      yield* w.rest
      yield* w.pass("3 seconds")
      assert.strictEqual(here.transport.presence(agentId), "absent")
      here.line.disconnect()
      yield* w.rest
      yield* w.pass("1100 millis")
      assert.strictEqual(here.transport.presence(agentId), "unknown")
      assert.isFalse(isDone(call))
      // It asks nobody meanwhile.
      yield* w.pass("1 second")
      const before = nats.said.length
      yield* w.pass("2 seconds")
      assert.lengthOf(nats.said.slice(before).filter(({ subject }) => subject.endsWith(".open")), 0)
      here.line.reconnect()
      yield* w.rest
      yield* there.attach(agentId, 2)
      assert.strictEqual((yield* ready(call)).name, "x")
    })
  )

  test(
    "is found out within 2 s when it hangs without a word",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      yield* there.attach(agentId, 1)
      const connection = yield* opened(here, agentId)
      yield* w.pass("1 second")
      here.line.hang(true)
      yield* w.pass("1900 millis")
      assert.notStrictEqual(connection.liveness(), "closed")
      yield* w.pass("300 millis")
      assert.strictEqual(connection.liveness(), "closed")
      assert.include(yield* failure(yield* started(here.transport.dial(agentId))), {
        _tag: "DialFailed",
        reason: "refused"
      })
      here.line.hang(false)
      yield* w.pass("200 millis")
      yield* opened(here, agentId)
    })
  )

  test(
    "with a frame is noticed when it is back; the call is asked for again and runs once",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { closed, processes } = yield* opened(here, agentId)
      yield* acquainted
      here.line.loseNext((subject) => subject.includes(".t."))
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.rest
      assert.isFalse(isDone(call))
      here.line.disconnect()
      here.line.reconnect()
      assert.strictEqual(yield* ready(yield* started(closed)), "lost")
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
      assert.lengthOf(requestsOf(agent, "Start"), 1)
    })
  )

  test(
    "with an answer is noticed too",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { processes } = yield* opened(here, agentId)
      yield* acquainted
      there.line.loseNext((subject) => subject.includes(".t."))
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      yield* w.rest
      here.line.disconnect()
      here.line.reconnect()
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
    })
  )

  test(
    "in which one end is left alone is known by the next sign of life: the other could not say that it ended",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, { on: () => undefined })
      const { closed, processes } = yield* opened(here, agentId)
      yield* acquainted
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      there.line.disconnect()
      yield* w.rest
      for (const { id } of requestsOf(agent, "Start")) agent.answer(id, { _tag: "Running", end: 0 })
      yield* w.rest
      there.line.reconnect()
      yield* w.rest
      assert.isFalse(isDone(call))
      yield* w.pass("50 millis")
      assert.strictEqual(yield* ready(yield* started(closed)), "lost")
      yield* w.settled(() => requestsOf(agent, "Start").length === 2)
      for (const { id } of requestsOf(agent, "Start").slice(1)) agent.answer(id, { _tag: "Running", end: 0 })
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
    })
  )

  test(
    "lets nothing be written into it",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1)
      const { processes } = yield* opened(here, agentId)
      here.line.disconnect()
      yield* w.rest
      const call = yield* started(processes.start({ id: w.operation(), argv: ["x"] }))
      yield* w.rest
      here.line.reconnect()
      yield* w.pass("200 millis")
      assert.deepStrictEqual(yield* ready(call), { _tag: "Running", end: 0 })
      assert.lengthOf(requestsOf(agent, "Start"), 1)
    })
  )

  test(
    "and back tells the others again who is here",
    Effect.gen(function*() {
      const { agentId, here, there } = yield* scene()
      const dial = yield* started(here.transport.dial(agentId))
      yield* w.settled(() => here.transport.presence(agentId) === "absent")
      there.line.disconnect()
      yield* w.rest
      yield* there.attach(agentId, 1)
      there.line.reconnect()
      yield* ready(dial)
    })
  )
})

describe("a tunnel without users", () => {
  test(
    "is kept for 30 s, and not ended while there are any",
    Effect.gen(function*() {
      const { agentId, here, nats, there } = yield* scene()
      const agent = yield* there.attach(agentId, 1, {
        on: (request, agent) => request.tag === "Kill" ? w.answering(request, agent) : undefined
      })
      const connection = yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* opened(here, agentId)
        yield* w.pass("40 seconds", "1 second")
        assert.notStrictEqual(connection.liveness(), "closed")
        return connection
      }))
      // A call may outlive its connection.
      const call = yield* started(connection.processes.run({ id: w.operation(), argv: ["x"] }, { timeout: "1 hour" }))
      yield* w.settled(() => requestsOf(agent, "Start").length === 1)
      yield* w.pass("40 seconds", "1 second")
      assert.notStrictEqual(connection.liveness(), "closed")
      yield* Fiber.interrupt(call)
      yield* w.pass("29 seconds", "1 second")
      assert.notStrictEqual(connection.liveness(), "closed")
      yield* w.pass("2 seconds", "1 second")
      assert.strictEqual(connection.liveness(), "closed")
      assert.isUndefined(agent.ended())
      assert.isNull(here.transport.describe?.(agentId).session)
      // Nor do the nodes ask each other for signs of life any more.
      yield* w.rest
      const asked = () =>
        nats.said.filter(({ reply, subject }) =>
          subject.endsWith(".ask") && reply?.split(".").at(-3) !== subject.split(".").at(-2)
        )
      const before = asked().length
      assert.isAbove(before, 0)
      yield* w.pass("1 second")
      assert.lengthOf(asked(), before)
    })
  )
})
