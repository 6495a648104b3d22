/**
 * One MCP server, kept alive: started when it is first asked for, started again when it ended, left to rest when it ends
 * too often.
 *
 * ```
 * (asleep) --wake--> starting --hands shaken, tools listed--> ready
 *                       |  no answer in time, or ended           | ended
 *                       v                                        v
 *                     failed  --delay, doubled each time--> starting
 *                       `------ started too often --> resting: as failed, until it is woken after that
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type McpCallResult, mcpLimits, McpRefused, type McpServer as Listed } from "../Protocol.ts"
import * as McpClient from "./McpClient.ts"
import type { Entry } from "./McpFile.ts"
import * as McpResult from "./McpResult.ts"
import { McpFailed, McpTransports, type Target } from "./McpTransport.ts"
import { ProgramConfig } from "./ProgramConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface McpServer {
  /** What it offers now. */
  readonly look: () => Listed
  /** Starts it if it is asleep, or has rested long enough. */
  readonly wake: Effect.Effect<void>
  /** Waits until it is known whether it can be used, and asks a server that can for its tools anew. */
  readonly settled: Effect.Effect<void>
  /** Calls a tool, once; waits for a server that is starting. */
  readonly call: (tool: string, given: Schema.JsonObject) => Effect.Effect<McpCallResult, McpRefused>
}

/** Where it is. A server in use has a client. */
interface State {
  readonly state: Listed["state"]
  readonly problem: string | null
  readonly client: McpClient.McpClient | undefined
  readonly found: McpClient.Found
}

/**
 * A server that sleeps; it ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  { name, spec }: Entry,
  version: string
): Effect.fn.Return<McpServer, never, McpTransports | Scope.Scope> {
  const config = yield* ProgramConfig
  const transports = yield* McpTransports
  const scope = yield* Effect.scope
  const decided = Latch.makeUnsafe(false)
  const window = Duration.toMillis(config.mcpStartWindow)
  let state: State = { state: "starting", problem: notYet, client: undefined, found: nothing }
  let running = false
  let starts: ReadonlyArray<number> = []

  const begin = (now: number): void => {
    starts = [...starts.filter((at) => now - at < window), now]
    state = { state: "starting", problem: notYet, client: undefined, found: nothing }
    decided.closeUnsafe()
  }

  const fail = (problem: string): void => {
    state = { state: "failed", problem, client: undefined, found: nothing }
    decided.openUnsafe()
  }

  const shake = Effect.fnUntraced(function*(target: Target) {
    const transport = yield* transports.open(target)
    const client = yield* McpClient.connect(transport, version)
    return { transport, client, found: yield* client.tools }
  })

  /** From a start to its end, and why it ended. */
  const life = Effect.fnUntraced(function*(target: Target): Effect.fn.Return<string, McpFailed, Scope.Scope> {
    const { client, found, transport } = yield* Effect.timeoutOrElse(shake(target), {
      duration: config.mcpHandshake,
      orElse: () => Effect.fail(new McpFailed({ reason: "ended", detail: "it did not answer in time" }))
    })
    state = { state: "ready", problem: null, client, found }
    decided.openUnsafe()
    yield* Effect.logDebug("An MCP server is ready.", { server: name, tools: found.tools.length })
    return yield* transport.ended
  })

  const keep = Effect.fnUntraced(function*(target: Target) {
    let failures = 0
    while (true) {
      const begun = yield* Clock.currentTimeMillis
      const why = yield* Effect.scoped(
        // Said at once: to clear away what it leaves may take its time.
        Effect.tap(
          Effect.catch(life(target), ({ detail }) => Effect.succeed(detail)),
          (why) => Effect.sync(() => fail(why))
        )
      )
      const now = yield* Clock.currentTimeMillis
      yield* Effect.logWarning("An MCP server cannot be used.", { server: name, why })
      if (isSpent(now)) return fail(`${why}; it was started ${starts.length} times and rests`)
      if (now - begun >= Duration.toMillis(config.healthyAfter)) failures = 0
      const grown = Duration.toMillis(config.mcpBackoffBase) * 2 ** Math.min(failures++, 30)
      yield* Effect.sleep(Duration.min(Duration.millis(grown), config.mcpBackoffCap))
      begin(yield* Clock.currentTimeMillis)
    }
  })

  const isSpent = (now: number): boolean => starts.filter((at) => now - at < window).length >= config.mcpStarts

  const wake = Effect.gen(function*() {
    if (running) return
    if (spec._tag === "Unusable") return fail(spec.problem)
    const now = yield* Clock.currentTimeMillis
    if (isSpent(now)) return
    running = true
    // Here, and not in the fiber: who looks next must see that it is starting.
    begin(now)
    yield* keep({ name, spec }).pipe(
      Effect.onExit(() =>
        Effect.sync(() => {
          running = false
          // Nobody may wait for one that nobody keeps.
          decided.openUnsafe()
        })
      ),
      Effect.forkIn(scope)
    )
  })

  const refresh = Effect.suspend(() => {
    const { client } = state
    if (client === undefined) return Effect.void
    const become = (change: Partial<State>): Effect.Effect<void> =>
      Effect.sync(() => {
        if (state.client === client) state = { ...state, ...change }
      })
    // Said before it is asked: who waits for the answer may leave without it.
    return Effect.andThen(become({ problem: "its tools are those that it listed before" }), client.tools).pipe(
      Effect.flatMap((found) => become({ problem: null, found })),
      Effect.catch(({ detail }) => become({ problem: `its tools are those that it listed before: ${detail}` }))
    )
  })

  return {
    wake,
    look: () => ({
      name,
      state: state.state,
      reason: reasonOf(state),
      tools: state.found.tools
    }),
    settled: Effect.suspend(() => {
      // One that has just listed its tools is not asked again.
      const fresh = state.state === "starting"
      return Effect.andThen(decided.await, fresh ? Effect.void : refresh)
    }),
    call: Effect.fnUntraced(function*(tool, given) {
      const refused = (reason: McpRefused["reason"], detail: string | null) =>
        new McpRefused({ server: name, tool, reason, detail })
      yield* wake
      yield* decided.await
      const { client, found } = state
      if (client === undefined) return yield* refused("notRunning", reasonOf(state))
      if (!found.tools.some(({ name }) => name === tool)) return yield* refused("noTool", null)
      return yield* client.call(tool, given).pipe(
        Effect.mapError(({ detail, reason }) => {
          // The next call may come before its keeper has noticed, and must not be said to have run.
          if (reason === "ended" && state.client === client) fail(detail)
          return refused(reason, detail)
        }),
        Effect.timeoutOrElse({
          duration: config.mcpCallLimit,
          orElse: () => Effect.fail(refused("noAnswer", null))
        })
      )
    })
  }
})

const notYet = "it has not answered yet"

const nothing: McpClient.Found = { tools: [], leftOut: 0 }

const reasonOf = ({ found, problem }: State): string | null => {
  const leftOut = found.leftOut === 0 ? [] : [`${found.leftOut} tools are left out: too many, too large or not valid`]
  const parts = [...(problem === null ? [] : [problem]), ...leftOut]
  return parts.length === 0 ? null : McpResult.shortened(parts.join("; "), mcpLimits.reason)
}
