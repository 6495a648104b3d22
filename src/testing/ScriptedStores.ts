/**
 * The ports that connecting reads and writes, counted, and made slow or silent on command.
 *
 * It stands over any layer of these ports, in memory or SQL. A count is a call of a port, whatever the database makes of
 * it. Other ports of the same database can be put behind what is said of all; they are not counted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StoreError } from "../domain/Errors.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"

/**
 * The calls of the ports, in the words of the cost table: `binding` reads a chat's row, `agent` and `latestBuild` read a
 * workspace, the other two write a chat's row.
 *
 * @since 0.1.0
 * @category models
 */
export type Query = "binding" | "agent" | "latestBuild" | "bindAgent" | "bindWorkspace"

/**
 * How often each was called.
 *
 * @since 0.1.0
 * @category models
 */
export type Queries = Readonly<Record<Query, number>>

/**
 * The hands on the ports. Verbs are about the queries named, or about all, and hold for calls to come.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedStores extends Context.Service<ScriptedStores, {
  /** Calls fail with `StoreError`, after a while if one is given. */
  readonly fail: (
    queries?: ReadonlyArray<Query> | undefined,
    options?: { readonly after?: Duration.Input | undefined }
  ) => Effect.Effect<void>
  /** Calls take this long, and answer with what is true then. */
  readonly delay: (duration: Duration.Input, queries?: ReadonlyArray<Query> | undefined) => Effect.Effect<void>
  /** Calls get no answer, until they are healed. */
  readonly hang: (queries?: ReadonlyArray<Query> | undefined) => Effect.Effect<void>
  /** Calls answer at once, those that hang among them. */
  readonly heal: (queries?: ReadonlyArray<Query> | undefined) => Effect.Effect<void>
  readonly counts: () => Queries
  /** A call of another port: it meets what was said of all queries. */
  readonly behind: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StoreError, R>
}>()("chat-workspace/testing/ScriptedStores") {}

type Script =
  | { readonly _tag: "Answer"; readonly after: Duration.Input }
  | { readonly _tag: "Fail"; readonly after: Duration.Input }
  | { readonly _tag: "Hang"; readonly healed: Deferred.Deferred<void> }

const all: ReadonlyArray<Query> = ["binding", "agent", "latestBuild", "bindAgent", "bindWorkspace"]

const make = Effect.gen(function*() {
  const bindings = yield* ChatBindings
  const agents = yield* WorkspaceAgents
  const counts: Record<Query, number> = { binding: 0, agent: 0, latestBuild: 0, bindAgent: 0, bindWorkspace: 0 }
  const scripts = new Map<Query | "other", Script>()

  const set = (script: () => Script, queries: ReadonlyArray<Query | "other"> = [...all, "other"]) =>
    Effect.sync(() => {
      for (const query of queries) {
        const before = scripts.get(query)
        scripts.set(query, script())
        if (before?._tag === "Hang") Deferred.doneUnsafe(before.healed, Effect.void)
      }
    })

  const scripted = <A, E>(query: Query, effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
    Effect.suspend(() => {
      counts[query]++
      return follow(query, effect)
    })

  const follow = <A, E, R>(
    query: Query | "other",
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | StoreError, R> => {
    const script = scripts.get(query)
    switch (script?._tag) {
      case undefined:
        return effect
      case "Answer":
        return wait(script.after, effect)
      case "Fail":
        return wait(script.after, Effect.fail(new StoreError({ operation: query })))
      case "Hang":
        return Effect.andThen(Deferred.await(script.healed), Effect.suspend(() => follow(query, effect)))
    }
  }

  return Context.make(
    ScriptedStores,
    ScriptedStores.of({
      fail: (queries, options) => set(() => ({ _tag: "Fail", after: options?.after ?? 0 }), queries),
      delay: (after, queries) => set(() => ({ _tag: "Answer", after }), queries),
      hang: (queries) => set(() => ({ _tag: "Hang", healed: Deferred.makeUnsafe() }), queries),
      heal: (queries) => set(() => ({ _tag: "Answer", after: 0 }), queries),
      counts: () => ({ ...counts }),
      behind: (effect) => Effect.suspend(() => follow("other", effect))
    })
  ).pipe(
    Context.add(
      ChatBindings,
      ChatBindings.of({
        get: (chatId) => scripted("binding", bindings.get(chatId)),
        bindWorkspace: (options) => scripted("bindWorkspace", bindings.bindWorkspace(options)),
        bindAgent: (seen, buildId, agentId) => scripted("bindAgent", bindings.bindAgent(seen, buildId, agentId))
      })
    ),
    Context.add(
      WorkspaceAgents,
      WorkspaceAgents.of({
        agent: (agentId) => scripted("agent", agents.agent(agentId)),
        latestBuild: (workspaceId) => scripted("latestBuild", agents.latestBuild(workspaceId))
      })
    )
  )
})

/**
 * Puts the hands between the ports and whoever uses them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ScriptedStores | ChatBindings | WorkspaceAgents,
  never,
  ChatBindings | WorkspaceAgents
> = Layer.effectContext(make)

const wait = <A, E, R>(after: Duration.Input, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  after === 0 ? effect : Effect.delay(effect, after)
