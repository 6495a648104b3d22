/**
 * What `TestWorkspaces` says a call gets, held against PostgreSQL, the gateway and agent processes: the same state, the
 * same bounds, the same outcome, and neither side asks or dials more often than is promised.
 */
import { assert, describe, layer } from "@effect/vitest"
import {
  Clock,
  DateTime,
  type Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  Option,
  Result,
  Schedule,
  type Scope
} from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import { vi } from "vitest"
import type { AgentConnection } from "../../src/agent/AgentConnection.ts"
import type { AgentTransport } from "../../src/agent/AgentTransport.ts"
import * as Database from "../../src/cli/Database.ts"
import * as Backend from "../../src/cli/demo/Backend.ts"
import * as Journal from "../../src/cli/demo/Journal.ts"
import * as World from "../../src/cli/demo/World.ts"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import type { ConnectError, ProcessError } from "../../src/domain/Errors.ts"
import { ChatId, OperationId, OwnerId } from "../../src/domain/Ids.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import { Enrollment } from "../../src/provisioner/Enrollment.ts"
import type { ChatBindings } from "../../src/store/ChatBindings.ts"
import { WorkspaceAgents } from "../../src/store/WorkspaceAgents.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"

vi.setConfig({ testTimeout: 40_000 })

/** Who answered, or the error with the fields by which a caller decides. */
type Outcome = Readonly<Record<string, unknown>>

/** A chat in the state of a case. */
interface Place {
  readonly chatId: ChatId
  /** The turn of the call, when it was open before; a new one otherwise. */
  readonly turn?: ChatWorkspace | undefined
  /** The agents before and after it was built anew. */
  readonly rebuilt?: { readonly before: AgentId; readonly after: AgentId } | undefined
  /** What happens as soon as the command of the call runs. */
  readonly during?: Effect.Effect<void> | undefined
}

interface Call {
  readonly line: string
  readonly timeout: Duration.Input
}

type RealServices =
  | World.World
  | Backend.Backend
  | ChatWorkspaces
  | ChatBindings
  | Enrollment
  | AgentTransport
  | Journal.Journal
  | WorkspaceAgents
  | SqlClient.SqlClient
  | Scope.Scope

interface Case {
  readonly name: string
  readonly virtual: (
    world: TestWorkspaces.TestWorkspaces["Service"]
  ) => Effect.Effect<Place, ConnectError | ProcessError, TestWorkspaces.Services>
  readonly real: Effect.Effect<Place, unknown, RealServices>
  readonly call?: Call
  readonly gets: Outcome
  readonly queries: number
  readonly dials: number
}

const chatId = ChatId.make("chat")
const owner = OwnerId.make("demo")
const hello: Call = { line: "echo hello", timeout: "10 seconds" }

const tool = ({ line, timeout }: Call) => (connection: AgentConnection) =>
  Effect.as(
    connection.processes.run({ id: OperationId.make(randomUUID()), argv: ["sh", "-c", line] }, { timeout }),
    connection.agentId
  )

/** A turn of a chat that has worked with its running workspace. */
const virtuallyWorked = Effect.gen(function*() {
  const world = yield* TestWorkspaces.TestWorkspaces
  yield* world.running(chatId)
  const turn = yield* Effect.flatMap(ChatWorkspaces, ({ open }) => open(chatId))
  return { turn, agentId: yield* turn.use(tool(hello)) }
})

const reallyWorked = Effect.gen(function*() {
  const world = yield* World.World
  const workspace = yield* world.workspace
  const agentId = yield* workspace.start
  const chat = yield* world.chat(workspace)
  const turn = yield* world.open(chat)
  yield* turn.use(tool(hello))
  return { world, workspace, turn, agentId, chatId: chat }
})

/** After the next heartbeat of an agent, so that the one after it is a second away. */
const afterHeartbeat = Effect.fnUntraced(function*(agentId: AgentId) {
  const agents = yield* WorkspaceAgents
  const heard = Effect.map(agents.agent(agentId), (row) =>
    Option.match(row, {
      onNone: () => 0,
      onSome: ({ agent }) => agent.lastConnectedAt === null ? 0 : DateTime.toEpochMillis(agent.lastConnectedAt)
    }))
  const before = yield* heard
  yield* heard.pipe(Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (at) => at > before }))
})

