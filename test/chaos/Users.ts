/**
 * Users at the API: each has the derived client, behind a link of its own that leads now to one node and now to another.
 * Every answer must be one that the contract knows.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Context, Effect, Layer, Result, type Scope, Stream } from "effect"
import { HttpClient } from "effect/http"
import { prefix } from "../../src/cli/ApiAddress.ts"
import type { ChatId, MessageId } from "../../src/domain/Ids.ts"
import type { Turn, TurnEvent } from "../../src/domain/Turn.ts"
import * as Client from "../../src/http/Client.ts"
import { type Backend, type Heard, token } from "./Backends.ts"
import type { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import * as Proxy from "./Proxy.ts"

export interface User {
  /** Between the user and the nodes. */
  readonly link: Proxy.Proxy
  /** Sends a message and hears its turn, across links and nodes that are lost; as far as that goes. */
  readonly send: (
    message: { readonly chatId: ChatId; readonly messageId: MessageId; readonly text: string }
  ) => Effect.Effect<Heard>
  /** The turn that shall end, null where none runs; undefined where nobody answered. */
  readonly interrupt: (chatId: ChatId) => Effect.Effect<Turn | null | undefined>
}

/** What a client meets when parts are hurt. Everything else is an answer that nobody should get. */
const expected = new Set(["HttpClientError", "StoreError", "StreamLost", "TurnRefused", "TurnRunning"])

/** `node` draws where the next connection leads. */
export const make = Effect.fnUntraced(function*({ book, node }: {
  readonly book: Book
  readonly node: () => Backend
}): Effect.fn.Return<User, never, Scope.Scope> {
  const link = yield* Proxy.make(() => {
    const port = node().port()
    return port === undefined ? undefined : { port, host: "127.0.0.1" }
  })
  // A connection for each request, as of a balancer that decides for each.
  const http = Context.get(
    yield* Layer.build(NodeHttpClient.layerUndiciOptions({ pipelining: 0 })),
    HttpClient.HttpClient
  )
  const watched = HttpClient.tap(http, ({ headers, request, status }) =>
    Effect.sync(() => {
      book.tally("Answers over HTTP", String(status))
      const type = headers["content-type"] ?? ""
      if (status >= 400 && status !== 503 && status !== 409 || status >= 400 && !type.includes("problem+json")) {
        book.violate(`${request.method} ${request.url} was answered with ${status} of type ${type}`)
      }
    }))
  const client = yield* Client.make({
    baseUrl: `http://127.0.0.1:${link.port}${prefix}`,
    token,
    silence: `${Bounds.silence} seconds`,
    giveUp: "1 minute"
  }).pipe(Effect.provideService(HttpClient.HttpClient, watched))

  const failed = ({ _tag, message }: { readonly _tag: string; readonly message: string }): string => {
    if (!expected.has(_tag)) book.violate(`a request failed with ${_tag}: ${message}`)
    book.tally("Answers over HTTP", _tag)
    return _tag
  }

  return {
    link,
    send: Effect.fnUntraced(function*(message) {
      const events: Array<TurnEvent> = []
      const numbers: Array<number> = []
      const end = yield* Effect.result(
        Stream.runForEach(client.send(message), ({ event, number }) =>
          Effect.sync(() => {
            events.push(event)
            numbers.push(number)
          }))
      )
      return { events, numbers, error: Result.isFailure(end) ? failed(end.failure) : null }
    }),
    interrupt: (chatId) =>
      Effect.match(client.api.turns.interrupt({ params: { chatId } }), {
        onSuccess: (turn) => turn,
        onFailure: (error) => {
          failed(error)
          return undefined
        }
      }).pipe(
        // Nobody answers a link that is half open.
        Effect.timeoutOption(`${Bounds.silence} seconds`),
        Effect.map((answer) => answer._tag === "Some" ? answer.value : undefined)
      )
  }
})
