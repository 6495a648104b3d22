import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import type { TransportView } from "../../src/agent/AgentTransport.ts"
import { Ids } from "../../src/domain/index.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as Holders from "../../src/store/Holders.ts"
import { MemoryStore } from "../../src/store/MemoryStore.ts"
import * as TurnStore from "../../src/store/TurnStore.ts"
import { ScriptedModel, ScriptedTransport, TestWorkspaces } from "../../src/testing/index.ts"
import { Explanation, ExplanationFinding, ExplanationView, Turns } from "../../src/turn/index.ts"
import { node } from "./support/turns.ts"

const chatId = Ids.ChatId.make("chat-1")
const { owner } = TestWorkspaces
const otherNode = Ids.NodeId.make("node-b")

type Services =
  | TestWorkspaces.Services
  | Builds.Builds
  | TurnStore.TurnStore
  | Holders.Holders
  | Scope.Scope

const inWorld = TestWorkspaces.provideWith(
  Layer.mergeAll(Builds.layerMemory, TurnStore.layerMemory, Holders.layerMemory).pipe(
    Layer.provideMerge(TestWorkspaces.layer)
  ),
  { drain: "20 seconds" }
)

/** What the gateway of this node says of all agents. */
const seeing = (view: Partial<TransportView>) =>
  Layer.effect(
    AgentTransport,
    Effect.map(AgentTransport, (transport) =>
      AgentTransport.of({
        ...transport,
        describe: () => ({ session: null, waiters: [], calls: [], lastRefusal: null, ...view })
      }))
  )

const refused = (reason: string) => seeing({ lastRefusal: { reason, age: Duration.seconds(3) } })

const session = {
  epoch: 1,
  incarnation: Ids.Incarnation.make("one"),
  openFor: Duration.seconds(60),
  silentFor: Duration.zero
}

/** Asks for a start of the chat's stopped workspace. */
const requested = Effect.gen(function*() {
  const world = yield* TestWorkspaces.TestWorkspaces
  const builds = yield* Builds.Builds
  const { workspaceId } = yield* world.stopped(chatId)
  const after = Option.getOrThrow(yield* builds.latest(workspaceId)).build.number
  const buildId = Ids.BuildId.make("asked-for")
  yield* builds.request({
    owner,
    workspaceId,
    transition: "start",
    after,
    build: { buildId, parameters: {}, repeatable: true },
    chat: null
  })
})

const taken = Effect.gen(function*() {
  yield* requested
  const builds = yield* Builds.Builds
  return Option.getOrThrow(
    yield* builds.take({
      nodeId: otherNode,
      lease: Duration.seconds(30),
      limit: Duration.minutes(15),
      attempts: 3
    })
  )
})

/** Another node begins a turn, and holds it for so long. */
const turnElsewhere = Effect.flatMap(TurnStore.TurnStore, (turns) =>
  turns.begin({
    turnId: Ids.TurnId.make("turn-b"),
    chatId,
    owner,
    messageId: Ids.MessageId.make("m"),
    message: { role: "user", content: "Go on" },
    nodeId: otherNode,
    lease: Duration.seconds(30)
  }))

/** This node runs a turn, for 40 seconds by now. */
const turnHere = (step: ScriptedModel.Step) =>
  Effect.gen(function*() {
    const { model, turns } = yield* node("node-a", [step])
    yield* turns.send({ chatId, owner, messageId: Ids.MessageId.make("m"), text: "Go on" })
    yield* model.untilAsked(1)
    yield* TestClock.adjust("40 seconds")
    return Layer.succeed(Turns.Turns, turns)
  })

interface Fault {
  readonly name: string
  readonly code: string
  /** What the sentence says. */
  readonly says: string
  readonly plant: Effect.Effect<unknown, unknown, Services>
  readonly transport?: Layer.Layer<AgentTransport, never, AgentTransport>
  /** What the model of a turn that this node runs does. */
  readonly turn?: ScriptedModel.Step
}

