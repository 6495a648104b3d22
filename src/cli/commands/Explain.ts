/**
 * `chat-workspace explain <chat>`: why a chat is stuck.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import { ChatId } from "../../domain/Ids.ts"
import * as Explanation from "../../turn/Explanation.ts"
import * as Database from "../Database.ts"
import { operatorPort } from "./Serve.ts"

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "explain",
  {
    ...Database.flags,
    operatorPort,
    chatId: Argument.String("chat").pipe(
      Argument.withDescription("Id of the chat"),
      Argument.withSchema(ChatId)
    )
  },
  Effect.fn(function*({ chatId, data, databaseUrl, operatorPort, schema }) {
    const asked = HttpClient.get(`http://127.0.0.1:${operatorPort}/explain/${encodeURIComponent(chatId)}`).pipe(
      Effect.flatMap(HttpClientResponse.filterStatusOk),
      Effect.flatMap((response) => response.text),
      Effect.timeout("10 seconds"),
      Effect.map((text) => text.trimEnd()),
      Effect.provide(FetchHttpClient.layer)
    )
    // What a node knows lives in its memory; the store is the same for all, and can be asked without one.
    const stored = Effect.gen(function*() {
      const { url } = yield* Database.locate({ databaseUrl, data })
      const explanation = yield* Effect.flatMap(Explanation.Explanations, ({ explain }) => explain(chatId)).pipe(
        Effect.provide(Explanation.layerStored.pipe(Layer.provide(Database.layerStores(url, { schema }))))
      )
      return Explanation.format(explanation)
    })
    yield* Effect.flatMap(Effect.catch(asked, () => stored), Console.log)
  }, Effect.scoped)
).pipe(
  Command.withDescription("Say why a chat is stuck; asks the server on this machine, or else the database alone")
)
