/** How what is said in a chat reaches a node: over HTTP, or in the words of an application that has its turns in process. */
import { Effect, Option, Schema } from "effect"
import { type ChatId, type MessageId, TurnId } from "../../src/domain/Ids.ts"
import type { Backend, Heard } from "./Backends.ts"
import type { Book } from "./Book.ts"
import { running } from "./Chats.ts"
import type { User } from "./Users.ts"

export interface Voice {
  /** Sends a message once, and hears its turn as far as that goes. */
  readonly send: (messageId: MessageId, text: string) => Effect.Effect<Heard>
  /** The turn that shall end, null where none runs; undefined where nobody answered. */
  readonly interrupt: Effect.Effect<TurnId | null | undefined>
}

const unheard: Heard = { events: [], numbers: [], error: "not sent" }

/** At nodes that are drawn for each message, and for each interrupt `anywhere`. */
export const inProcess = ({ anywhere, book, chatId: chat, node }: {
  readonly book: Book
  readonly chatId: ChatId
  readonly node: () => Backend
  readonly anywhere: () => Backend
}): Voice => ({
  send: Effect.fnUntraced(function*(message, text) {
    const backend = yield* running(node)
    const { frozen } = backend.child
    const { heard, sent } = yield* book.timed(
      "send",
      frozen,
      backend.send((id) => ({ _tag: "Send", id, chat, message, text }))
    )
    return sent._tag === "Answer" && isSent(sent.result) ? yield* book.timed("turn", frozen, heard) : unheard
  }),
  interrupt: Effect.gen(function*() {
    const backend = yield* running(anywhere)
    const told = yield* book.timed(
      "interrupt",
      backend.child.frozen,
      backend.ask((id) => ({ _tag: "Interrupt", id, chat }))
    )
    return told._tag === "Answer" ? Option.getOrUndefined(asInterrupted(told.result))?.turn : undefined
  })
})

/**
 * The user's client goes on by itself where it is cut off. `lost` is the time in which it cannot be heard at all. The same
 * user interrupts from elsewhere.
 */
export const overHttp = ({ book, chatId, elsewhere, lost, user }: {
  readonly book: Book
  readonly chatId: ChatId
  readonly user: User
  readonly elsewhere: User
  readonly lost: Parameters<Book["timed"]>[1]
}): Voice => ({
  send: (messageId, text) => book.timed("turnOverHttp", lost, user.send({ chatId, messageId, text })),
  interrupt: Effect.map(
    book.timed("interruptOverHttp", lost, elsewhere.interrupt(chatId)),
    (turn) => turn === undefined || turn === null ? turn : turn.turnId
  )
})

const isSent = Schema.is(Schema.Struct({ turn: Schema.String, attached: Schema.Boolean }))
const asInterrupted = Schema.decodeUnknownOption(Schema.Struct({ turn: Schema.NullOr(TurnId) }))
