/**
 * From a fault to what its caller is told: an agent that is killed under a call, and a workspace that is stopped.
 *
 * All parts are real: PostgreSQL, the gateway with its defaults, the agent program. A call whose agent was killed waits for
 * the agent's next run, within its own deadline, since only that one can say what became of it; calls that are never
 * repeated do not wait.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import * as ChatWorkspaces from "../src/dial/ChatWorkspaces.ts"
import { ChatId, WorkspaceId } from "../src/domain/Ids.ts"
import * as Enrollment from "../src/provisioner/Enrollment.ts"
import * as ChatBindings from "../src/store/ChatBindings.ts"
import * as b from "./backend.ts"
import * as h from "./harness.ts"
import type * as Agents from "./peers/agents.ts"
import * as Peer from "./peers/peer.ts"
import { database } from "./store.ts"

const errorOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : undefined
}

/** How long something takes from a moment on, and what it comes to. */
const since = <A, E, R>(moment: () => number, effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => ({ millis: performance.now() - moment(), error: errorOf(exit) }))

const world = Effect.gen(function*() {
  const { ports } = yield* database
  const node = yield* Effect.provideContext(b.serve(AgentGateway.layerTransport()), ports)
  const chats = yield* Layer.build(
    Layer.merge(ChatWorkspaces.layer, Enrollment.layer).pipe(
      Layer.provide(Layer.succeedContext(node.context)),
      Layer.provide(Layer.succeedContext(ports))
    )
  )
  return {
    node,
    file: yield* b.programFile,
    bindings: Context.get(ports, ChatBindings.ChatBindings),
    chats: Context.get(chats, ChatWorkspaces.ChatWorkspaces),
    enrollment: Context.get(chats, Enrollment.Enrollment)
  }
})

type World = Effect.Success<typeof world>

interface Told {
  readonly millis: number
  readonly error: string | undefined
}

/** A chat of its own on a workspace of its own, whose agent has been called. */
const chat = Effect.fnUntraced(function*({ bindings, chats, enrollment, file, node }: World) {
  const { owner } = b
  const chatId = ChatId.make(randomUUID())
  const workspaceId = WorkspaceId.make(randomUUID())
  const { agentId, token } = yield* enrollment.enroll({ workspaceId, owner })
  yield* bindings.bindWorkspace({ chatId, owner, workspaceId })
  const program = yield* b.startProgram(file, node.url, Redacted.value(token))
  const turn = yield* chats.open(chatId)
  yield* turn.use((connection) => connection.processes.list)
  return { agentId, chatId, program, turn, workspaceId }
})

/** Killed under a command that runs; started again at once, as whoever keeps it running would. */
const killed = Effect.fnUntraced(function*(built: World) {
  const { program, turn } = yield* chat(built)
  let at = 0
  return yield* Effect.scoped(Effect.gen(function*() {
    const connection = yield* turn.connect
    const running = yield* Deferred.make<void>()
    const id = b.operation()
    const call = yield* since(
      () => at,
      Effect.andThen(
        connection.processes.start({ id, argv: ["sleep", "60"] }),
        Effect.andThen(Deferred.succeed(running, undefined), connection.processes.run({ id, argv: ["sleep", "60"] }))
      )
    ).pipe(Effect.forkScoped)
    const closing = yield* Effect.forkScoped(since(() => at, connection.closed))
    yield* Deferred.await(running)
    yield* Effect.sleep("100 millis")
    at = performance.now()
    yield* program.kill
    yield* program.start
    const told = yield* Fiber.join(call)
    const works = yield* since(() => at, turn.use((connection) => connection.processes.list))
    return { closed: yield* Fiber.join(closing), told, works }
  }))
})