const world = <A>(f: (world: TestWorkspaces.TestWorkspaces["Service"]) => Effect.Effect<A>) =>
  Effect.flatMap(TestWorkspaces.TestWorkspaces, f)

const faults: ReadonlyArray<Fault> = [
  {
    name: "a chat without a workspace",
    code: "no_workspace",
    says: "The chat has no workspace.",
    plant: Effect.void
  },
  {
    name: "a stopped workspace",
    code: "workspace_stopped",
    says: "The workspace is stopped.",
    plant: world((world) => world.stopped(chatId))
  },
  {
    name: "a deleted workspace",
    code: "workspace_deleted",
    says: "was deleted",
    plant: world((world) => world.lastBuild(chatId, { transition: "delete", status: "succeeded" }))
  },
  {
    name: "a build that no runner takes",
    code: "build_waiting",
    says: "has waited for a runner for 180.0 s, with nothing before it",
    plant: Effect.andThen(requested, TestClock.adjust("3 minutes"))
  },
  {
    name: "a build that runs for long",
    code: "build_running",
    says: "has run for 20.0 s on node node-b",
    plant: Effect.andThen(taken, TestClock.adjust("20 seconds"))
  },
  {
    name: "a build whose runner is gone",
    code: "build_lost",
    says: "was run by node node-b, which has not renewed its lease",
    plant: Effect.andThen(taken, TestClock.adjust("30 seconds"))
  },
  {
    name: "a build that failed",
    code: "start_failed",
    says: "The last start of the workspace failed. It took longer than its limit.",
    plant: Effect.gen(function*() {
      const { build: { buildId }, epoch } = yield* taken
      const builds = yield* Builds.Builds
      const failed = { _tag: "Failed", code: "timed_out", message: "SECRET OUTPUT" } as const
      yield* builds.finish({ buildId, epoch, outcome: failed })
    })
  },
  {
    name: "agents of a template among which none can be chosen",
    code: "agents_ambiguous",
    says: "names several agents for chats: a-chat, b-chat",
    plant: world((world) =>
      world.lastBuild(chatId, { transition: "start", status: "succeeded", agents: ["a-chat", "b-chat"] })
    )
  },
  {
    name: "an agent that never came",
    code: "agent_missing",
    says: "it never connected within its connection timeout",
    plant: world((world) => world.neverConnects(chatId))
  },
  {
    name: "an agent that may still come",
    code: "agent_connecting",
    says: "has not connected yet and still has time to",
    plant: world((world) => world.neverConnects(chatId, { for: "120 seconds" }))
  },
  {
    name: "an agent that was seen to go 40 s ago",
    code: "agent_disconnected",
    says: "its session was seen to end. Unreachable for 40.0 s",
    plant: world((world) => world.agentDead(chatId, { for: "40 seconds" }))
  },
  {
    name: "an agent that is silent",
    code: "agent_silent",
    says: "its heartbeats stopped",
    plant: world((world) => world.agentFrozen(chatId, { for: "1 minute" }))
  },
  {
    name: "an agent whose token was revoked",
    code: "agent_refused",
    says: "turned away 3.0 s ago: its token was revoked",
    plant: world((world) => world.agentDead(chatId)),
    transport: refused("revoked")
  },
  {
    name: "an agent of an incompatible version",
    code: "agent_refused",
    says: "its version is not served by this node",
    plant: world((world) => world.neverConnects(chatId)),
    transport: refused("incompatible")
  },
  {
    name: "two programs under one identity",
    code: "agent_conflict",
    says: "another program under its identity was turned away",
    plant: world((world) => world.running(chatId)),
    transport: seeing({ session, lastRefusal: { reason: "identityConflict", age: Duration.seconds(3) } })
  },
  {
    name: "an agent that is connected to another node",
    code: "agent_elsewhere",
    says: "connected to node node-b, and not to this one",
    plant: Effect.gen(function*() {
      const { agentId } = yield* world((world) => world.running(chatId))
      yield* (yield* ScriptedTransport.ScriptedTransport).presence(agentId, "absent")
      const { agents } = yield* MemoryStore
      const row = agents.get(agentId)
      if (row !== undefined) agents.set(agentId, { ...row, nodeId: otherNode })
    })
  },
  {
    name: "a database that is down",
    code: "database_down",
    says: "The database could not answer",
    plant: Effect.andThen(
      world((world) => world.running(chatId)),
      world((world) => world.databaseDown())
    )
  },
  {
    name: "start-up scripts that failed",
    code: "scripts_failed",
    says: "its start-up scripts failed",
    plant: Effect.flatMap(
      world((world) => world.running(chatId)),
      ({ agentId }) => world((world) => world.agentComes(agentId, { lifecycle: "start_error" }))
    )
  },
  {
    name: "start-up scripts that do not end",
    code: "scripts_running",
    says: "its start-up scripts still run",
    plant: Effect.flatMap(
      world((world) => world.running(chatId)),
      ({ agentId }) => world((world) => world.agentComes(agentId, { lifecycle: "starting" }))
    )
  },
  {
    name: "a turn whose node is gone",
    code: "turn_lost",
    says: "belongs to node node-b, which has not renewed its lease: it ended 0 ms ago",
    plant: Effect.andThen(
      world((world) => world.running(chatId)),
      Effect.andThen(turnElsewhere, TestClock.adjust("30 seconds"))
    )
  },
  {
    name: "a turn on another node",
    code: "turn_elsewhere",
    says: "has run for 30.0 s on node node-b",
    plant: Effect.andThen(
      world((world) => world.running(chatId)),
      Effect.andThen(turnElsewhere, TestClock.adjust("29999 millis"))
    )
  },
  {
    name: "a turn that waits in a long call",
    code: "turn_in_call",
    says: "has run here for 40.0 s and waits for its call of hold, which has run for 40.0 s",
    plant: world((world) => world.running(chatId)),
    turn: ScriptedModel.call("hold")
  },
  {
    name: "a turn whose model is silent",
    code: "turn_at_model",
    says: "waits for the model, which has said nothing for 40.0 s",
    plant: world((world) => world.running(chatId)),
    turn: () => Effect.never
  },
  {
    name: "a turn that failed",
    code: "turn_failed",
    says: "the last turn ended 0 ms ago: failed (model)",
    plant: Effect.gen(function*() {
      yield* world((world) => world.running(chatId))
      yield* turnElsewhere
      const turns = yield* TurnStore.TurnStore
      const end = { status: "failed", reason: "model" } as const
      yield* turns.finish({ turnId: Ids.TurnId.make("turn-b"), epoch: 1, from: 2, messages: [], ...end })
    })
  }
]

