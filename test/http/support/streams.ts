/** Streams of events as a test reads them, piece by piece. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { ann } from "./requests.ts"

export interface Event {
  readonly id: string
  readonly data: unknown
}

/** An open stream. It ends with `close`, as when its client goes away. */
export interface Listening {
  /** What comes next, as it is; none at the end. */
  readonly next: Effect.Effect<string | undefined>
  /** The events of the rest. */
  readonly rest: Effect.Effect<ReadonlyArray<Event>>
  readonly close: Effect.Effect<void>
}

/** Reads the body of an answer. Closed with the scope of the test. */
export const listen = Effect.fnUntraced(function*(response: Response) {
  assert.strictEqual(response.status, 200)
  assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
  const reader = (response.body ?? new ReadableStream()).getReader()
  const decoder = new TextDecoder()
  const next = Effect.map(
    Effect.promise(() => reader.read()),
    ({ done, value }) => done ? undefined : decoder.decode(value, { stream: true })
  )
  const rest = Effect.gen(function*() {
    let text = ""
    let piece: string | undefined
    while ((piece = yield* next) !== undefined) text += piece
    return eventsOf(text)
  })
  const close = Effect.promise(() => reader.cancel().catch(() => undefined))
  yield* Effect.addFinalizer(() => close)
  return { next, rest, close } satisfies Listening
})

/** Asks with the client of the platform, which leaves when `leave` is run or the scope ends. */
export const ask = Effect.fnUntraced(function*(url: string, init: RequestInit = {}) {
  const controller = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const response = yield* Effect.promise(() =>
    fetch(url, {
      ...init,
      headers: { authorization: `Bearer ${ann}`, "content-type": "application/json", ...init.headers },
      signal: controller.signal
    })
  )
  return { response, leave: Effect.sync(() => controller.abort()) }
})

/** The events in a text, without what is said in silence. */
export const eventsOf = (text: string): ReadonlyArray<Event> =>
  text.split("\n\n").filter((part) => part !== "" && !part.startsWith(":")).map((part) => {
    const fields = new Map(
      part.split("\n").map((line) => {
        const at = line.indexOf(": ")
        return [line.slice(0, at), line.slice(at + 2)]
      })
    )
    return { id: fields.get("id") ?? "", data: JSON.parse(fields.get("data") ?? "null") }
  })
