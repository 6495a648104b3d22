/**
 * Why a chat is stuck, over HTTP. The handlers are in `ExplanationsHandlers`.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { ChatId } from "../domain/Ids.ts"
import { ExplanationView } from "../turn/ExplanationView.ts"
import { Authorization } from "./Authentication.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

const get = HttpApiEndpoint.get("get", "/chats/:chatId/explanation", {
  params: { chatId: ChatId },
  headers: {
    accept: Schema.optionalKey(Schema.String).pipe(
      Schema.annotateKey({ description: "`text/plain` for a page of text, otherwise JSON" })
    )
  },
  success: [ExplanationView, Schema.String.pipe(HttpApiSchema.asText())],
  error: [Problems.notFound, Problems.storeError]
}).annotateMerge(OpenApi.annotations({
  summary: "Explain a chat",
  description:
    "Why a chat is stuck: the cause first, then what it rests on, of the stores and of the node that answers. " +
    "As a page of text with `Accept: text/plain`. Reading changes nothing."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class ExplanationsApi extends HttpApiGroup.make("explanations")
  .add(get)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Explanations", description: "Why a chat is stuck." }))
{}
