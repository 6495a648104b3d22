import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Redacted,
  Scope,
  Stream,
  Tracer
} from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { AgentGateway, AgentTransport, GatewayConfig, Protocol } from "../../src/agent/index.ts"
import type { AgentConnection } from "../../src/agent/index.ts"
import type { FilesError } from "../../src/domain/Errors.ts"
import { AgentId, NodeId } from "../../src/domain/Ids.ts"
import { AgentToken } from "../../src/domain/index.ts"
import { AgentPresence, MemoryStore } from "../../src/store/index.ts"
import * as h from "./support/harness.ts"

type Files = AgentConnection.AgentConnection["files"]

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, quiet])))
}

const lines: Array<string> = []

const quiet = Logger.layer([Logger.make(({ message }) => {
  lines.push(JSON.stringify(message))
})])

const logged = (text: string): number => lines.filter((line) => line.includes(text)).length

describe("identity", () => {
  live("a malformed token is refused without a query", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { token } = yield* h.enroll()
      const mangled = `${Redacted.value(token).slice(0, -1)}${Redacted.value(token).endsWith("0") ? "1" : "0"}`
      const before = lines.length
      for (const wrong of [undefined, Redacted.make("nonsense"), Redacted.make(mangled)]) {
        const { status } = yield* h.connect(port, wrong)
        assert.strictEqual(status, 401)
      }
      assert.strictEqual(control.verified, 0)
      assert.strictEqual(lines.length - before, 3)
      assert.strictEqual(lines.slice(before).filter((line) => line.includes(mangled.slice(10, 30))).length, 0)
    }))

  live("an unknown agent, a foreign secret and a revoked token are refused", () =>
    Effect.gen(function*() {
      const { port } = yield* h.start()
      const mine = yield* h.enroll()
      const other = yield* h.enroll()
      const secretOf = (token: Redacted.Redacted<string>) => {
        const parsed = AgentToken.parse(token)
        return parsed._tag === "Some" ? parsed.value.secret : Redacted.make(new Uint8Array(32))
      }
      const forged = AgentToken.format({ agentId: mine.agentId, secret: secretOf(other.token) })
      const unknown = AgentToken.format({ agentId: AgentId.make("nobody"), secret: secretOf(other.token) })
      assert.strictEqual((yield* h.connect(port, forged)).status, 401)
      assert.strictEqual((yield* h.connect(port, unknown)).status, 401)
      assert.strictEqual((yield* h.connect(port, mine.token)).status, "open")
      yield* h.enroll(mine.workspaceId)
      assert.strictEqual((yield* h.connect(port, mine.token)).status, 401)
      assert.strictEqual((yield* h.connect(port, other.token)).status, "open")
    }))

  live("another subprotocol is not an agent, another version of ours is asked by hello", () =>
    Effect.gen(function*() {
      const { port } = yield* h.start()
      const { token } = yield* h.enroll()
      assert.strictEqual((yield* h.connect(port, token, { protocols: "graphql-ws" })).status, 400)
      assert.strictEqual((yield* h.connect(port, token, { protocols: "chat-workspace.v2" })).status, "open")
    }))

  live("a store that fails or hangs is answered 503 with a time to come back", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port } = yield* h.start({ storeTimeout: "100 millis" }).pipe(
        Effect.provideService(AgentPresence.AgentPresence, presence)
      )
      const { token } = yield* h.enroll()
      control.mode = "fails"
      assert.strictEqual((yield* h.connect(port, token)).status, 503)
      control.mode = "hangs"
      assert.strictEqual((yield* h.connect(port, token)).status, 503)
      const response = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${port}/agent`, {
          headers: { "sec-websocket-protocol": Protocol.subprotocol, authorization: `Bearer ${Redacted.value(token)}` }
        })
      )
      assert.strictEqual(response.status, 503)
      assert.strictEqual(response.headers.get("retry-after"), "1")
      control.mode = "works"
      assert.strictEqual((yield* h.connect(port, token)).status, "open")
    }))

  live("sockets that have not said hello are limited, and give their place back", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start({ unauthenticated: 2, helloTimeout: "300 millis" })
      const agents = yield* Effect.forEach([1, 2, 3], () => h.enroll())
      const [first, second, third] = agents
      if (first === undefined || second === undefined || third === undefined) return assert.fail()
      const silent = yield* h.connect(port, first.token, { hello: "silent" })
      yield* h.connect(port, second.token, { hello: "silent" })
      assert.strictEqual((yield* h.connect(port, third.token)).status, 503)
      assert.strictEqual((yield* silent.agent.closed).code, Protocol.CloseCode.violation)
      yield* h.until(() => transport.presence(first.agentId) !== "live")
      assert.strictEqual((yield* h.connect(port, third.token)).status, "open")
      yield* transport.dial(third.agentId)
      // An attached agent does not count.
      yield* h.connect(port, first.token, { hello: "silent" })
      assert.strictEqual((yield* h.connect(port, second.token)).status, "open")
    }))

  live("tokens are in no log line", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      yield* transport.dial(agentId)
      agent.socket.terminate()
      yield* h.until(() => transport.presence(agentId) !== "live")
      assert.strictEqual(logged(Redacted.value(token).split(".")[2] ?? ""), 0)
    }))
})

describe("hello and attach", () => {
  live("nothing is sent or lent before hello and attach", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port, transport } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token, { hello: "silent" })
      yield* h.until(() => agent.requests.length === 1)
      const dial = yield* Effect.forkChild(transport.dial(agentId))
      const hello = agent.requests[0]
      assert.strictEqual(hello?.tag, "Hello")
      assert.strictEqual(control.attached, 0)
      control.mode = "hangs"
      agent.answer(hello?.id ?? 0, h.helloAnswer)
      yield* h.until(() => control.attached === 1)
      assert.strictEqual(dial.pollUnsafe(), undefined)
      assert.strictEqual(agent.requests.length, 1)
      yield* Fiber.interrupt(dial)
    }))

  live("a parked dial is woken at attach and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      const dials = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(transport.dial(agentId)))
      yield* h.until(() => (transport.describe?.(agentId).waiters.length ?? -1) === 3)
      const [first] = dials
      if (first !== undefined) yield* Fiber.interrupt(first)
      assert.strictEqual(transport.describe?.(agentId).waiters.length ?? -1, 2)
      yield* h.connect(port, token)
      for (const dial of dials.slice(1)) {
        assert.strictEqual((yield* Fiber.join(dial)).liveness(), "live")
      }
      assert.strictEqual(transport.describe?.(agentId).waiters.length ?? -1, 0)
      assert.strictEqual(transport.presence(agentId), "live")
    }))

  live(
    "an incompatible version fails waiting dials and those to come at once, and tells the agent",
    () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start()
        const { agentId, token } = yield* h.enroll()
        const waiting = yield* Effect.forkChild(Effect.flip(transport.dial(agentId)))
        yield* Effect.yieldNow
        const { agent } = yield* h.connect(port, token, { hello: { version: 7 } })
        assert.strictEqual((yield* Fiber.join(waiting)).reason, "incompatible")
        assert.strictEqual((yield* Effect.flip(transport.dial(agentId))).reason, "incompatible")
        assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.incompatible)
        // A compatible one makes it good again.
        yield* h.connect(port, token)
        yield* h.until(() => transport.presence(agentId) === "live")
        yield* transport.dial(agentId)
      })
  )

  live("a hello that is not one is a violation", () =>
    Effect.gen(function*() {
      const { port } = yield* h.start()
      const { token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token, { hello: { protocol: "other" as typeof Protocol.name } })
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
    }))

  live("a store that cannot record the session keeps the agent trying", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token, {
        hello: "silent",
        on: ({ id }, agent) => {
          control.mode = "fails"
          agent.answer(id, h.helloAnswer)
        }
      })
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.restarting)
    }))

  live("a feature that the agent did not name is unsupported", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      yield* h.connect(port, token, { hello: { features: ["run", "somethingNew"] } })
      const connection = yield* transport.dial(agentId)
      assert.deepStrictEqual(Array.from(connection.features), ["run"])
      const error = yield* Effect.flip(connection.files.stat("/"))
      assert.strictEqual(error._tag, "Unsupported")
    }))
})

describe("newest wins", () => {
  live("a newer link of the same incarnation replaces the old one at once", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      const old = yield* h.connect(port, token)
      const first = yield* transport.dial(agentId)
      yield* h.connect(port, token)
      assert.strictEqual((yield* old.agent.closed).code, Protocol.CloseCode.replaced)
      assert.strictEqual(yield* first.closed, "replaced")
      assert.strictEqual(first.liveness(), "closed")
      const second = yield* transport.dial(agentId)
      assert.strictEqual(second.liveness(), "live")
    }))

  live(
    "another incarnation displaces; more than three changes in the window are a conflict",
    () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start({ conflictChanges: 3, conflictWindow: "5 minutes" })
        const { agentId, token } = yield* h.enroll()
        let last = yield* h.connect(port, token, { hello: { incarnation: "first" } })
        yield* transport.dial(agentId)
        for (const incarnation of ["second", "third", "fourth"]) {
          const next = yield* h.connect(port, token, { hello: { incarnation } })
          assert.strictEqual((yield* last.agent.closed).code, Protocol.CloseCode.displaced)
          last = next
        }
        const before = logged("identity_conflict")
        const fifth = yield* h.connect(port, token, { hello: { incarnation: "fifth" } })
        assert.strictEqual((yield* fifth.agent.closed).code, Protocol.CloseCode.displaced)
        assert.strictEqual(logged("identity_conflict") - before, 1)
        // Who holds the agent keeps it, and may come back itself.
        assert.strictEqual((yield* transport.dial(agentId)).liveness(), "live")
        yield* h.connect(port, token, { hello: { incarnation: "fourth" } })
        assert.strictEqual((yield* last.agent.closed).code, Protocol.CloseCode.replaced)
      })
  )
})

describe("the heartbeat", () => {
  live("revoked and replaced sessions are closed, others live on", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const store = yield* MemoryStore.MemoryStore
      const [revoked, replaced, fine] = yield* Effect.forEach([1, 2, 3], () => h.enroll())
      if (revoked === undefined || replaced === undefined || fine === undefined) return assert.fail()
      const sockets = yield* Effect.forEach([revoked, replaced, fine], ({ token }) => h.connect(port, token))
      const connections = yield* Effect.forEach([revoked, replaced, fine], ({ agentId }) => transport.dial(agentId))
      yield* h.enroll(revoked.workspaceId)
      const row = store.agents.get(replaced.agentId)
      if (row !== undefined) {
        store.agents.set(replaced.agentId, { ...row, epoch: row.epoch + 1, nodeId: NodeId.make("other") })
      }
      assert.strictEqual((yield* sockets[0]?.agent.closed ?? Effect.die("none")).code, Protocol.CloseCode.revoked)
      assert.strictEqual((yield* sockets[1]?.agent.closed ?? Effect.die("none")).code, Protocol.CloseCode.replaced)
      assert.strictEqual(yield* connections[0]?.closed ?? Effect.die("none"), "revoked")
      assert.strictEqual(yield* connections[1]?.closed ?? Effect.die("none"), "replaced")
      assert.strictEqual(connections[2]?.liveness(), "live")
      // What the newer session wrote is not overwritten by the end of this one.
      assert.strictEqual(store.agents.get(replaced.agentId)?.agent.disconnectedAt, null)
    }))

  live("a store that fails or hangs drops no connection, only its confirmation", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port, transport } = yield* h.start({ storeTimeout: "100 millis" }).pipe(
        Effect.provideService(AgentPresence.AgentPresence, presence)
      )
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      const connection = yield* transport.dial(agentId)
      const before = logged("Heartbeats cannot be recorded")
      for (const mode of ["fails", "hangs"] as const) {
        control.mode = mode
        const beats = control.beats.length
        yield* h.until(() => control.beats.length >= beats + 3)
        assert.strictEqual(connection.liveness(), "unknown")
      }
      assert.strictEqual(logged("Heartbeats cannot be recorded") - before, 1)
      assert.strictEqual(agent.socket.readyState, 1)
      assert.strictEqual((yield* transport.dial(agentId)).agentId, agentId)
      control.mode = "works"
      yield* h.until(() => connection.liveness() === "live")
    }))

  live(
    "all sessions go in one call, in the order of their ids, and a lost one is detached once",
    () =>
      Effect.gen(function*() {
        const { control, presence } = yield* h.switchable
        const { port, transport } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
        const enrolled = yield* Effect.forEach([1, 2, 3, 4, 5], () => h.enroll())
        const sockets = yield* Effect.forEach(enrolled.toReversed(), ({ token }) => h.connect(port, token))
        yield* Effect.forEach(enrolled, ({ agentId }) => transport.dial(agentId))
        // One that is replaced has a successor: nothing is written for it.
        const [first] = enrolled
        if (first !== undefined) yield* h.connect(port, first.token)
        yield* sockets[4]?.agent.closed ?? Effect.die("none")
        const beats = control.beats.length
        yield* h.until(() => control.beats.length >= beats + 2)
        const ids = control.beats.at(-1)?.sessions.map(({ agentId }) => agentId) ?? []
        assert.deepStrictEqual(ids, enrolled.map(({ agentId }) => agentId).sort())
        const ages = control.beats.at(-1)?.sessions.map(({ age }) => Duration.toMillis(age)) ?? []
        assert.isTrue(ages.every((age) => age >= 0 && age < 1000))
        sockets[0]?.agent.socket.terminate()
        yield* h.until(() => control.detached.length === 1)
        assert.deepStrictEqual(control.detached, [{ agentId: enrolled[4]?.agentId ?? AgentId.make("none"), epoch: 1 }])
      })
  )

  live("a dial of an agent that another node holds fails within a heartbeat", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { transport } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { agentId } = yield* h.enroll()
      control.elsewhere = [agentId]
      const error = yield* Effect.flip(transport.dial(agentId)).pipe(Effect.timeout("2 seconds"))
      assert.strictEqual(error._tag === "DialFailed" ? error.reason : error._tag, "sessionOnOtherNode")
    }))
})

describe("what an agent may not do", () => {
  const beside = (misbehave: (agent: h.ScriptedAgent, id: number) => void, ownFault: boolean) =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const bad = yield* h.enroll()
      const good = yield* h.enroll()
      const { agent } = yield* h.connect(port, bad.token, { on: ({ id }, agent) => misbehave(agent, id) })
      const asked = Deferred.makeUnsafe<number>()
      const other = yield* h.connect(port, good.token, {
        on: ({ id }) => Deferred.doneUnsafe(asked, Effect.succeed(id))
      })
      const mine = yield* transport.dial(bad.agentId)
      const theirs = yield* transport.dial(good.agentId)
      const call = yield* Effect.forkChild(theirs.files.stat("/"))
      const id = yield* Deferred.await(asked)
      const spoilt = yield* Effect.forkChild(Effect.flip(mine.processes.output(h.operation())))
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      assert.strictEqual(yield* mine.closed, "violation")
      // A bad answer is the end of its call; a call that was only near may be asked again on another link.
      if (ownFault) assert.strictEqual((yield* Fiber.join(spoilt))._tag, "CallInterrupted")
      else assert.strictEqual(spoilt.pollUnsafe(), undefined)
      other.agent.answer(id, { name: "/", type: "directory", size: 0, modifiedAtMillis: 0, mode: 0 })
      assert.strictEqual((yield* Fiber.join(call)).type, "directory")
      assert.strictEqual(theirs.liveness(), "live")
    }).pipe(Effect.timeout("4 seconds"))

  const chunk = (id: number, ...values: ReadonlyArray<unknown>) => ({ _tag: "Chunk", requestId: id, values })
  const data = (offset: number, length: number) => ({
    _tag: "Data",
    offset,
    stream: "stdout",
    bytes: Buffer.alloc(length).toString("base64")
  })

  const violations: ReadonlyArray<readonly [string, boolean, (agent: h.ScriptedAgent, id: number) => void]> = [
    ["a frame that does not parse", false, (agent) => agent.send("garbage\n")],
    ["a frame that is no answer", false, (agent) => agent.send({ _tag: "Request", id: 1, tag: "Hello", payload: {} })],
    ["a defect for all calls", false, (agent) => agent.send({ _tag: "Defect", defect: "everything" })],
    ["a frame that is too large", false, (agent) => agent.send("{\"_tag\":\"Pong\"}\n".repeat(70_000))],
    ["a line without end", false, (agent) => {
      for (let part = 0; part < 3; part++) agent.send("x".repeat(600 * 1024))
    }],
    ["an answer of another type", true, (agent, id) => agent.send(chunk(id, { _tag: "Data", offset: -1 }))],
    ["a chunk that is too large", true, (agent, id) => agent.send(chunk(id, data(0, Protocol.chunkLimit + 1)))],
    ["a gap that goes back", true, (agent, id) => agent.send(chunk(id, { _tag: "Gap", from: 9, to: 3 }))],
    ["output without a state at its end", true, (agent, id) => agent.answer(id, null)],
    ["output after the end", true, (agent, id) => {
      agent.send(chunk(id, { _tag: "Exited", end: 0, code: 0, signal: null }, data(0, 1)))
    }],
    ["chunks ahead of their reader", false, (agent, id) => {
      for (let count = 0; count < 20; count++) agent.send(chunk(id, data(count, 1), data(count, 1), data(count, 1)))
    }]
  ]

  for (const [name, ownFault, misbehave] of violations) {
    live(`${name} ends its session, and no call of another`, () => beside(misbehave, ownFault))
  }

  const head = { _tag: "Head", size: 9, version: "v" }
  const part = (length: number) => ({ _tag: "Part", bytes: Buffer.alloc(length).toString("base64") })
  const entry = (name: string) => ({ name, type: "file", size: 0, modifiedAtMillis: 0, mode: 0 })

  const answers: ReadonlyArray<
    readonly [
      string,
      (files: Files) => Effect.Effect<unknown, FilesError>,
      (agent: h.ScriptedAgent, id: number) => void
    ]
  > = [
    ["more of a file than was asked for", (files) => files.read("x", { limit: 9 }), (agent, id) => {
      agent.send(chunk(id, head, part(5), part(5)))
    }],
    ["content before the head of its file", (files) => files.read("x"), (agent, id) => {
      agent.send(chunk(id, part(1), head))
    }],
    ["two heads of one file", (files) => files.read("x"), (agent, id) => agent.send(chunk(id, head, head))],
    ["a file without a head", (files) => files.read("x"), (agent, id) => agent.answer(id, null)],
    ["parts of nothing", (files) => files.read("x"), (agent, id) => agent.send(chunk(id, head, part(0)))],
    ["a listing that is too long", (files) => files.list("x"), (agent, id) => {
      agent.answer(id, { entries: Array.from({ length: 1001 }, (_, index) => entry(`${index}`)), truncated: true })
    }],
    [
      "versions of other files",
      (files) => files.edit({ id: h.operation(), files: [{ path: "x", edits: [{ find: "a", replace: "b" }] }] }),
      (agent, id) => agent.answer(id, ["v", "w"])
    ],
    ["a size that is none", (files) => files.stat("x"), (agent, id) => agent.answer(id, { ...entry("x"), size: -1 })]
  ]

  for (const [name, call, answer] of answers) {
    live(`${name} is not taken for an answer`, () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start()
        const { agentId, token } = yield* h.enroll()
        const { agent } = yield* h.connect(port, token, { on: ({ id }, agent) => answer(agent, id) })
        const connection = yield* transport.dial(agentId)
        const error = yield* Effect.flip(call(connection.files)).pipe(Effect.timeout("3 seconds"))
        assert.strictEqual(error._tag, "CallInterrupted")
        assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      }))
  }

  live("a call that fails inside the agent is interrupted, and the session lives on", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      yield* h.connect(port, token, {
        on: ({ id }, agent) =>
          agent.send({
            _tag: "Exit",
            requestId: id,
            exit: { _tag: "Failure", cause: [{ _tag: "Die", defect: "a secret content" }] }
          })
      })
      const connection = yield* transport.dial(agentId)
      const error = yield* Effect.flip(connection.processes.start({ id: h.operation(), argv: ["x"] }))
      assert.strictEqual(error._tag === "CallInterrupted" ? error.sent : error._tag, "mayHaveRun")
      assert.notStrictEqual(connection.liveness(), "closed")
      assert.strictEqual(logged("a secret content"), 0)
    }))
})

describe("independent streams", () => {
  live(
    "a stuck reader of one stream holds up no other call, and the agent sends no more",
    () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start()
        const { agentId, token } = yield* h.enroll()
        let acks = 0
        let follow = -1
        const { agent } = yield* h.connect(port, token, {
          on: ({ id, tag }, agent) => {
            if (tag === "Follow") {
              follow = id
              agent.send({ _tag: "Chunk", requestId: id, values: [0, 1, 2, 3, 4, 5].map((offset) => piece(offset)) })
            } else agent.answer(id, { name: "/", type: "directory", size: 0, modifiedAtMillis: 0, mode: 0 })
          }
        })
        agent.socket.on("message", (message: Buffer) => {
          if (String(message).includes("\"Ack\"")) acks += 1
        })
        const connection = yield* transport.dial(agentId)
        const scope = yield* Scope.make()
        const stuck = yield* connection.processes.follow(h.operation()).pipe(
          Stream.runForEach(() => Effect.never),
          Effect.forkIn(scope)
        )
        yield* h.until(() => follow !== -1)
        for (let count = 0; count < 20; count++) {
          const [taken] = yield* Effect.timed(connection.files.stat("/"))
          assert.isBelow(Duration.toMillis(taken), 500)
        }
        assert.strictEqual(acks, 0)
        assert.strictEqual(connection.liveness(), "live")
        yield* Fiber.interrupt(stuck)
        yield* connection.files.stat("/")
      })
  )

  const piece = (offset: number) => ({
    _tag: "Data",
    offset,
    stream: "stdout",
    bytes: Buffer.from("x").toString("base64")
  })

  live(
    "what stuck readers leave untaken is bounded: the stream that brings more ends busy",
    () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start({ sessionBuffer: 3000 })
        const { agentId, token } = yield* h.enroll()
        const interrupted: Array<number> = []
        const { agent } = yield* h.connect(port, token, {
          on: ({ id }, agent) => {
            agent.send({
              _tag: "Chunk",
              requestId: id,
              values: Array.from({ length: 10 }, (_, at) => ({
                _tag: "Data",
                offset: at * 45,
                stream: "stdout",
                bytes: Buffer.alloc(45).toString("base64")
              }))
            })
          }
        })
        agent.socket.on("message", (message: Buffer) => {
          const { _tag, requestId } = JSON.parse(String(message).split("\n")[0] ?? "{}")
          if (_tag === "Interrupt") interrupted.push(requestId)
        })
        const connection = yield* transport.dial(agentId)
        const stuck = () =>
          connection.processes.follow(h.operation()).pipe(Stream.runForEach(() => Effect.never), Effect.forkScoped)
        yield* stuck()
        yield* stuck()
        yield* h.until(() => agent.requests.length === 3)
        yield* Effect.sleep("50 millis")
        const third = yield* connection.processes.follow(h.operation()).pipe(Stream.runDrain, Effect.flip)
        assert.strictEqual(third._tag, "AgentBusy")
        yield* h.until(() => interrupted.length === 1)
        assert.strictEqual(connection.liveness(), "live")
      })
  )
})

describe("the end of the gateway", () => {
  live("agents are asked to move, then closed; dials, calls and sockets all end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(h.layerGateway()), scope)
      const transport = Context.get(context, AgentTransport.AgentTransport)
      const port = yield* h.listen(context)
      const { agentId, token } = yield* h.enroll()
      const absent = yield* h.enroll()
      const moves: Array<unknown> = []
      const { agent } = yield* h.connect(port, token, {
        on: ({ id, payload, tag }, agent) => {
          if (tag !== "Move") return
          moves.push(payload)
          agent.answer(id, null)
        }
      })
      const connection = yield* transport.dial(agentId)
      const call = yield* Effect.forkChild(Effect.flip(connection.files.stat("/")))
      const dial = yield* Effect.forkChild(Effect.flip(transport.dial(absent.agentId)))
      yield* h.until(() => transport.describe?.(absent.agentId).waiters.length === 1)
      const [taken] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(taken), 1500)
      assert.deepStrictEqual(moves, [{ withinMillis: 75 }])
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.restarting)
      assert.strictEqual((yield* Fiber.join(call))._tag, "CallInterrupted")
      const failed = yield* Fiber.join(dial)
      assert.strictEqual(failed.reason, "shutdown")
      assert.strictEqual((yield* Effect.flip(transport.dial(agentId))).reason, "shutdown")
    }))

  live("a drain above the server lets the server close at once", () =>
    Effect.gen(function*() {
      const gateway = yield* Layer.build(h.layerGateway({ moveWithin: "100 millis" }))
      const scope = yield* Scope.make()
      yield* Scope.provide(h.listen(gateway), scope)
      const { port } = yield* Effect.map(Scope.provide(h.listen(gateway), scope), (port) => ({ port }))
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      yield* Context.get(gateway, AgentTransport.AgentTransport).dial(agentId)
      yield* Scope.provide(Layer.build(Layer.provide(AgentGateway.layerDrain(), Layer.succeedContext(gateway))), scope)
      const [taken] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(taken), 1500)
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.restarting)
      assert.strictEqual((yield* h.connect(port, token)).status, 0)
    }))

  live("a frozen peer does not hold up the server's close", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const gateway = yield* Layer.build(h.layerGateway())
      const port = yield* Scope.provide(h.listen(gateway), scope)
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      yield* Context.get(gateway, AgentTransport.AgentTransport).dial(agentId)
      agent.socket.pause()
      const [taken] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(taken), 1500)
    }))

  live("a store that hangs does not hold up the server's close", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const gateway = yield* Layer.build(h.layerGateway({ storeTimeout: "5 seconds" })).pipe(
        Effect.provideService(AgentPresence.AgentPresence, presence)
      )
      const scope = yield* Scope.make()
      const port = yield* Scope.provide(h.listen(gateway), scope)
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      yield* Context.get(gateway, AgentTransport.AgentTransport).dial(agentId)
      control.mode = "hangs"
      agent.socket.pause()
      const [taken] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(taken), 1500)
    }))

  live("counts sessions, refusals and calls", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      yield* h.connect(port, undefined)
      const { agent } = yield* h.connect(port, token)
      yield* transport.dial(agentId)
      agent.socket.terminate()
      yield* h.until(() => transport.presence(agentId) !== "live")
      yield* Effect.sleep("20 millis")
      const dump = yield* Metric.dump
      assert.include(dump, "chat_workspace_gateway_refused")
      assert.include(dump, "malformed")
      assert.include(dump, "chat_workspace_gateway_sessions_ended")
    }))
})

describe("in an application's server", () => {
  live("one layer is route and transport, beside other routes", () =>
    Effect.gen(function*() {
      const other = HttpRouter.add("GET", "/other", HttpServerResponse.text("other"))
      const context = yield* Layer.build(
        HttpRouter.serve(Layer.merge(AgentGateway.layer({ path: "/agent", nodeId: NodeId.make("mine") }), other), {
          disableLogger: true,
          disableListenLog: true
        }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })),
          Layer.provide(GatewayConfig.layer(h.quick))
        )
      )
      yield* Layer.build(Layer.provide(AgentGateway.layerDrain("100 millis"), Layer.succeedContext(context)))
      const { address } = Context.get(context, HttpServer.HttpServer)
      const port = "port" in address ? address.port : assert.fail()
      const { agentId, token } = yield* h.enroll()
      yield* h.connect(port, token)
      const connection = yield* Context.get(context, AgentTransport.AgentTransport).dial(agentId)
      assert.strictEqual(connection.liveness(), "live")
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/other`).then((_) => _.text()))
      assert.strictEqual(response, "other")
      assert.strictEqual(Context.get(context, AgentGateway.AgentGateway).nodeId, "mine")
    }))
})