const inTurn = ({ turn }: { readonly turn: ChatWorkspace }): Place => ({ chatId, turn })

/** What the bounds of the real parts here call so. */
const longerThanARestart = Effect.sleep("6500 millis")

/** Until the case is over. */
const databaseStopped = () =>
  Effect.flatMap(
    Backend.Backend,
    ({ postgres }) => Effect.acquireRelease(postgres.stop, () => Effect.orDie(postgres.restart))
  )

const databasePaused = () =>
  Effect.flatMap(Backend.Backend, ({ postgres }) => Effect.acquireRelease(postgres.pause, () => postgres.resume))

/** One tool call of the chat, as a caller sees it. */
const outcomeOf = Effect.fnUntraced(function*({ chatId, during, rebuilt, turn }: Place, call: Call) {
  const chats = yield* ChatWorkspaces
  if (during !== undefined) yield* Effect.forkChild(during)
  const opened = turn === undefined ? chats.open(chatId) : Effect.succeed(turn)
  const result = yield* Effect.result(Effect.flatMap(opened, (workspace) => workspace.use(tool(call))))
  return Result.match(result, {
    onSuccess: (agentId): Outcome => ({
      answered: agentId === rebuilt?.after ? "agent after" : agentId === rebuilt?.before ? "agent before" : "agent"
    }),
    onFailure: fieldsOf
  })
})

const fieldsOf = (error: ConnectError | ProcessError): Outcome => {
  const tag = error._tag
  switch (error._tag) {
    case "NoWorkspaceAgent":
    case "DialFailed":
    case "OperationRefused":
      return { tag, reason: error.reason }
    case "AgentDisconnected":
      return { tag, evidence: error.evidence, restart: error.restart }
    case "CallInterrupted":
    case "CallTimedOut":
      return { tag, sent: error.sent }
    default:
      return { tag }
  }
}

/** A world of its own on a virtual clock that runs until the effect has ended, with the bounds of the real parts. */
const onVirtualTime = <A, E>(effect: Effect.Effect<A, E, TestWorkspaces.Services>) =>
  Effect.gen(function*() {
    const clock = yield* TestClock.make()
    return yield* Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect.pipe(TestWorkspaces.provide, Effect.provide(Backend.layerSettings)))
      while (fiber.pollUnsafe() === undefined) yield* clock.adjust("100 millis")
      return yield* Fiber.join(fiber)
    }).pipe(Effect.provideService(Clock.Clock, clock))
  }).pipe(Effect.scoped)

const layerReal = World.layer.pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(Backend.Backend, ({ postgres }) =>
    Layer.merge(
      Database.layerStores(postgres.url, { schema: "chat_workspace" }),
      Database.layerClient(postgres.url, { name: "test", maxConnections: 1 })
    )))),
  Layer.provideMerge(Backend.layer),
  // What breaks on purpose would be logged as broken.
  Layer.provide(Logger.layer([]))
)

