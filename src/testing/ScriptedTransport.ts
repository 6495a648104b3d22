/**
 * A transport that does what a test says: each agent answers dials as scripted, and its connections live and die on
 * command. Everything is counted.
 *
 * A script is in force until the next one. A dial that waits is answered by the next script of its agent, as a gateway
 * wakes the dials that wait for an agent when it comes; a dial that already runs against the clock goes on by its own
 * script. An agent without a script is not there: its dials wait for ever.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentConnection, CloseReason, Liveness, Mcp } from "../agent/AgentConnection.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Presence } from "../agent/AgentTransport.ts"
import type { Feature } from "../agent/Feature.ts"
import type { McpServer } from "../agent/Mcp.ts"
import type { ProcessEvent } from "../agent/Protocol.ts"
import { CallInterrupted, CallTimedOut, DialFailed } from "../domain/Errors.ts"
import type { CallError, DialFailedReason, Sent } from "../domain/Errors.ts"
import type { AgentId, OperationId } from "../domain/Ids.ts"
import * as MemoryAgent from "./MemoryAgent.ts"
import type { OnExecute } from "./MemoryAgent.ts"
import * as ScriptedMcp from "./ScriptedMcp.ts"

/**
 * Dials started, dials that have not ended, connections opened by them, connections not yet released, and releases.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  readonly dials: number
  readonly pending: number
  readonly opened: number
  readonly open: number
  readonly releases: number
}

/**
 * Lists of tools asked for, and calls of tools, those that failed or were given up among them.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolCounts {
  readonly lists: number
  readonly calls: number
}

/**
 * How a dial ends that pays no attention to its interruption, and how long it takes for that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stubborn {
  readonly after: Duration.Input
  readonly outcome: "succeed" | "fail"
}

/**
 * The hands on the transport. Verbs take effect at once and never fail.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedTransport extends Context.Service<ScriptedTransport, {
  /** Dials succeed, after a while if one is given. */
  readonly accept: (agentId: AgentId, options?: { readonly after?: Duration.Input | undefined }) => Effect.Effect<void>
  /** Dials fail with `DialFailed` (`refused`), after a while if one is given. */
  readonly refuse: (
    agentId: AgentId,
    options?: { readonly reason?: DialFailedReason | undefined; readonly after?: Duration.Input | undefined }
  ) => Effect.Effect<void>
  /** Dials wait for the next script. With `holding` each opens a connection first, which must be released after it. */
  readonly stall: (agentId: AgentId, options?: { readonly holding?: boolean | undefined }) => Effect.Effect<void>
  /** Dials run to their end whoever interrupts them: a late success opens a connection that nobody waits for. */
  readonly ignoreCancellation: (agentId: AgentId, how: Stubborn) => Effect.Effect<void>
  /** Dials cannot be interrupted and wait for the next script to say how they end. */
  readonly acquireUninterruptibly: (agentId: AgentId) => Effect.Effect<void>
  /** The session is lost: the open connections close. The program in the workspace, and its processes, live on. */
  readonly drop: (agentId: AgentId, reason?: CloseReason | undefined) => Effect.Effect<void>
  /** The session is lost while the next command runs. The command goes on. */
  readonly dropDuringNextCommand: (agentId: AgentId) => Effect.Effect<void>
  /** A newer session takes the place of the one there is: the open connections close, the next dial gets the new. */
  readonly replace: (agentId: AgentId) => Effect.Effect<void>
  /** What open connections say of themselves, until one closes; `live` unless said otherwise. */
  readonly liveness: (agentId: AgentId, liveness: Exclude<Liveness, "closed">) => Effect.Effect<void>
  /** What the transport says of an agent without IO; `unknown` unless said otherwise. */
  readonly presence: (agentId: AgentId, presence: Presence) => Effect.Effect<void>
  /** Calls get no answer until the agent is thawed; they end at their deadlines. */
  readonly freeze: (agentId: AgentId) => Effect.Effect<void>
  /** Calls are answered again, those that still wait among them. */
  readonly thaw: (agentId: AgentId) => Effect.Effect<void>
  /** What commands come to, on this agent or on all that have no handler of their own. */
  readonly onExecute: (handler: OnExecute, agentId?: AgentId | undefined) => Effect.Effect<void>
  /** The workspace's own servers and their tools; none unless said otherwise. `onCall` plays the tools. */
  readonly serveTools: (
    agentId: AgentId,
    servers: ReadonlyArray<McpServer>,
    onCall?: ScriptedMcp.OnMcpCall | undefined
  ) => Effect.Effect<void>
  /** Lists and calls of tools fail. */
  readonly failTools: (agentId: AgentId, error: CallError) => Effect.Effect<void>
  /** Lists and calls of tools get no answer; they end at their deadlines. */
  readonly hangTools: (agentId: AgentId) => Effect.Effect<void>
  /** How often the tools of an agent were listed, and called. */
  readonly toolCounts: (agentId: AgentId) => ToolCounts
  /** The files of an agent by path. */
  readonly files: (agentId: AgentId) => Map<string, string>
  /** Of one agent, or of all together. */
  readonly counts: (agentId?: AgentId | undefined) => Counts
  /** Completes when so many dials of the agent have started, counted from the beginning. */
  readonly untilDialed: (agentId: AgentId, dials: number) => Effect.Effect<void>
}>()("chat-workspace/testing/ScriptedTransport") {}

