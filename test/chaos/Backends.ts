/** The backends, their own links to PostgreSQL, and what they are asked. */
import { Effect, Redacted, Schema } from "effect"
import { type NodeId, OwnerId } from "../../src/domain/Ids.ts"
import type { TurnEvent } from "../../src/domain/Turn.ts"
import * as Bounds from "./Bounds.ts"
import * as Child from "./Child.ts"
import * as Proxy from "./Proxy.ts"
import { Event, Options, Request } from "./Wire.ts"

export const schema = "chaos"
export const owner = OwnerId.make("owner")
export const token = Redacted.make("token-of-the-owner")

/** An answer, or that the process died before it came. */
export type Told = { readonly _tag: "Answer"; readonly result: Schema.Json } | { readonly _tag: "Died" }

/** What a turn told, and how that ended: with an event, an error, or the process. */
export interface Heard {
  readonly events: ReadonlyArray<TurnEvent>
  readonly error: string | null
  /** The numbers of the events. */
  readonly numbers: ReadonlyArray<number>
}

export interface Backend {
  readonly child: Child.Child
  /** Where it listens; nowhere while it does not run. */
  readonly port: () => number | undefined
  /** Its name among the nodes; another after each start. */
  readonly nodeId: () => NodeId | undefined
  readonly database: Proxy.Proxy
  readonly ask: (request: (id: string) => typeof Request.Type) => Effect.Effect<Told>
  /** Sends a message, and hears its turn to the end if there is one. */
  readonly send: (
    request: (id: string) => typeof Request.Type
  ) => Effect.Effect<{ readonly sent: Told; readonly heard: Effect.Effect<Heard> }>
}

interface Waiting {
  readonly answer: (told: Told) => void
  readonly events: Array<TurnEvent>
  readonly numbers: Array<number>
  over?: Heard | undefined
  onOver?: ((heard: Heard) => void) | undefined
}

/** Starts one, over the database of the url. */
export const make = Effect.fnUntraced(function*(options: {
  readonly name: string
  readonly url: Redacted.Redacted<string>
  readonly env: Readonly<Record<string, string>>
  /** Hears each line that it writes to stderr. */
  readonly onError?: ((line: string) => void) | undefined
  /** Where it builds workspaces, and what their agents call. */
  readonly building?: (typeof Options.Type)["building"] | undefined
}) {
  const database = yield* Proxy.make(() => Proxy.databaseAt(options.url))
  const url = Redacted.value(Proxy.through(options.url, database))
  const waiting = new Map<string, Waiting>()
  let requests = 0
  let port: number | undefined
  let nodeId: NodeId | undefined

  const end = (id: string, entry: Waiting, error: string | null): void => {
    const heard: Heard = { events: entry.events, numbers: entry.numbers, error }
    entry.over = heard
    entry.onOver?.(heard)
    waiting.delete(id)
  }

  const gone = (): void => {
    port = undefined
    for (const [id, entry] of waiting) {
      entry.answer({ _tag: "Died" })
      end(id, entry, "died")
    }
  }

  const hear = (event: typeof Event.Type): void => {
    if (event._tag === "Ready") {
      port = event.port
      nodeId = event.nodeId
      return
    }
    if (event._tag === "Gone") return gone()
    const entry = waiting.get(event.id)
    if (entry === undefined) return
    if (event._tag === "Answer") entry.answer({ _tag: "Answer", result: event.result })
    else if (event._tag === "Told") {
      entry.events.push(event.told.event)
      entry.numbers.push(event.told.number)
    } else end(event.id, entry, event.error)
  }

  const child = yield* Child.make({
    name: options.name,
    args: [file, encodeOptions({ schema, owner, token: Redacted.value(token), building: options.building ?? null })],
    env: () => ({ ...Bounds.backend, ...options.env, DATABASE_URL: url }),
    onLine: (line) => hear(decode(line)),
    onError: (line) => options.onError?.(line),
    onExit: gone,
    isReady: () => port !== undefined
  })

  const begin = (request: (id: string) => typeof Request.Type) =>
    Effect.callback<readonly [Told, Waiting, string]>((resume) => {
      const id = `${options.name}-${++requests}`
      const entry: Waiting = { answer: (told) => resume(Effect.succeed([told, entry, id])), events: [], numbers: [] }
      // It may have died since it was chosen.
      if (port === undefined) {
        entry.over = { events: [], numbers: [], error: "died" }
        return entry.answer({ _tag: "Died" })
      }
      waiting.set(id, entry)
      child.write(encode(request(id)))
    })

  const backend: Backend = {
    child,
    port: () => port,
    nodeId: () => port === undefined ? undefined : nodeId,
    database,
    ask: (request) =>
      Effect.map(begin(request), ([told, , id]) => {
        waiting.delete(id)
        return told
      }),
    send: (request) =>
      Effect.map(begin(request), ([sent, entry]) => ({
        sent,
        heard: Effect.callback<Heard>((resume) => {
          if (entry.over !== undefined) return resume(Effect.succeed(entry.over))
          entry.onOver = (heard) => resume(Effect.succeed(heard))
        })
      }))
  }
  yield* child.start
  return backend
})

const file = new URL("./program.ts", import.meta.url).pathname

const encodeOptions = Schema.encodeSync(Schema.fromJsonString(Options))
const encode = Schema.encodeSync(Schema.fromJsonString(Request))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Event))