describe("a dial", () => {
  live("is a span with the id of its agent", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      yield* h.connect(port, token)
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.withTracer(transport.dial(agentId), tracer)
      assert.deepStrictEqual(spans.map(({ name }) => name), ["AgentTransport.dial"])
      assert.strictEqual(spans[0]?.attributes.get("agent.id"), agentId)
    }))
})

describe("the end of everything", () => {
  live("no socket, waiter, call or fiber is left when the layer is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { port, transport } = yield* Scope.provide(h.start(), scope)
      const { agentId, token } = yield* h.enroll()
      const absent = yield* h.enroll()
      const sockets = yield* Effect.forEach([1, 2, 3], () => h.connect(port, token, { hello: "silent" }))
      sockets.push(yield* h.connect(port, token))
      const connection = yield* transport.dial(agentId)
      const waiting = yield* Effect.forkChild(Effect.exit(transport.dial(absent.agentId)))
      const call = yield* Effect.forkChild(Effect.exit(connection.processes.run({ id: h.operation(), argv: ["x"] })))
      yield* h.until(() => transport.describe?.(agentId).calls.length === 1)
      yield* Scope.close(scope, Exit.void)
      for (const { agent } of sockets) yield* Effect.timeout(agent.closed, "1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(call)))
      const view = transport.describe?.(agentId)
      assert.deepStrictEqual([view?.session, view?.calls, view?.waiters], [null, [], []])
      // A fiber that was left would hold a timer or a socket.
      yield* h.until(() => openSockets() === 0)
    }))

  const openSockets = (): number =>
    process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap" || resource === "TCPServerWrap")
      .length
})

describe("presence", () => {
  live("absent only when the agents had time to come", () =>
    Effect.gen(function*() {
      const { transport } = yield* h.start({ settle: "100 millis" })
      const { agentId } = yield* h.enroll()
      assert.strictEqual(transport.presence(agentId), "unknown")
      yield* Effect.sleep("150 millis")
      assert.strictEqual(transport.presence(agentId), "absent")
    }))
})