type Script =
  | { readonly _tag: "Accept"; readonly after: Duration.Input }
  | { readonly _tag: "Refuse"; readonly after: Duration.Input; readonly reason: DialFailedReason }
  | { readonly _tag: "Stall"; readonly holding: boolean }
  | { readonly _tag: "Stubborn"; readonly how: Stubborn }
  | { readonly _tag: "Uninterruptible" }

interface Scripted {
  readonly agentId: AgentId
  readonly program: MemoryAgent.MemoryAgent
  readonly links: Set<Deferred.Deferred<CloseReason>>
  readonly thawed: Latch.Latch
  readonly counts: { -readonly [Key in keyof Counts]: Counts[Key] }
  /** Completed by the next script. */
  news: Deferred.Deferred<void>
  /** Completed by the next dial. */
  dialed: Deferred.Deferred<void>
  script: Script
  liveness: Exclude<Liveness, "closed">
  presence: Presence
  onExecute: OnExecute | undefined
  dropNext: boolean
  readonly mcp: Mcp
  readonly toolCounts: { -readonly [Key in keyof ToolCounts]: ToolCounts[Key] }
  tools: ScriptedMcp.McpScript
}

const features: ReadonlySet<Feature> = new Set<Feature>(["run", "processes", "files", "directories", "mcp"])