const cases: ReadonlyArray<Case> = [
  {
    name: "running, in a chat that never called",
    virtual: (world) => Effect.as(world.running(chatId, { remembers: "workspace" }), { chatId }),
    real: Effect.gen(function*() {
      const world = yield* World.World
      const workspace = yield* world.workspace
      yield* workspace.start
      return { chatId: yield* world.chat(workspace) }
    }),
    gets: { answered: "agent" },
    queries: 3,
    dials: 1
  },
  {
    name: "running",
    virtual: () => Effect.as(virtuallyWorked, { chatId }),
    real: Effect.map(reallyWorked, ({ chatId }) => ({ chatId })),
    gets: { answered: "agent" },
    queries: 1,
    dials: 0
  },
  {
    name: "stopped",
    virtual: (world) => Effect.as(Effect.andThen(virtuallyWorked, world.stopped(chatId)), { chatId }),
    real: Effect.tap(reallyWorked, ({ workspace }) => workspace.stop).pipe(Effect.map(({ chatId }) => ({ chatId }))),
    gets: { tag: "NoWorkspaceAgent", reason: "stopped" },
    queries: 3,
    dials: 1
  },
  {
    name: "rebuilt",
    virtual: (world) =>
      Effect.gen(function*() {
        const { agentId } = yield* virtuallyWorked
        return { chatId, rebuilt: { before: agentId, after: (yield* world.rebuilt(chatId)).agentId } }
      }),
    real: Effect.gen(function*() {
      const { agentId, chatId, workspace } = yield* reallyWorked
      return { chatId, rebuilt: { before: agentId, after: yield* workspace.start } }
    }),
    gets: { answered: "agent after" },
    queries: 4,
    dials: 2
  },
  {
    name: "rebuilt, the old agent still alive",
    virtual: (world) =>
      Effect.gen(function*() {
        const { agentId } = yield* virtuallyWorked
        const { agentId: after } = yield* world.rebuilt(chatId, { oldAgent: "alive" })
        return { chatId, rebuilt: { before: agentId, after } }
      }),
    // Its session goes with the next heartbeat, so the call is made right after one.
    real: Effect.gen(function*() {
      const { agentId, chatId, workspace: { workspaceId } } = yield* reallyWorked
      const enrollment = yield* Enrollment
      yield* afterHeartbeat(agentId)
      const { agentId: after } = yield* enrollment.enroll({ workspaceId, owner })
      return { chatId, rebuilt: { before: agentId, after } }
    }),
    gets: { answered: "agent before" },
    queries: 1,
    dials: 0
  },
  {
    name: "agentDead, just now",
    virtual: (world) => Effect.as(Effect.andThen(virtuallyWorked, world.agentDead(chatId, { for: 0 })), { chatId }),
    real: Effect.tap(reallyWorked, ({ workspace }) => workspace.killAgent).pipe(
      Effect.map(({ chatId }) => ({ chatId }))
    ),
    gets: { tag: "DialTimeout" },
    queries: 4,
    dials: 1
  },
  {
    name: "agentDead, for longer than a restart takes",
    virtual: (world) =>
      Effect.as(Effect.andThen(virtuallyWorked, world.agentDead(chatId, { for: "7 seconds" })), { chatId }),
    real: Effect.tap(reallyWorked, ({ workspace }) => workspace.killAgent).pipe(
      Effect.tap(() => longerThanARestart),
      Effect.map(({ chatId }) => ({ chatId }))
    ),
    gets: { tag: "AgentDisconnected", evidence: "disconnected", restart: true },
    queries: 4,
    dials: 1
  },
  {
    name: "agentFrozen, no connection to it being open",
    virtual: (world) =>
      Effect.gen(function*() {
        yield* world.running(chatId)
        yield* world.agentFrozen(chatId)
        return { chatId }
      }),
    // The gateway closes the sessions of an agent that answers no ping.
    real: Effect.tap(reallyWorked, ({ workspace }) => workspace.freezeAgent).pipe(
      Effect.map(({ chatId }) => ({ chatId }))
    ),
    gets: { tag: "DialTimeout" },
    queries: 4,
    dials: 1
  },
  {
    name: "agentFrozen, in a turn whose connection is open",
    virtual: (world) => Effect.tap(virtuallyWorked, world.agentFrozen(chatId)).pipe(Effect.map(inTurn)),
    // At once: the gateway has not noticed yet.
    real: Effect.tap(
      reallyWorked,
      ({ workspace }) => Effect.forkScoped(workspace.freezeAgent, { startImmediately: true })
    ).pipe(Effect.map(({ chatId, turn }) => ({ chatId, turn }))),
    call: { line: "echo hello", timeout: "3 seconds" },
    gets: { tag: "CallTimedOut", sent: "mayHaveRun" },
    queries: 1,
    dials: 0
  },
  {
    name: "neverConnects",
    virtual: (world) => Effect.as(world.neverConnects(chatId), { chatId }),
    real: Effect.gen(function*() {
      const world = yield* World.World
      const workspace = yield* world.workspace
      yield* workspace.startWithoutAgent
      yield* longerThanARestart
      return { chatId: yield* world.chat(workspace) }
    }),
    gets: { tag: "AgentDisconnected", evidence: "neverConnected", restart: true },
    queries: 5,
    dials: 1
  },
  {
    name: "linkLostDuring",
    virtual: (world) =>
      Effect.gen(function*() {
        const { turn } = yield* virtuallyWorked
        yield* world.linkLostDuring(chatId)
        return { chatId, turn }
      }),
    // A link that comes back in time is not noticed by a call, so here the program behind it is lost, too.
    real: Effect.map(reallyWorked, ({ chatId, turn, workspace, world }) => ({
      chatId,
      turn,
      during: Effect.andThen(
        world.until("the command runs", () => existsSync(Path.join(workspace.directory, "started"))),
        Effect.andThen(workspace.killAgent, workspace.reviveAgent)
      )
    })),
    call: { line: "touch started; sleep 5", timeout: "10 seconds" },
    gets: { tag: "CallInterrupted", sent: "mayHaveRun" },
    queries: 0,
    dials: 0
  },
  {
    name: "slowStart",
    virtual: (world) => Effect.as(world.slowStart(chatId), { chatId }),
    // No build of ours runs here, so its row is made to say so.
    real: Effect.gen(function*() {
      const world = yield* World.World
      const sql = yield* SqlClient.SqlClient
      const workspace = yield* world.workspace
      yield* workspace.startWithoutAgent
      yield* sql`update chat_workspace.builds set status = 'running', finished_at = null
        where workspace_id = ${workspace.workspaceId}`
      yield* sql`update chat_workspace.agents set started_at = null where workspace_id = ${workspace.workspaceId}`
      return { chatId: yield* world.chat(workspace) }
    }),
    gets: { tag: "NoWorkspaceAgent", reason: "starting" },
    queries: 2,
    dials: 0
  },
  {
    name: "databaseDown, in a turn whose connection is open",
    virtual: (world) => Effect.tap(virtuallyWorked, world.databaseDown()).pipe(Effect.map(inTurn)),
    real: Effect.tap(reallyWorked, databaseStopped).pipe(Effect.map(inTurn)),
    gets: { answered: "agent" },
    queries: 0,
    dials: 0
  },
  {
    name: "databaseDown, in a new turn",
    virtual: (world) => Effect.as(Effect.andThen(virtuallyWorked, world.databaseDown()), { chatId }),
    real: Effect.tap(reallyWorked, databaseStopped).pipe(Effect.map(({ chatId }) => ({ chatId }))),
    gets: { tag: "StoreError" },
    queries: 1,
    dials: 0
  },
  {
    name: "databaseDown, the agent dead too",
    virtual: (world) =>
      Effect.tap(virtuallyWorked, Effect.andThen(world.agentDead(chatId, { for: 0 }), world.databaseDown())).pipe(
        Effect.map(inTurn)
      ),
    real: Effect.tap(reallyWorked, ({ workspace }) => Effect.andThen(workspace.killAgent, databaseStopped())).pipe(
      Effect.map(inTurn)
    ),
    gets: { tag: "DialTimeout" },
    queries: 3,
    dials: 1
  },
  {
    name: "databaseDown, hanging",
    virtual: (world) => Effect.as(Effect.andThen(virtuallyWorked, world.databaseDown({ hangs: true })), { chatId }),
    real: Effect.tap(reallyWorked, databasePaused).pipe(Effect.map(({ chatId }) => ({ chatId }))),
    gets: { tag: "StoreError" },
    queries: 1,
    dials: 0
  }
]

