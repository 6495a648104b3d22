/** The client over routes in process, with hands on what goes between them. */
import { Effect } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import type { HttpClientRequest } from "effect/http"
import type { Routes } from "./requests.ts"

/** What becomes of the answers, each with its number from 0; `undefined` for one that does not come, since the link broke. */
export type Meddle = (response: Response, asked: number) => Response | undefined

export interface Wire {
  readonly client: HttpClient.HttpClient
  readonly requests: ReadonlyArray<HttpClientRequest.HttpClientRequest>
}

const textOf = ({ body }: HttpClientRequest.HttpClientRequest): string | undefined =>
  body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : undefined

export const wire = ({ fetch: ask }: Routes, meddle: Meddle = (response) => response): Wire => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  return {
    requests,
    client: HttpClient.make((request, url) =>
      Effect.gen(function*() {
        const asked = requests.push(request) - 1
        const { authorization, ...headers } = request.headers
        const response = yield* ask(`${request.method} ${url.pathname}${url.search}`, {
          token: authorization?.replace(/^Bearer /, "") ?? null,
          body: textOf(request),
          headers
        })
        const met = meddle(response, asked)
        return met === undefined
          ? yield* new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, description: "The link broke" })
          })
          : HttpClientResponse.fromWeb(request, met)
      })
    )
  }
}

/** The answer, which ends after so many pieces, with an error or as if it were whole. */
export const cutAfter = (response: Response, pieces: number, how: "ends" | "breaks"): Response => {
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader()
  let read = 0
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = read++ < pieces ? await reader.read() : { done: true, value: undefined }
      if (value !== undefined) return controller.enqueue(value)
      await reader.cancel()
      if (done && how === "ends") controller.close()
      else controller.error(new Error("The link broke"))
    },
    cancel: () => reader.cancel()
  })
  return new Response(body, { status: response.status, headers: response.headers })
}
