/** Whole backends over the database of the block, and calls of the tools in them. */
import { assert } from "@effect/vitest"
import { Effect, Option, Redacted, Schedule, Schema } from "effect"
import { spawn } from "node:child_process"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { ChatId, OwnerId } from "../../../../src/domain/Ids.ts"
import { TestDatabase } from "../../../postgres.ts"
import { Event, Options, Request } from "../backend.ts"
import { Place } from "./Place.ts"

export type Backend = Effect.Success<ReturnType<typeof start>>

/** What a tool answers, as a model reads it. */
export type Result = Readonly<Record<string, Schema.Json>>

export interface Call {
  readonly id: string
  readonly answer: Effect.Effect<Result>
  /** The answer, or the first report. */
  readonly answeredOrTold: Effect.Effect<unknown>
  /** What was reported so far. */
  readonly progress: ReadonlyArray<Result>
}

export const schema = "flows"

export const owner = OwnerId.make("ann")

/** Stands for whatever secrets the environment of a server has. */
export const secret = "a-secret-of-the-server"

let numbers = 0

/** A name that no other test of this file uses. */
export const fresh = (name: string): string => `${name}-${++numbers}`

/** Looks until what is seen is so; answers that. */
export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  met: (seen: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.repeat(look, { until: met, schedule: Schedule.spaced("20 millis") }).pipe(
    Effect.timeoutOrElse({
      duration: "45 seconds",
      orElse: () => Effect.die(new Error(`waited in vain until ${what}`))
    })
  )

/** Waits for a state of the world that no event tells of. */
export const until = (what: string, condition: () => boolean): Effect.Effect<boolean> =>
  eventually(what, Effect.sync(condition), (met) => met)

/** Bounds that are far above what a step takes, and far below what a test may take. */
const bounds = {
  BUILD_POLL: "100 millis",
  BUILD_LEASE: "4 seconds",
  BUILD_RENEW: "500 millis",
  BUILD_AGENT_POLL: "100 millis",
  BUILD_SCRIPTS_POLL: "100 millis",
  BUILD_NEW_WORKSPACES: "100",
  STORE_CALL_TIMEOUT: "20 seconds",
  GATEWAY_HEARTBEAT: "300 millis",
  GATEWAY_PING_INTERVAL: "250 millis",
  GATEWAY_PING_TIMEOUT: "10 seconds"
}

/** Starts a backend; it is killed with the scope. */
export const start = Effect.fnUntraced(function*(options?: {
  readonly bounds?: Readonly<Record<string, string>> | undefined
}) {
  const { url } = yield* TestDatabase
  const { directory, templates, workspaces } = yield* Place
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [program, encodeOptions({ schema, templates, workspaces })], {
        stdio: "pipe",
        env: {
          ...bounds,
          ...options?.bounds,
          // The scripts of templates call node.
          PATH: `${Path.dirname(process.execPath)}:${process.env["PATH"]}`,
          HOME: directory,
          WORKSPACES_DIR: workspaces,
          DATABASE_URL: Redacted.value(url),
          SERVER_SECRET: secret
        }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let errors = ""
  child.stderr.on("data", (data: Buffer) => (errors += String(data)))
  child.stdin.on("error", () => undefined)
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()))

  const answers = new Map<string, Result>()
  const reports = new Map<string, Array<Result>>()
  let ready: Extract<typeof Event.Type, { readonly _tag: "Ready" }> | undefined
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = Option.getOrUndefined(decodeEvent(line))
    // How it failed, if it did.
    if (event === undefined) errors += `${line}\n`
    else if (event._tag === "Ready") ready = event
    else if (event._tag === "Answer") answers.set(event.id, decodeResult(event.result))
    else reports.get(event.id)?.push(decodeResult(event.result))
  })
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  yield* until("the backend is ready", () => ready !== undefined || hasEnded())
  const { nodeId, port } = ready ?? assert.fail(errors)

  const tell = (request: typeof Request.Type) => Effect.sync(() => child.stdin.write(`${encodeRequest(request)}\n`))

  /** Calls a tool in a turn of its own. */
  const begin = Effect.fnUntraced(function*(chat: ChatId, tool: string, args: Schema.Json = {}) {
    const id = fresh("call")
    const progress: Array<Result> = []
    reports.set(id, progress)
    yield* tell({ _tag: "Call", id, chat, owner, tool, args })
    const answer = Effect.map(
      until(`${tool} has answered`, () => answers.has(id) || hasEnded()),
      () => answers.get(id) ?? assert.fail(`the backend has ended: ${errors}`)
    )
    const answeredOrTold = until(
      `${tool} has answered or reported`,
      () => answers.has(id) || progress.length > 0 || hasEnded()
    )
    return { id, progress, answer, answeredOrTold } satisfies Call
  })

  return {
    port,
    nodeId,
    begin,
    call: (chat: ChatId, tool: string, args?: Schema.Json) =>
      Effect.flatMap(begin(chat, tool, args), ({ answer }) => answer),
    interrupt: ({ id }: Call) => tell({ _tag: "Interrupt", id }),
    peer: (other: { readonly port: number }) => tell({ _tag: "Peer", port: other.port }),
    signal: (name: "SIGSTOP" | "SIGCONT") => Effect.sync(() => child.kill(name)),
    /** Kills it, and waits for its end. */
    kill: Effect.promise(() => {
      child.kill("SIGKILL")
      return exited
    })
  }
})

export const chat = (): ChatId => ChatId.make(fresh("chat"))

/** What a call has been told of its build. */
export const untilTold = (call: Call, tag: string): Effect.Effect<boolean> =>
  until(
    `a call was told ${tag}`,
    () => call.progress.some(({ progress }) => isTagged(progress) && progress._tag === tag)
  )

const program = new URL("../backend.ts", import.meta.url).pathname

const encodeOptions = Schema.encodeSync(Schema.fromJsonString(Options))
const encodeRequest = Schema.encodeSync(Schema.fromJsonString(Request))
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))
const decodeResult = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Json))
const isTagged = Schema.is(Schema.Struct({ _tag: Schema.String }))