const Json = Schema.fromJsonString(ExplanationView.ExplanationView)

/** What a node says of the chat. */
const explained = Effect.fnUntraced(function*(fault: Fault) {
  const turns = fault.turn === undefined ? undefined : yield* turnHere(fault.turn)
  const here = turns === undefined ? Explanation.layerWithoutTurns : Layer.provide(Explanation.layer, turns)
  return yield* Effect.flatMap(Explanation.Explanations, ({ explain }) => explain(chatId)).pipe(
    Effect.provide(fault.transport === undefined ? here : Layer.provide(here, fault.transport))
  )
})

describe("what is wrong", () => {
  for (const fault of faults) {
    it.effect(fault.name, () =>
      Effect.gen(function*() {
        yield* fault.plant
        const explanation = yield* explained(fault)
        const { code, message } = ExplanationFinding.finding(explanation)
        assert.strictEqual(code, fault.code, message)
        assert.include(message, fault.says)
        // As an operator reads it, first of all.
        const text = Explanation.format(explanation)
        assert.isTrue(text.startsWith(`finding    ${message}\n`), text)
        assert.notInclude(text, "SECRET OUTPUT")
        const view = ExplanationView.make(explanation)
        const json = yield* Schema.encodeEffect(Json)(view)
        assert.notInclude(json, "SECRET OUTPUT")
        assert.deepStrictEqual((yield* Schema.decodeEffect(Json)(json)).finding, { code, message })
      }).pipe(inWorld))
  }
})
