/**
 * `chat-workspace chat`: talks in a chat of a running server.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { ChatId, MessageId } from "../../domain/Ids.ts"
import { TurnEndReason, TurnStatus } from "../../domain/Turn.ts"
import type { TurnEvent } from "../../domain/Turn.ts"
import * as Client from "../../http/Client.ts"
import * as ApiAddress from "../ApiAddress.ts"
import * as ApiToken from "../ApiToken.ts"
import * as Interrupts from "../Interrupts.ts"
import * as TurnDisplay from "../TurnDisplay.ts"

/**
 * The server cannot be asked: nobody answers at its address, or somebody else does.
 *
 * @since 0.1.0
 * @category errors
 */
export class ApiUnreachable extends Schema.TaggedError<ApiUnreachable>()("ApiUnreachable", {
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `No API at ${this.url}: ${this.reason}.`
  }
}

/**
 * The model did not come to its last word.
 *
 * @since 0.1.0
 * @category errors
 */
export class TurnNotDone extends Schema.TaggedError<TurnNotDone>()("TurnNotDone", {
  status: TurnStatus,
  reason: Schema.NullOr(TurnEndReason)
}) {
  override get message(): string {
    return `The turn is ${this.status}${this.reason === null ? "" : `: ${reasons[this.reason]}`}.`
  }
}

const reasons: Readonly<Record<TurnEndReason, string>> = {
  steps: "it took too many steps",
  time: "it took too long",
  silence: "the model said nothing for too long",
  model: "the model failed",
  internal: "something is broken in the server",
  user: "it was interrupted",
  shutdown: "the server ends",
  lost: "its server was lost"
}

/** What a person reads at the prompt of a terminal. */
const prompt = Effect.sync(() => process.stdin.isTTY === true ? process.stderr.write("> ") : undefined)

type End = Extract<TurnEvent, { readonly _tag: "End" }>

const notDone = ({ reason, status }: End): TurnNotDone => new TurnNotDone({ status, reason })

const interruptedByUser = (end: End): boolean => end.status === "interrupted" && end.reason === "user"

/** Talks in one chat, a turn after the other. */
const talk = Effect.fnUntraced(function*({ api, send }: Client.Client["Service"], chatId: ChatId) {
  const random = yield* SecureRandom.SecureRandom
  const outputs = TurnDisplay.standard()
  /** Of the turn that runs. */
  let wanted: Deferred.Deferred<void> | undefined
  yield* Interrupts.intercept(() => {
    if (wanted === undefined || !Deferred.doneUnsafe(wanted, Effect.void)) return false
    outputs.aside.write("\nInterrupts the turn; once more leaves it alone.\n")
    return true
  })

  const turn = Effect.fnUntraced(function*(text: string): Effect.fn.Return<End, Client.SendError, Scope.Scope> {
    const messageId = MessageId.make(yield* random.uuidV4())
    const stop = Deferred.makeUnsafe<void>()
    wanted = stop
    const show = yield* TurnDisplay.make(outputs)
    // It may not have begun yet.
    yield* Deferred.await(stop).pipe(
      Effect.andThen(Effect.repeat(api.turns.interrupt({ params: { chatId } }), {
        until: (turn) => turn !== null,
        schedule: Schedule.spaced("500 millis")
      })),
      Effect.catch(() => Console.error("The turn could not be interrupted.")),
      Effect.forkScoped
    )
    const last = yield* send({ chatId, messageId, text }).pipe(
      Stream.map(({ event }) => event),
      Stream.tap(show),
      Stream.runLast
    )
    return Option.isSome(last) && last.value._tag === "End"
      ? last.value
      : yield* Effect.die("A turn ended without its end")
  })

  return (text: string) => Effect.ensuring(Effect.scoped(turn(text)), Effect.sync(() => wanted = undefined))
})

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "chat",
  {
    message: Argument.String("message").pipe(
      Argument.withDescription("What to say; without it, each line of the input"),
      Argument.variadic
    ),
    chat: Flag.String("chat").pipe(
      Flag.withDescription("Id of the chat, which is made if it is not there (a new one)"),
      Flag.withSchema(ChatId),
      Flag.optional
    ),
    url: ApiAddress.flag,
    ...ApiToken.flags
  },
  Effect.fn(
    function*({ chat, message, url, ...options }) {
      const token = yield* ApiToken.find(options)
      const client = yield* Client.make({ baseUrl: url, token })
      const unreachable = (reason: string) => Effect.fail(new ApiUnreachable({ url, reason }))
      const { chatId } = yield* client.api.chats.create({
        payload: Option.match(chat, { onNone: () => ({}), onSome: (chatId) => ({ chatId }) })
      }).pipe(Effect.catchTags({
        HttpClientError: ({ response }) =>
          unreachable(response === undefined ? "nobody answers" : `it answers with status ${response.status}`),
        SchemaError: () => unreachable("its answer is none of ours")
      }))
      if (Option.isNone(chat)) yield* Console.error(`A new chat. Go on with: chat-workspace chat --chat ${chatId}`)
      const turn = yield* talk(client, chatId)

      const told = message.join(" ").trim()
      if (told !== "") {
        const end = yield* turn(told)
        if (interruptedByUser(end)) return yield* Effect.interrupt
        return end.status === "done" ? undefined : yield* notDone(end)
      }
      const { stdin } = yield* Stdio.Stdio
      let failure: TurnNotDone | undefined
      yield* prompt
      yield* stdin.pipe(
        Stream.decodeText,
        Stream.splitLines,
        Stream.filter((line) => line.trim() !== ""),
        Stream.runForEach(Effect.fnUntraced(function*(line) {
          const end = yield* turn(line)
          failure = end.status === "done" ? undefined : notDone(end)
          if (failure !== undefined) yield* Console.error(failure.message)
          yield* prompt
        }))
      )
      if (failure !== undefined) return yield* failure
    },
    Effect.scoped,
    Effect.provide([NodeHttpClient.layerNodeHttp, SecureRandom.layerWebCrypto])
  )
).pipe(
  Command.withDescription("Talk in a chat of a running server"),
  Command.withExamples([
    {
      command: "chat-workspace chat --chat first 'uname -a'",
      description: "One message; the answer goes to standard output"
    },
    { command: "chat-workspace chat --chat first", description: "A message for each line, until the end of the input" }
  ])
)