/** An agent that answers nothing, killed under a call that is never repeated. */
const neverRepeated = Effect.fnUntraced(function*({ enrollment, node }: World) {
  const { agentId, token } = yield* enrollment.enroll({ workspaceId: WorkspaceId.make(randomUUID()), owner: b.owner })
  const agents = yield* Peer.start<Agents.Command>("agents")
  yield* agents.ask({ _tag: "Dial", url: node.url, tokens: [Redacted.value(token)], mute: true })
  const connection = yield* node.transport.dial(agentId)
  let at = 0
  const call = yield* Effect.forkScoped(since(() => at, connection.processes.signal(b.operation(), "SIGTERM")))
  yield* Effect.sleep("100 millis")
  at = performance.now()
  yield* agents.kill
  return yield* Fiber.join(call)
})

/** Asks until the answer is that there is no agent; a call that still goes through is asked again. */
const untilNoAgent = (turn: ChatWorkspaces.ChatWorkspace): Effect.Effect<never, { readonly _tag: string }> =>
  turn.use((connection) => connection.processes.list).pipe(
    Effect.catchTag("CallInterrupted", () => Effect.void),
    Effect.andThen(Effect.sleep("5 millis")),
    Effect.forever
  )

/** A stop that is recorded, after which the program goes, or stays on. */
const stopped = Effect.fnUntraced(function*(built: World, leaves: boolean) {
  const { program, turn, workspaceId } = yield* chat(built)
  if (leaves) yield* program.kill
  const at = performance.now()
  yield* built.enrollment.retire({ workspaceId, owner: b.owner })
  const recorded = performance.now() - at
  return { recorded, ...(yield* since(() => at + recorded, untilNoAgent(turn))) }
})

/** The first call of a chat whose workspace was stopped while it was silent. */
const stoppedBefore = Effect.fnUntraced(function*(built: World) {
  const { chatId, program, workspaceId } = yield* chat(built)
  yield* built.enrollment.retire({ workspaceId, owner: b.owner })
  yield* program.kill
  yield* Effect.sleep("200 millis")
  const at = performance.now()
  return yield* since(
    () => at,
    Effect.flatMap(built.chats.open(chatId), (turn) => turn.use((connection) => connection.processes.list))
  )
})

const row = (what: string, told: ReadonlyArray<Told>, bound: string) => [
  what,
  h.withSpread(h.spread(told.map(({ millis }) => millis))),
  Array.from(new Set(told.flatMap(({ error }) => error ?? []))).join(", "),
  bound
]

export const run = ({ quick }: h.Options): Effect.Effect<h.Report, unknown> =>
  Effect.scoped(Effect.gen(function*(): Effect.fn.Return<h.Report, unknown, Scope.Scope> {
    const built = yield* world
    const times = <A, R>(count: number, effect: Effect.Effect<A, unknown, R | Scope.Scope>) =>
      Effect.forEach(Array.from({ length: count }), () => Effect.scoped(effect))
    const count = quick ? 3 : 9
    const kills = yield* times(count, killed(built))
    const signals = yield* times(count, neverRepeated(built))
    const silent = yield* times(count, stoppedBefore(built))
    const gone = yield* times(count, stopped(built, true))
    const stays = yield* times(quick ? 1 : 3, stopped(built, false))
    return {
      rows: [
        ["", "ms", "told", "bound"],
        ["agent killed, and started again at once", "", "", ""],
        row("  its connection is closed", kills.map(({ closed }) => closed), ""),
        row("  a call that is never repeated", signals, "its deadline"),
        row("  a command under way, by the agent's next run", kills.map(({ told }) => told), "its deadline"),
        row("  and the next call has its answer", kills.map(({ works }) => works), "40 s"),
        ["workspace stopped, from its record to the answer", "", "", ""],
        row("  before the chat's first call", silent, "40 s"),
        row("  during a turn, and the agent goes with it", gone, "40 s"),
        row("  during a turn, and the agent stays: by the heartbeat", stays, "10 s + 40 s")
      ],
      notes: [],
      failures: []
    }
  }))