describe("TestWorkspaces beside the real parts", () => {
  layer(layerReal, { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    for (const { call = hello, dials, gets, name, queries, real, virtual } of cases) {
      it.effect(`${name}: ${Object.values(gets).join(", ")}`, () =>
        Effect.gen(function*() {
          const said = yield* onVirtualTime(Effect.gen(function*() {
            const world = yield* TestWorkspaces.TestWorkspaces
            const place = yield* virtual(world)
            const [outcome, counts] = yield* world.counted(outcomeOf(place, call))
            const asked = Object.values(counts.queries).reduce((sum, count) => sum + count, 0)
            return { outcome, queries: asked, dials: counts.dials }
          }))
          const journal = yield* Journal.Journal
          const got = yield* Effect.scoped(Effect.gen(function*() {
            const place = yield* real
            const before = journal.entries().length
            const outcome = yield* outcomeOf(place, call)
            const entries = journal.entries().slice(before)
            const count = (kind: Journal.Entry["kind"]) => entries.filter((entry) => entry.kind === kind).length
            return { outcome, queries: count("query"), dials: count("dial") }
          }))
          assert.deepStrictEqual({ real: got.outcome, virtual: said.outcome }, { real: gets, virtual: gets })
          for (const side of [got, said]) {
            assert.isAtMost(side.queries, queries, "queries")
            assert.isAtMost(side.dials, dials, "dials")
          }
        }))
    }
  })
})
