/**
 * What is said in chats over HTTP: messages, their turns, and what a turn tells while it runs. The handlers are in
 * `TurnsHandlers`.
 *
 * It needs no chats of the module, so an application with chats of its own can mount it alone.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { ChatId, MessageId, TurnId } from "../domain/Ids.ts"
import { Turn, TurnEvent, TurnMessage } from "../domain/Turn.ts"
import { Authorization } from "./Authentication.ts"
import { Bodies } from "./Bodies.ts"
import * as EventStream from "./EventStream.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

/**
 * Where a message stands in the history of its chat, as a text: the number of its turn and its number there, with a dot
 * between them.
 *
 * @since 0.1.0
 * @category models
 */
export const Position = Schema.TemplateLiteralParser([Schema.FiniteFromString, ".", Schema.FiniteFromString]).pipe(
  Schema.decodeTo(
    Schema.Struct({ epoch: Count, number: Count }),
    SchemaTransformation.transform({
      decode: ([epoch, , number]) => ({ epoch, number }),
      encode: ({ epoch, number }) => [epoch, ".", number] as const
    })
  )
).annotate({ identifier: "Position" }).pipe(
  Schema.annotateEncoded({ description: "The `next` of the page before: the number of a turn, a dot, and one in it" })
)

/**
 * A page of the history of a chat, the oldest message first. `next` is the `after` of the page that follows; it is null
 * when there was nothing behind the one that was asked for.
 *
 * @since 0.1.0
 * @category models
 */
export const HistoryPage = Schema.Struct({
  messages: Schema.Array(Schema.Struct({ epoch: Schema.Int, number: Schema.Int, message: TurnMessage })),
  next: Schema.NullOr(Position)
})

/**
 * A message of a user, under an id that its client made for it: a repeat has the same.
 *
 * @since 0.1.0
 * @category models
 */
export const NewMessage = Schema.Struct({ messageId: MessageId, text: Schema.NonEmptyString })

/**
 * The turn that a message began, or to which it belongs, in a header of the answer.
 *
 * @since 0.1.0
 * @category constants
 */
export const turnHeader = "chat-workspace-turn"

const chat = { chatId: ChatId }
const turn = { turnId: TurnId }
const notFound = [Problems.notFound, Problems.storeError] as const

const send = HttpApiEndpoint.post("send", "/chats/:chatId/messages", {
  params: chat,
  headers: EventStream.headers,
  query: EventStream.query,
  payload: NewMessage,
  success: EventStream.schema(TurnEvent),
  error: [
    ...notFound,
    Problems.turnRunning,
    Problems.messageTooLarge,
    Problems.tooManyStreams,
    Problems.turnRefused
  ]
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Send a message",
  description:
    "Begins the turn of a message and streams what it tells, up to its `End`. The turn goes on when you leave. " +
    "The same message again attaches to its turn: from the first event, or behind `Last-Event-ID`. The header " +
    `\`${turnHeader}\` of the answer has the id of the turn.`
}))

const history = HttpApiEndpoint.get("history", "/chats/:chatId/messages", {
  params: chat,
  query: { after: Schema.optionalKey(Position) },
  success: HistoryPage,
  error: notFound
}).annotateMerge(OpenApi.annotations({
  summary: "Read the history of a chat",
  description:
    "The oldest message first, at most 1,000 messages and 4 MiB at once. `next` is the `after` of the page " +
    "that follows."
}))

const latest = HttpApiEndpoint.get("latest", "/chats/:chatId/turn", {
  params: chat,
  success: Schema.NullOr(Turn),
  error: notFound
}).annotateMerge(OpenApi.annotations({
  summary: "Read the latest turn of a chat",
  description: "Null in a chat in which nothing was said."
}))

const interrupt = HttpApiEndpoint.post("interrupt", "/chats/:chatId/interrupt", {
  params: chat,
  success: Schema.NullOr(Turn).pipe(HttpApiSchema.status("Accepted")),
  error: notFound
}).annotateMerge(OpenApi.annotations({
  summary: "Interrupt the turn of a chat",
  description: "Answers the turn, which ends when its node has heard of it, or null when none runs."
}))

const get = HttpApiEndpoint.get("get", "/turns/:turnId", {
  params: turn,
  success: Turn,
  error: notFound
}).annotateMerge(OpenApi.annotations({ summary: "Read a turn", description: "How far it is, or how it ended." }))

const follow = HttpApiEndpoint.get("follow", "/turns/:turnId/events", {
  params: turn,
  headers: EventStream.headers,
  query: EventStream.query,
  success: EventStream.schema(TurnEvent),
  error: [...notFound, Problems.tooManyStreams]
}).annotateMerge(OpenApi.annotations({
  summary: "Follow a turn",
  description:
    "What a turn tells, from its first event or behind `Last-Event-ID`, up to its `End`, whichever node runs it."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class TurnsApi extends HttpApiGroup.make("turns")
  .add(send, history, latest, interrupt, get, follow)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Turns", description: "What is said in chats, and what comes of it." }))
{}
