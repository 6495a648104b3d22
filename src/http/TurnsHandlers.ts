/**
 * Answers `TurnsApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { TurnId } from "../domain/Ids.ts"
import { TurnEvent } from "../domain/Turn.ts"
import type { NumberedEvent } from "../domain/Turn.ts"
import { TurnStore } from "../store/TurnStore.ts"
import { Turns } from "../turn/Turns.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import type { Bodies } from "./Bodies.ts"
import * as EventStream from "./EventStream.ts"
import { HttpConfig } from "./HttpConfig.ts"
import { MessageTooLarge, NotFound } from "./HttpErrors.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import type { Requests } from "./Requests.ts"
import { turnHeader, TurnsApi } from "./TurnsApi.ts"

const api = HttpApi.make("chat-workspace").add(TurnsApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "turns">,
  never,
  Turns | TurnStore | Owned.OwnedChats | EventStream.EventStreams | Authorization | Requests | Bodies
> = HttpApiBuilder.group(
  api,
  "turns",
  Effect.fnUntraced(function*(handlers) {
    const turns = yield* Turns
    const store = yield* TurnStore
    const streams = yield* EventStream.EventStreams
    const chatOf = yield* Owned.chats
    const turnOf = yield* Owned.turns
    const { messageBytes } = yield* HttpConfig

    return handlers.handleAll({
      send: Effect.fnUntraced(function*({ headers, params, payload: { messageId, text }, query }) {
        const { owner } = yield* CurrentPrincipal
        const { chatId, parentId } = yield* chatOf(params.chatId)
        if (bytesOf(text) > messageBytes) return yield* new MessageTooLarge({ limit: messageBytes })
        // Before the turn begins: nobody would see what it tells.
        const respond = yield* streams.reserve
        const { events, turn } = yield* Effect.catchTag(
          turns.send({ chatId, owner, messageId, text, child: parentId !== null }),
          "BindingRefused",
          () => Effect.fail(new NotFound({ kind: "chat", id: chatId }))
        )
        const after = EventStream.after({ headers, query })
        return respond({
          data: TurnEvent,
          events: told(after === 0 ? events : turns.follow({ turnId: turn.turnId, owner, after })),
          headers: headersOf(turn.turnId)
        })
      }),
      history: Effect.fnUntraced(function*({ params, query: { after } }) {
        const { owner } = yield* CurrentPrincipal
        const { chatId } = yield* chatOf(params.chatId)
        const messages = yield* store.history({ chatId, owner, after })
        const last = messages.at(-1)
        return { messages, next: last === undefined ? null : { epoch: last.epoch, number: last.number } }
      }),
      latest: Effect.fnUntraced(function*({ params }) {
        const { owner } = yield* CurrentPrincipal
        const { chatId } = yield* chatOf(params.chatId)
        return Option.getOrNull(yield* store.latest({ chatId, owner }))
      }),
      interrupt: Effect.fnUntraced(function*({ params }) {
        const { owner } = yield* CurrentPrincipal
        const { chatId } = yield* chatOf(params.chatId)
        return Option.getOrNull(yield* turns.interrupt({ chatId, owner }))
      }),
      get: ({ params }) => turnOf(params.turnId),
      follow: Effect.fnUntraced(function*({ headers, params, query }) {
        const { owner, turnId } = yield* turnOf(params.turnId)
        return yield* streams.respond({
          data: TurnEvent,
          events: told(turns.follow({ turnId, owner, after: EventStream.after({ headers, query }) })),
          headers: headersOf(turnId)
        })
      })
    })
  })
)

const bytesOf = (text: string): number => new TextEncoder().encode(text).length

const told = <E>(events: Stream.Stream<NumberedEvent, E>): Stream.Stream<EventStream.Told<TurnEvent>, E> =>
  Stream.map(events, ({ event, number }) => ({ number, data: event }))

/** Ids of turns are made here, and are plain. */
const headersOf = (turnId: TurnId) => ({ [turnHeader]: turnId })

/**
 * The routes of this group alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes: Layer.Layer<
  never,
  never,
  Turns | TurnStore | Owned.OwnedChats | EventStream.EventStreams | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))
