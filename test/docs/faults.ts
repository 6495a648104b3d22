/** What can go wrong under a chat, planted in a world that builds, and what a model that obeys the texts comes to. */
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentBusy, CommandNotFound } from "../../src/domain/Errors.ts"
import { ChatId } from "../../src/domain/Ids.ts"
import { ObedientModel, ScriptedTransport, TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import type { ScriptedModel } from "../../src/testing/index.ts"
import { ChatTools } from "../../src/tool/index.ts"
import { conversation } from "../testing/support/conversation.ts"
import type { Conversation } from "../testing/support/conversation.ts"

export const chat = ChatId.make("chat")

export interface Hands {
  readonly world: TestWorkspaces.TestWorkspaces["Service"]
  readonly builds: TestBuilds.TestBuilds["Service"]
  readonly transport: ScriptedTransport.ScriptedTransport["Service"]
  /** Calls a tool as another turn of the chat does. */
  readonly call: (name: string, args?: unknown) => Effect.Effect<unknown>
  /** Does something after a while. */
  readonly later: (seconds: number, effect: Effect.Effect<unknown>) => Effect.Effect<void>
}

export interface Fault {
  readonly name: string
  /** Where it ends: the wish is fulfilled, or the model asks for help. */
  readonly ends: "well" | "help"
  /** After the first text; 3 unless said otherwise. */
  readonly calls?: number
  /** Before the turn is opened. */
  readonly before?: (hands: Hands) => Effect.Effect<unknown>
  /** After the turn was opened. */
  readonly plant: (hands: Hands) => Effect.Effect<unknown>
  readonly wish?: ScriptedModel.Call
  readonly child?: boolean
}

const execute: ScriptedModel.Call = { name: "execute", args: { command: "npm test" } }

/** A workspace that the chat has used, over a connection that is open. */
const used = ({ call, world }: Hands) => Effect.andThen(world.running(chat), call("execute", { command: "ls" }))

const nothing = () => Effect.void

export const faults: ReadonlyArray<Fault> = [
  { name: "The chat has no workspace", ends: "well", plant: nothing },
  {
    name: "The workspace was deleted",
    ends: "well",
    before: used,
    plant: ({ world }) => world.lastBuild(chat, { transition: "delete", status: "succeeded" })
  },
  { name: "The workspace is stopped", ends: "well", before: used, plant: ({ world }) => world.stopped(chat) },
  {
    name: "The workspace is stopped, in the child of another chat",
    ends: "help",
    before: used,
    plant: ({ world }) => world.stopped(chat),
    child: true
  },
  {
    name: "The workspace is stopping",
    ends: "well",
    before: used,
    plant: ({ builds, call, later, world }) =>
      Effect.gen(function*() {
        const { agentId } = yield* world.running(chat)
        yield* builds.onBuild({ takes: "20 seconds" }, "stop")
        yield* later(0, call("stop_workspace"))
        yield* TestClock.adjust(1)
        yield* world.agentGoes(agentId)
      })
  },
  {
    name: "The workspace is starting",
    ends: "well",
    before: ({ world }) => world.stopped(chat),
    plant: ({ builds, call, later }) =>
      builds.onBuild({ takes: "1 minute" }, "start").pipe(
        Effect.andThen(later(0, call("start_workspace"))),
        Effect.andThen(TestClock.adjust(1))
      )
  },
  {
    name: "The last start failed",
    ends: "well",
    before: ({ world }) => world.stopped(chat),
    plant: ({ builds, call }) =>
      builds.onBuild({ prints: ["pulling the image", "no space left on device"], fails: "exit code 1" }, "start").pipe(
        Effect.andThen(call("start_workspace")),
        Effect.andThen(builds.onBuild({}, "start"))
      )
  },
  {
    name: "Starts fail again and again",
    ends: "help",
    before: ({ world }) => world.stopped(chat),
    plant: ({ builds }) => builds.onBuild({ fails: "no space left on device" }, "start")
  },
  {
    name: "The agent went away a moment ago, and comes back",
    ends: "well",
    before: used,
    plant: ({ later, world }) =>
      Effect.flatMap(
        world.agentDead(chat, { for: "10 seconds" }),
        ({ agentId }) => later(40, world.agentComes(agentId))
      )
  },
  {
    name: "The agent went away a moment ago, and does not come back",
    ends: "help",
    before: used,
    plant: ({ world }) => world.agentDead(chat, { for: "10 seconds" })
  },
  {
    name: "The agent went away a minute ago, and does not come back",
    ends: "well",
    // A restart is the advice only after 90 s, which pass while the call is repeated.
    calls: 4,
    before: used,
    plant: ({ world }) => world.agentDead(chat, { for: "40 seconds" })
  },
  {
    name: "The agent has been gone for minutes",
    ends: "well",
    before: used,
    plant: ({ world }) => world.agentDead(chat)
  },
  {
    name: "The agent has been silent for minutes",
    ends: "well",
    before: used,
    plant: ({ world }) => world.agentFrozen(chat, { for: "2 minutes" })
  },
  {
    name: "The agent never came after the start",
    ends: "well",
    before: used,
    plant: ({ world }) => world.neverConnects(chat)
  },
  {
    name: "The agent falls silent while the command runs, and is back after a while",
    ends: "well",
    before: used,
    plant: ({ later, transport, world }) =>
      Effect.gen(function*() {
        const { agentId } = yield* world.running(chat)
        yield* world.onExecute(() => Effect.delay(Effect.succeed({ stdout: "42 passed" }), "40 seconds"))
        yield* later(5, transport.freeze(agentId))
        yield* later(45, transport.thaw(agentId))
      })
  },
  {
    name: "The agent was silent before it heard of the command, and is back after a while",
    ends: "well",
    before: used,
    plant: ({ later, transport, world }) =>
      Effect.gen(function*() {
        const { agentId } = yield* world.running(chat)
        yield* transport.freeze(agentId)
        yield* later(31, transport.thaw(agentId))
      })
  },
  {
    name: "The link was lost while the command ran",
    ends: "well",
    before: used,
    plant: ({ world }) =>
      world.onExecute(() => Effect.delay(Effect.succeed({ stdout: "42 passed" }), "20 seconds")).pipe(
        Effect.andThen(world.linkLostDuring(chat))
      )
  },
  {
    name: "The command takes longer than it is waited for",
    ends: "well",
    before: used,
    plant: ({ world }) => world.onExecute(() => Effect.delay(Effect.succeed({ stdout: "42 passed" }), "50 seconds"))
  },
  {
    name: "The database is down for a while",
    ends: "well",
    before: ({ world }) => world.running(chat, { remembers: "workspace" }),
    plant: ({ later, world }) => Effect.andThen(world.databaseDown(), later(8, world.databaseUp))
  },
  {
    name: "The agent is busy for a while",
    ends: "well",
    before: used,
    plant: ({ later, world }) =>
      Effect.andThen(
        world.onExecute(() => Effect.fail(new AgentBusy({ limit: "64 processes" }))),
        later(8, world.onExecute(() => Effect.succeed({ stdout: "42 passed" })))
      )
  },
  {
    name: "A workspace is wished for, and the one there is cannot be reached",
    ends: "well",
    before: used,
    plant: ({ world }) => world.agentDead(chat),
    wish: { name: "create_workspace", args: { template_id: TestWorkspaces.templateId } }
  },
  {
    name: "The working directory is not there",
    ends: "well",
    before: used,
    plant: ({ world }) =>
      world.onExecute(({ cwd }) =>
        cwd === undefined
          ? Effect.succeed({ stdout: "42 passed" })
          : Effect.fail(new CommandNotFound({ command: "sh", detail: `there is no folder ${cwd}` }))
      ),
    wish: { name: "execute", args: { command: "npm test", workdir: "/no/where" } }
  },
  {
    name: "An argument is wrong",
    ends: "well",
    before: used,
    plant: nothing,
    wish: { name: "execute", args: { command: "npm test", timeout: "long" } }
  },
  {
    name: "The template has no agents",
    ends: "help",
    before: used,
    plant: ({ world }) => world.lastBuild(chat, { transition: "start", status: "succeeded", agents: [] })
  },
  {
    name: "The template has several agents for chats",
    ends: "help",
    before: used,
    plant: ({ world }) =>
      world.lastBuild(chat, { transition: "start", status: "succeeded", agents: ["a-chat", "b-chat"] })
  },
  {
    name: "The agent speaks another version",
    ends: "help",
    before: ({ world }) => world.running(chat),
    plant: ({ transport, world }) =>
      Effect.flatMap(world.running(chat), ({ agentId }) => transport.refuse(agentId, { reason: "incompatible" }))
  }
]

/** What a model that obeys comes to under a fault. */
export const outcome = (fault: Fault): Effect.Effect<Conversation> =>
  Effect.gen(function*() {
    const tools = yield* ChatTools.ChatTools
    const world = yield* TestWorkspaces.TestWorkspaces
    const builds = yield* TestBuilds.TestBuilds
    const transport = yield* ScriptedTransport.ScriptedTransport
    const scope = yield* Effect.scope
    const call = (name: string, args: unknown = {}) =>
      Effect.gen(function*() {
        const { toolkit } = yield* tools.open({ chatId: chat, owner: TestWorkspaces.owner })
        return yield* Effect.flatMap(toolkit.handle(name, args), Stream.runCollect)
      }).pipe(Effect.orDie)
    const later = (seconds: number, effect: Effect.Effect<unknown>) =>
      Effect.asVoid(Effect.forkIn(Effect.delay(effect, seconds * 1000), scope, { startImmediately: true }))
    const hands: Hands = { world, builds, transport, call, later }

    yield* fault.before?.(hands) ?? Effect.void
    const { toolkit } = yield* tools.open({ chatId: chat, owner: TestWorkspaces.owner, child: fault.child })
    yield* fault.plant(hands)
    const talking = yield* conversation(toolkit).pipe(
      Effect.provide(ObedientModel.layer({ wish: fault.wish ?? execute })),
      Effect.forkChild({ startImmediately: true })
    )
    for (let second = 0; second < 600 && talking.pollUnsafe() === undefined; second++) {
      yield* TestClock.adjust("1 second")
    }
    if (talking.pollUnsafe() === undefined) {
      return yield* Effect.die(new Error("The conversation did not end in 10 minutes"))
    }
    return yield* Fiber.join(talking)
  }).pipe(Effect.scoped, TestBuilds.provide, Effect.orDie)
