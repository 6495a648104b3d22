/**
 * Where the scenarios play: chats, workspaces with real agent processes, and a way to measure one tool call.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import type { ProcessResult } from "../../agent/AgentConnection.ts"
import { AgentTransport } from "../../agent/AgentTransport.ts"
import { ChatWorkspaces } from "../../dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../dial/ChatWorkspaces.ts"
import type { BindingRefused, ConnectError, ProcessError, StoreError, WorkspaceRefused } from "../../domain/Errors.ts"
import { ChatId, OperationId, OwnerId, WorkspaceId } from "../../domain/Ids.ts"
import type { AgentId } from "../../domain/Ids.ts"
import { Enrollment } from "../../provisioner/Enrollment.ts"
import type { Enrolled } from "../../provisioner/Enrollment.ts"
import { ChatBindings } from "../../store/ChatBindings.ts"
import * as AgentProcess from "./AgentProcess.ts"
import { Backend } from "./Backend.ts"
import { Journal } from "./Journal.ts"
import type { Moment } from "./Report.ts"

/**
 * A workspace of the demo. Its verbs return when what they say is true for the gateway too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Workspace {
  readonly workspaceId: WorkspaceId
  /** Its folder. */
  readonly directory: string
  /** A start build and its agent, attached. The agents before it are revoked, and end. */
  readonly start: Effect.Effect<AgentId, WorkspaceRefused | StoreError>
  /** A start build whose agent never comes, and may take one second. */
  readonly startWithoutAgent: Effect.Effect<void, WorkspaceRefused | StoreError>
  /** A stop build, and the end of the agent. */
  readonly stop: Effect.Effect<void, WorkspaceRefused | StoreError>
  /** Ends the agent's process with SIGKILL. */
  readonly killAgent: Effect.Effect<void>
  /** Starts the agent's program again, under the same identity. */
  readonly reviveAgent: Effect.Effect<void>
  /** Freezes the agent's process. */
  readonly freezeAgent: Effect.Effect<void>
  readonly thawAgent: Effect.Effect<void>
}

/**
 * What one tool call got and cost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Measured {
  readonly exit: Exit.Exit<string, ConnectError | ProcessError>
  readonly millis: number
  readonly queries: number
  readonly dials: number
  readonly timeline: ReadonlyArray<Moment>
}

/**
 * @since 0.1.0
 * @category services
 */
export class World extends Context.Service<World, {
  /** A new workspace, not started. */
  readonly workspace: Effect.Effect<Workspace, never, Scope.Scope>
  /** A new chat that is bound to a workspace and has never connected. */
  readonly chat: (workspace: Workspace) => Effect.Effect<ChatId, BindingRefused | StoreError>
  /** A turn of a chat. */
  readonly open: (chatId: ChatId) => Effect.Effect<ChatWorkspace, StoreError>
  /** Runs a shell line as one tool call would, and answers what it printed. */
  readonly run: (
    chat: ChatWorkspace,
    line: string,
    options?: { readonly id?: OperationId | undefined; readonly timeout?: number | undefined }
  ) => Effect.Effect<string, ConnectError | ProcessError>
  /** Watches one call, or what stands for one, to its end. */
  readonly measure: (call: Effect.Effect<string, ConnectError | ProcessError>) => Effect.Effect<Measured>
  readonly newOperationId: Effect.Effect<OperationId>
  /** Waits until something is true; a defect when it does not become so within ten seconds. */
  readonly until: (what: string, condition: () => boolean) => Effect.Effect<void>
}>()("chat-workspace/cli/demo/World") {}

const owner = OwnerId.make("demo")