const make = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const agents = new Map<AgentId, Scripted>()
  let onExecute: OnExecute = () => Effect.succeed({})

  const scripted = (agentId: AgentId): Scripted => {
    const known = agents.get(agentId)
    if (known !== undefined) return known
    const execute: OnExecute = (command) => {
      if (agent.dropNext) {
        agent.dropNext = false
        drop(agent, "lost")
      }
      return (agent.onExecute ?? onExecute)(command)
    }
    const agent: Scripted = {
      agentId,
      program: MemoryAgent.make(() => execute, scope),
      links: new Set(),
      thawed: Latch.makeUnsafe(true),
      counts: { dials: 0, pending: 0, opened: 0, open: 0, releases: 0 },
      news: Deferred.makeUnsafe(),
      dialed: Deferred.makeUnsafe(),
      script: { _tag: "Stall", holding: false },
      liveness: "live",
      presence: "unknown",
      onExecute: undefined,
      dropNext: false,
      mcp: ScriptedMcp.make(() => agent.tools),
      toolCounts: { lists: 0, calls: 0 },
      tools: ScriptedMcp.serve([])
    }
    agents.set(agentId, agent)
    return agent
  }

  const on = (agentId: AgentId, change: (agent: Scripted) => void): Effect.Effect<void> =>
    Effect.sync(() => change(scripted(agentId)))

  const follow = (agentId: AgentId, script: Script): Effect.Effect<void> =>
    on(agentId, (agent) => {
      agent.script = script
      const { news } = agent
      agent.news = Deferred.makeUnsafe()
      Deferred.doneUnsafe(news, Effect.void)
    })

  const control = ScriptedTransport.of({
    accept: (agentId, options) => follow(agentId, { _tag: "Accept", after: options?.after ?? 0 }),
    refuse: (agentId, options) =>
      follow(agentId, { _tag: "Refuse", after: options?.after ?? 0, reason: options?.reason ?? "refused" }),
    stall: (agentId, options) => follow(agentId, { _tag: "Stall", holding: options?.holding === true }),
    ignoreCancellation: (agentId, how) => follow(agentId, { _tag: "Stubborn", how }),
    acquireUninterruptibly: (agentId) => follow(agentId, { _tag: "Uninterruptible" }),
    drop: (agentId, reason) => on(agentId, (agent) => drop(agent, reason ?? "lost")),
    dropDuringNextCommand: (agentId) =>
      on(agentId, (agent) => {
        agent.dropNext = true
      }),
    replace: (agentId) => on(agentId, (agent) => drop(agent, "replaced")),
    liveness: (agentId, liveness) =>
      on(agentId, (agent) => {
        agent.liveness = liveness
      }),
    presence: (agentId, presence) =>
      on(agentId, (agent) => {
        agent.presence = presence
      }),
    freeze: (agentId) => on(agentId, (agent) => agent.thawed.closeUnsafe()),
    thaw: (agentId) => on(agentId, (agent) => agent.thawed.openUnsafe()),
    onExecute: (handler, agentId) =>
      agentId === undefined
        ? Effect.sync(() => {
          onExecute = handler
        })
        : on(agentId, (agent) => {
          agent.onExecute = handler
        }),
    serveTools: (agentId, servers, onCall) =>
      on(agentId, (agent) => {
        agent.tools = ScriptedMcp.serve(servers, onCall)
      }),
    failTools: (agentId, error) =>
      on(agentId, (agent) => {
        agent.tools = { _tag: "Fail", error }
      }),
    hangTools: (agentId) =>
      on(agentId, (agent) => {
        agent.tools = { _tag: "Hang" }
      }),
    toolCounts: (agentId) => ({ ...scripted(agentId).toolCounts }),
    files: (agentId) => scripted(agentId).program.content,
    counts: (agentId) => agentId === undefined ? total(agents.values()) : { ...scripted(agentId).counts },
    untilDialed: (agentId, dials) =>
      Effect.suspend(() => {
        const agent = scripted(agentId)
        return agent.counts.dials >= dials
          ? Effect.void
          : Effect.andThen(Deferred.await(agent.dialed), control.untilDialed(agentId, dials))
      })
  })

  const transport = AgentTransport.of({
    dial: (agentId) => Effect.suspend(() => dial(scripted(agentId))),
    presence: (agentId) => scripted(agentId).presence,
    features
  })

  return Context.make(ScriptedTransport, control).pipe(Context.add(AgentTransport, transport))
})

/**
 * A transport without agents, and the hands on it. It declares all features.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ScriptedTransport | AgentTransport> = Layer.effectContext(make)

type Dial = Effect.Effect<AgentConnection, DialFailed, Scope.Scope>

const dial = (agent: Scripted): Dial =>
  Effect.uninterruptibleMask((restore) => {
    agent.counts.dials++
    agent.counts.pending++
    const { dialed } = agent
    agent.dialed = Deferred.makeUnsafe()
    Deferred.doneUnsafe(dialed, Effect.void)
    return Effect.onExit(restore(answer(agent)), () =>
      Effect.sync(() => {
        agent.counts.pending--
      }))
  })

const answer = (agent: Scripted): Dial => {
  const { script } = agent
  const refuse = (reason: DialFailedReason): Dial => new DialFailed({ agentId: agent.agentId, reason })
  const next = Effect.andThen(Deferred.await(agent.news), Effect.suspend(() => answer(agent)))
  switch (script._tag) {
    case "Accept":
      return Effect.andThen(wait(script.after), open(agent))
    case "Refuse":
      return Effect.andThen(wait(script.after), refuse(script.reason))
    case "Stall":
      return script.holding ? Effect.andThen(open(agent), next) : next
    case "Stubborn":
      return Effect.uninterruptible(
        Effect.andThen(wait(script.how.after), script.how.outcome === "succeed" ? open(agent) : refuse("refused"))
      )
    case "Uninterruptible":
      return Effect.uninterruptible(next)
  }
}

/** Without a wait there is no step in which time could pass. */
const wait = (after: Duration.Input): Effect.Effect<void> => after === 0 ? Effect.void : Effect.sleep(after)

const open = (agent: Scripted): Effect.Effect<AgentConnection, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const link = Deferred.makeUnsafe<CloseReason>()
        agent.links.add(link)
        agent.counts.opened++
        agent.counts.open++
        return link
      }),
      (link) =>
        Effect.sync(() => {
          agent.counts.open--
          agent.counts.releases++
          close(agent, link, "shutdown")
        })
    ),
    (link) => connection(agent, link)
  )

