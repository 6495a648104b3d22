/**
 * What the demo watches: every question to the database and every dial, as they happen, with their answers.
 *
 * It stands between the module and its ports, as an application's own instruments would.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AgentTransport } from "../../agent/AgentTransport.ts"
import type { AgentId } from "../../domain/Ids.ts"
import { ChatBindings } from "../../store/ChatBindings.ts"
import { WorkspaceAgents } from "../../store/WorkspaceAgents.ts"

/**
 * One line of the journal. Queries and dials are counted, news are not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly at: number
  readonly kind: "query" | "dial" | "news"
  readonly what: string
}

/**
 * @since 0.1.0
 * @category services
 */
export class Journal extends Context.Service<Journal, {
  readonly write: (kind: Entry["kind"], what: string) => Effect.Effect<void>
  /** Everything written so far. */
  readonly entries: () => ReadonlyArray<Entry>
  /** A short name for an agent, in the order in which they were first mentioned. */
  readonly name: (agentId: AgentId) => string
}>()("chat-workspace/cli/demo/Journal") {}

/**
 * An empty journal. Times are in milliseconds.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Journal> = Layer.effect(
  Journal,
  Effect.map(Clock.Clock, (clock) => {
    const entries: Array<Entry> = []
    const names = new Map<AgentId, string>()
    return Journal.of({
      write: (kind, what) =>
        Effect.sync(() => {
          entries.push({ at: clock.currentTimeMillisUnsafe(), kind, what })
        }),
      entries: () => entries.slice(),
      name: (agentId) => {
        const name = names.get(agentId) ?? `agent ${names.size + 1}`
        names.set(agentId, name)
        return name
      }
    })
  })
)

/**
 * The same ports, with every call written down.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWatched: Layer.Layer<
  ChatBindings | WorkspaceAgents | AgentTransport,
  never,
  ChatBindings | WorkspaceAgents | AgentTransport | Journal
> = Layer.effectContext(Effect.gen(function*() {
  const journal = yield* Journal
  const bindings = yield* ChatBindings
  const agents = yield* WorkspaceAgents
  const transport = yield* AgentTransport

  const query = <A, E>(question: string, effect: Effect.Effect<A, E>, answer: (value: A) => string) =>
    Effect.andThen(journal.write("query", `asked: ${question}`), effect).pipe(
      Effect.tap((value) => journal.write("news", `  answer: ${answer(value)}`)),
      Effect.tapError(() => journal.write("news", "  no answer from the database"))
    )
  const named = (agentId: AgentId | null) => agentId === null ? "no agent" : journal.name(agentId)

  return Context.make(
    ChatBindings,
    ChatBindings.of({
      get: (chatId) => query("what does the chat remember?", bindings.get(chatId), (row) => named(row.agentId)),
      bindWorkspace: (options) =>
        query("remember this workspace", bindings.bindWorkspace(options), (row) => `generation ${row.generation}`),
      bindAgent: (seen, buildId, agentId) =>
        query(
          `remember ${named(agentId)}`,
          bindings.bindAgent(seen, buildId, agentId),
          (result) => result._tag === "Bound" ? "bound" : "another writer was faster"
        )
    })
  ).pipe(
    Context.add(
      WorkspaceAgents,
      WorkspaceAgents.of({
        agent: (agentId) =>
          query(
            `when was ${named(agentId)} heard?`,
            agents.agent(agentId),
            (row) => Option.isSome(row) ? "found" : "there is none"
          ),
        latestBuild: (workspaceId) =>
          query(
            "which agent has the latest build?",
            agents.latestBuild(workspaceId),
            Option.match({
              onNone: () => "never built",
              onSome: ({ agents: found, build }) =>
                build.transition === "start"
                  ? named(found[0]?.agentId ?? null)
                  : `none, the workspace is ${build.transition === "stop" ? "stopped" : "deleted"}`
            })
          )
      })
    ),
    Context.add(
      AgentTransport,
      AgentTransport.of({
        ...transport,
        dial: (agentId) =>
          Effect.andThen(journal.write("dial", `dial of ${named(agentId)} started`), transport.dial(agentId)).pipe(
            Effect.onExit((exit) =>
              journal.write(
                "news",
                Exit.isSuccess(exit)
                  ? `${named(agentId)} is connected`
                  : Exit.hasInterrupts(exit)
                  ? `dial of ${named(agentId)} abandoned`
                  : `dial of ${named(agentId)} failed`
              )
            )
          )
      })
    )
  )
}))
