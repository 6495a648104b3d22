/** Chats whose messages make a model call two tools at once, then one more; some of these turns are interrupted. */
import { Effect, Fiber, Schema } from "effect"
import { MessageId } from "../../src/domain/Ids.ts"
import type { TurnStore } from "../../src/store/index.ts"
import type { Operation } from "./Book.ts"
import { type Chat, lengthOf, type Message, type Options } from "./Chats.ts"
import type * as Interrupts from "./Interrupts.ts"
import type { Voice } from "./Voices.ts"
import { Script } from "./Wire.ts"
import * as Workspaces from "./Workspaces.ts"

export const make = Effect.fnUntraced(function*({ book, chance, chatId, interrupt, voice, workspace }: Options & {
  readonly voice: Voice
  readonly interrupt: ReturnType<typeof Interrupts.make>
}) {
  const services = yield* Effect.context<TurnStore.TurnStore>()
  const messages: Array<Message> = []

  const write = (last: Operation): Message => {
    const operations = [book.begin("turn", workspace), book.begin("turn", workspace), last]
    const message: Message = { id: MessageId.make(`m${messages.length + 1}`), operations, sent: 0 }
    messages.push(message)
    return message
  }

  /** Sends it until it is heard to its end, as a client does that does not know what became of it. */
  const send = (message: Message, text: string): Effect.Effect<void> =>
    Effect.gen(function*() {
      message.sent += 1
      const heard = yield* voice.send(message.id, text)
      if (heard.events.at(-1)?._tag === "End") {
        message.heard = heard
        return
      }
      yield* Effect.sleep(200)
      yield* send(message, text)
    })

  const execute = (operation: Operation, millis: number) => ({
    name: "execute",
    args: { command: Workspaces.command(operation.id, millis), timeout: Math.max(8, millis / 1000) }
  })

  const whole = Effect.gen(function*() {
    const last = book.begin("turn", workspace, chance.sometimes(0.3) ? "written in a turn" : undefined)
    const message = write(last)
    const text = script([
      {
        text: "Both.",
        calls: message.operations.slice(0, 2).map((operation) => execute(operation, lengthOf(chance)))
      },
      {
        calls: [
          last.content === undefined
            ? execute(last, lengthOf(chance))
            : { name: "write_file", args: { path: Workspaces.fileOf(last.id), content: last.content } }
        ]
      },
      { text: "Well." }
    ])
    yield* send(message, text)
    return message.heard?.events.filter((event) => event._tag === "Result" && !event.isFailure).length === 3
  })

  /** Its commands would run for longer than anybody waits. */
  const interrupted = Effect.gen(function*() {
    const message = write(book.begin("turn", workspace))
    const text = script([
      { text: "All.", calls: message.operations.map((operation) => execute(operation, forever)) },
      { text: "Well." }
    ])
    const sending = yield* Effect.forkChild(send(message, text))
    yield* Effect.sleep(chance.below(2500))
    yield* interrupt(voice, sending, message.operations, workspace)
    yield* Fiber.join(sending)
    const end = message.heard?.events.at(-1)
    return end?._tag === "End" && end.reason === "user"
  })

  const work = Effect.suspend(() => chance.sometimes(0.25) ? interrupted : whole).pipe(Effect.provide(services))
  const chat: Chat = { chatId, workspace, work, messages }
  return chat
})

const forever = 60_000

const script = Schema.encodeSync(Script)