const close = (agent: Scripted, link: Deferred.Deferred<CloseReason>, reason: CloseReason): void => {
  agent.links.delete(link)
  Deferred.doneUnsafe(link, Effect.succeed(reason))
}

const drop = (agent: Scripted, reason: CloseReason): void => {
  for (const link of agent.links) close(agent, link, reason)
}

const connection = (agent: Scripted, link: Deferred.Deferred<CloseReason>): AgentConnection => {
  const { agentId } = agent
  const { files, processes } = agent.program
  const closed = Deferred.await(link)

  /** Sends a call over the link: cut with the link, and ended at its deadline. */
  const call = <A, E>(
    effect: Effect.Effect<A, E>,
    options?: { readonly within?: Duration.Input | undefined; readonly operationId?: OperationId | undefined }
  ): Effect.Effect<A, E | CallInterrupted | CallTimedOut> =>
    Effect.suspend(() => {
      const operationId = options?.operationId ?? null
      const interrupted = (sent: Sent) => Effect.fail(new CallInterrupted({ agentId, operationId, sent }))
      if (Deferred.isDoneUnsafe(link)) return interrupted("notSent")
      const answered = Effect.andThen(agent.thawed.await, Effect.exit(effect)).pipe(
        // No answer comes over a link that was lost while the agent worked on it.
        Effect.flatMap((exit): Effect.Effect<A, E | CallInterrupted> =>
          Deferred.isDoneUnsafe(link) ? interrupted("mayHaveRun") : exit
        ),
        Effect.raceFirst(Effect.flatMap(closed, () => interrupted("mayHaveRun")))
      )
      if (options?.within === undefined) return answered
      const after = Duration.fromInputUnsafe(options.within)
      return Effect.timeoutOrElse(answered, {
        duration: after,
        orElse: () => Effect.fail(new CallTimedOut({ agentId, operationId, sent: "mayHaveRun", after }))
      })
    })

  return {
    agentId,
    features,
    liveness: () => Deferred.isDoneUnsafe(link) ? "closed" : agent.liveness,
    closed,
    processes: {
      run: (command, options) =>
        Effect.onInterrupt(
          call(
            Effect.gen(function*() {
              yield* processes.start(command)
              yield* processes.ended(command.id)
              const output = yield* processes.output(command.id)
              const { code, signal } = output.state._tag === "Exited" ? output.state : { code: null, signal: null }
              return { code, signal, output }
            }),
            { within: options?.timeout ?? "30 seconds", operationId: command.id }
          ),
          () => Effect.ignore(processes.signal(command.id, "SIGTERM"))
        ),
      start: (command) => call(processes.start(command), { within: "10 seconds", operationId: command.id }),
      output: (id, options) => call(processes.output(id, options), { within: "10 seconds" }),
      follow: (id, options) =>
        Stream.unwrap(Effect.map(
          call(Effect.andThen(processes.ended(id), processes.output(id, options))),
          ({ pieces, state }) => Stream.fromIterable<ProcessEvent>([...pieces, state])
        )),
      list: call(processes.list, { within: "10 seconds" }),
      signal: (id, signal) => call(processes.signal(id, signal), { within: "10 seconds" })
    },
    files: {
      read: (path, options) => call(files.read(path, options), { within: "30 seconds" }),
      write: (options) => call(files.write(options), { within: "30 seconds", operationId: options.id }),
      edit: (options) => call(files.edit(options), { within: "30 seconds", operationId: options.id }),
      stat: (path) => call(files.stat(path), { within: "10 seconds" }),
      list: (path) => call(files.list(path), { within: "30 seconds" })
    },
    mcp: {
      tools: (options) =>
        Effect.suspend(() => {
          agent.toolCounts.lists++
          return call(agent.mcp.tools(options), { within: "60 seconds" })
        }),
      call: (options) =>
        Effect.suspend(() => {
          agent.toolCounts.calls++
          return call(agent.mcp.call(options), { within: options.timeout ?? "60 seconds" })
        })
    }
  }
}

const total = (agents: Iterable<Scripted>): Counts => {
  const sum = { dials: 0, pending: 0, opened: 0, open: 0, releases: 0 }
  for (const { counts } of agents) {
    sum.dials += counts.dials
    sum.pending += counts.pending
    sum.opened += counts.opened
    sum.open += counts.open
    sum.releases += counts.releases
  }
  return sum
}
