/** Whole backends over the database of the block, and calls of the tools in them. */
import { Effect, Redacted, Schema } from "effect"
import { ChatId, OwnerId } from "../../../../src/domain/Ids.ts"
import { TestDatabase } from "../../../postgres.ts"
import { Event, Options, Request } from "../backend.ts"
import { Place } from "./Place.ts"
import * as Program from "./Program.ts"

export { eventually, until } from "./Program.ts"

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
  const answers = new Map<string, Result>()
  const reports = new Map<string, Array<Result>>()
  let ready: Extract<typeof Event.Type, { readonly _tag: "Ready" }> | undefined
  const program = yield* Program.start({
    file,
    args: [encodeOptions({ schema, templates, workspaces })],
    request: Request,
    event: Event,
    on: (event) => {
      if (event._tag === "Ready") ready = event
      else if (event._tag === "Answer") answers.set(event.id, decodeResult(event.result))
      else reports.get(event.id)?.push(decodeResult(event.result))
    },
    env: {
      ...bounds,
      ...options?.bounds,
      HOME: directory,
      WORKSPACES_DIR: workspaces,
      DATABASE_URL: Redacted.value(url),
      SERVER_SECRET: secret
    }
  })
  const { nodeId, port } = yield* program.said("the backend is ready", () => ready)

  /** Calls a tool in a turn of its own. */
  const begin = Effect.fnUntraced(function*(chat: ChatId, tool: string, args: Schema.Json = {}) {
    const id = fresh("call")
    const progress: Array<Result> = []
    reports.set(id, progress)
    yield* program.tell({ _tag: "Call", id, chat, owner, tool, args })
    const answer = program.said(`${tool} has answered`, () => answers.get(id))
    const answeredOrTold = Program.until(
      `${tool} has answered or reported`,
      () => answers.has(id) || progress.length > 0 || program.hasEnded()
    )
    return { id, progress, answer, answeredOrTold } satisfies Call
  })

  return {
    port,
    nodeId,
    begin,
    call: (chat: ChatId, tool: string, args?: Schema.Json) =>
      Effect.flatMap(begin(chat, tool, args), ({ answer }) => answer),
    interrupt: ({ id }: Call) => program.tell({ _tag: "Interrupt", id }),
    peer: (other: { readonly port: number }) => program.tell({ _tag: "Peer", port: other.port }),
    signal: program.signal,
    kill: program.kill
  }
})

export const chat = (): ChatId => ChatId.make(fresh("chat"))

/** What a call has been told of its build. */
export const untilTold = (call: Call, tag: string): Effect.Effect<boolean> =>
  Program.until(
    `a call was told ${tag}`,
    () => call.progress.some(({ progress }) => isTagged(progress) && progress._tag === tag)
  )

const file = new URL("../backend.ts", import.meta.url).pathname

const encodeOptions = Schema.encodeSync(Schema.fromJsonString(Options))
const decodeResult = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Json))
const isTagged = Schema.is(Schema.Struct({ _tag: Schema.String }))