const make = Effect.gen(function*() {
  const backend = yield* Backend
  const chats = yield* ChatWorkspaces
  const bindings = yield* ChatBindings
  const enrollment = yield* Enrollment
  const transport = yield* AgentTransport
  const journal = yield* Journal
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(Path.join(tmpdir(), "chat-workspace-demo-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  let workspaces = 0

  const workspace = Effect.gen(function*(): Effect.fn.Return<Workspace, never, Scope.Scope> {
    workspaces++
    const workspaceId = WorkspaceId.make(`workspace-${workspaces}-${randomUUID().slice(0, 8)}`)
    const directory = Path.join(root, `workspace-${workspaces}`)
    mkdirSync(directory)
    const scope = yield* Effect.scope
    let running: { readonly process: AgentProcess.AgentProcess; readonly scope: Scope.Closeable } | undefined
    let identity: Enrolled | undefined

    const end = Effect.suspend(() => {
      const ending = running
      running = undefined
      return ending === undefined ? Effect.void : Scope.close(ending.scope, Exit.void)
    })
    const launch = Effect.suspend(() => {
      if (identity === undefined) return Effect.void
      const { agentId, token } = identity
      const own = Scope.forkUnsafe(scope)
      return Effect.andThen(
        Effect.map(Scope.provide(AgentProcess.make({ url: backend.agentUrl, token, directory }), own), (process) => {
          running = { process, scope: own }
        }),
        until("the agent attaches", () => transport.presence(agentId) === "live")
      )
    })
    const enroll = (connectionTimeout?: Duration.Input) =>
      Effect.map(enrollment.enroll({ workspaceId, owner, connectionTimeout }), (enrolled) => {
        identity = enrolled
        return enrolled.agentId
      })
    const gone = until(
      "the gateway notices",
      () => identity === undefined || transport.presence(identity.agentId) === "absent"
    )
    const signal = (name: "SIGSTOP" | "SIGCONT") =>
      Effect.suspend(() => running === undefined ? Effect.void : running.process.signal(name))

    return {
      workspaceId,
      directory,
      start: Effect.andThen(end, Effect.tap(enroll(), () => launch)),
      startWithoutAgent: Effect.asVoid(Effect.andThen(end, enroll("1 second"))),
      stop: Effect.andThen(Effect.andThen(end, gone), enrollment.retire({ workspaceId, owner })),
      killAgent: Effect.andThen(end, gone),
      reviveAgent: launch,
      freezeAgent: Effect.andThen(signal("SIGSTOP"), gone),
      thawAgent: signal("SIGCONT")
    }
  })

  return World.of({
    workspace,
    chat: Effect.fnUntraced(function*({ workspaceId }) {
      const chatId = ChatId.make(`chat-${randomUUID()}`)
      yield* bindings.bindWorkspace({ chatId, owner, workspaceId })
      return chatId
    }),
    open: chats.open,
    run: (chat, line, options) =>
      chat.use((connection) =>
        connection.processes.run(
          { id: options?.id ?? OperationId.make(randomUUID()), argv: ["sh", "-c", line] },
          { timeout: options?.timeout }
        )
      ).pipe(Effect.map(printed)),
    measure: Effect.fnUntraced(function*(call) {
      const before = journal.entries().length
      const start = yield* Clock.currentTimeNanos
      const startMillis = yield* Clock.currentTimeMillis
      const exit = yield* Effect.exit(call)
      const millis = Number((yield* Clock.currentTimeNanos) - start) / 1e6
      const entries = journal.entries().slice(before)
      return {
        exit,
        millis,
        queries: entries.filter(({ kind }) => kind === "query").length,
        dials: entries.filter(({ kind }) => kind === "dial").length,
        timeline: entries.map(({ at, what }) => ({ at: at - startMillis, what }))
      }
    }),
    newOperationId: Effect.sync(() => OperationId.make(randomUUID())),
    until
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  World,
  never,
  Backend | ChatWorkspaces | ChatBindings | Enrollment | AgentTransport | Journal
> = Layer.effect(World, make)

const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (met) => met }),
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.die(new Error(`The demo waited in vain: ${what}`))
    }),
    Effect.asVoid
  )

const printed = ({ code, output, signal }: ProcessResult): string => {
  const decoder = new TextDecoder()
  const text = output.pieces
    .map((piece) => piece._tag === "Data" ? decoder.decode(piece.bytes, { stream: true }) : "…")
    .join("")
    .trim()
  return code === 0 ? text : `${text} (ended by ${signal ?? `code ${code}`})`.trim()
}
