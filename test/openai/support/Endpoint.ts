/** An endpoint on a real socket that answers as a test says. */
import { Deferred, Effect } from "effect"
import { createServer } from "node:http"
import type { IncomingHttpHeaders, ServerResponse } from "node:http"

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
}

/** How a request is answered. */
export type Behaviour = (response: ServerResponse, received: Received) => void

export interface Endpoint {
  readonly baseUrl: string
  readonly requests: ReadonlyArray<Received>
  /** Completes when the other side has closed the connection of a request before its answer was complete. */
  readonly left: Deferred.Deferred<void>
  /** Completes when a request was read. */
  readonly asked: Deferred.Deferred<void>
}

/** Answers the requests by these behaviours, each once and the last one always. */
export const make = (...behaviours: ReadonlyArray<Behaviour>) =>
  Effect.acquireRelease(
    Effect.callback<Endpoint & { readonly close: () => void }>((resume) => {
      const requests: Array<Received> = []
      const left = Deferred.makeUnsafe<void>()
      const asked = Deferred.makeUnsafe<void>()
      const server = createServer((request, response) => {
        const pieces: Array<Buffer> = []
        request.on("data", (piece: Buffer) => pieces.push(piece))
        request.on("end", () => {
          const received = {
            path: request.url ?? "",
            headers: request.headers,
            body: JSON.parse(Buffer.concat(pieces).toString())
          }
          requests.push(received)
          Deferred.doneUnsafe(asked, Effect.void)
          behaviours[Math.min(requests.length, behaviours.length) - 1]?.(response, received)
        })
        response.on("close", () => {
          if (!response.writableFinished) Deferred.doneUnsafe(left, Effect.void)
        })
        response.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({
          baseUrl: `http://127.0.0.1:${port}/v1`,
          requests,
          left,
          asked,
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

export const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Behaviour =>
  text(JSON.stringify(body), status, { "content-type": "application/json", ...headers })

export const text =
  (body: string, status = 200, headers: Readonly<Record<string, string>> = {}): Behaviour => (response) => {
    response.writeHead(status, headers)
    response.end(body)
  }

/** Sends pieces one after the other, each on its way before the next is written, and then ends, breaks or hangs. */
export const pieces =
  (pieces: Iterable<string | Uint8Array>, then: "end" | "break" | "hang" = "end"): Behaviour => (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    const iterator = pieces[Symbol.iterator]()
    const next = (): void => {
      const { done, value } = iterator.next()
      if (done !== true) response.write(value, () => setImmediate(next))
      else if (then === "end") response.end()
      else if (then === "break") response.destroy()
    }
    next()
  }

export const silent: Behaviour = () => {}

export const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

export const done = "data: [DONE]\n\n"
