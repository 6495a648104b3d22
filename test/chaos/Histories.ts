/** What is stored of the turns when all is over: rules of the providers, one turn for a message, and what calls came to. */
import { Effect, Exit, Option, Schema } from "effect"
import { Prompt } from "effect/ai"
import { SqlClient } from "effect/sql"
import { TurnId } from "../../src/domain/Ids.ts"
import type { NumberedEvent, TurnMessage } from "../../src/domain/Turn.ts"
import { ChatBindings, TurnStore } from "../../src/store/index.ts"
import { type Heard, owner, schema } from "./Backends.ts"
import type { Book, Operation } from "./Book.ts"
import type { Chat, Message } from "./Chats.ts"
import * as Outcome from "./Outcome.ts"

/** Reads everything, and says what is wrong. */
export const judge = Effect.fnUntraced(function*(book: Book, chats: ReadonlyArray<Chat>) {
  const store = yield* TurnStore.TurnStore
  const bindings = yield* ChatBindings.ChatBindings
  const sql = yield* SqlClient.SqlClient
  for (const chat of chats) {
    const { chatId, messages, workspace } = chat
    // Those that are built are looked at with their builds, and say nothing.
    if (workspace === undefined) continue
    const binding = yield* bindings.get(chatId)
    if (binding.workspaceId !== workspace.workspaceId || binding.agentId !== workspace.agentId()) {
      book.violate(`${chatId} is bound to ${binding.workspaceId} and ${binding.agentId}`)
    }
    const history = (yield* store.history({ chatId, owner })).map(({ message }) => message)
    for (const problem of unacceptable(history)) book.violate(`the history of ${chatId}: ${problem}`)
    const rows = yield* sql`
      select turn_id, message_id, status from ${sql(`${schema}.turns`)} where chat_id = ${chatId}`.pipe(
      Effect.flatMap(decodeRows)
    )
    for (const message of messages) {
      judgeMessage(book, chat, message, history, rows)
      const row = rows.find(({ message_id }) => message_id === message.id)
      if (row === undefined || message.heard === undefined) continue
      const kept = yield* store.events({ turnId: row.turn_id, owner, after: 0 })
      const events = Option.match(kept, { onNone: () => [], onSome: ({ events }) => events })
      for (const problem of unheard(message.heard, events, row.status)) {
        book.violate(`message ${message.id} of ${chatId}: ${problem}`)
      }
    }
  }
})

const Row = Schema.Struct({ turn_id: TurnId, message_id: Schema.String, status: Schema.String })

const decodeRows = Schema.decodeUnknownEffect(Schema.Array(Row))

const judgeMessage = (
  book: Book,
  { chatId }: Chat,
  message: Message,
  history: ReadonlyArray<TurnMessage>,
  rows: ReadonlyArray<typeof Row.Type>
): void => {
  const what = `message ${message.id} of ${chatId}`
  const turns = rows.filter(({ message_id }) => message_id === message.id)
  const begun = turns.length
  if (begun > 1) book.violate(`${what} has ${begun} turns`)
  const end = message.heard?.events.at(-1)
  const status = turns[0]?.status
  if (status === "running") book.violate(`the turn of ${what} has no end`)
  if (end?._tag === "End" && status !== end.status) {
    // Whoever could not ask the database any more, not even whether the turn has ended, can only say that it is lost.
    if (end.status === "crashed") book.tally("Turns that were told to be lost", `${status ?? "not there"}`)
    else book.violate(`the turn of ${what} was told to be ${end.status} and is ${status ?? "not there"}`)
  }
  const named = message.operations[0]?.id ?? ""
  const asked = history.filter((one) => one.role === "user" && names(one, named)).length
  if (asked !== begun) book.violate(`${what} stands ${asked} times in the history of ${begun} turns`)
  for (const operation of message.operations) {
    const stored = resultOf(history, operation)
    // The model never came to ask for it.
    const known = stored === undefined
      ? { outcome: "notRun" as const, code: "never asked for" }
      : Outcome.of(operation.id, stored)
    const heard = heardOf(message, operation)
    const live = heard === undefined ? known : Outcome.of(operation.id, heard)
    // A turn that was lost with its node may not have written what it told.
    const mayDiffer = end?._tag === "End" && end.status === "crashed" && known.outcome === "mayHaveRun"
    if (live.outcome !== known.outcome && !mayDiffer) {
      book.violate(`${operation.id} of ${what} was told as ${live.code}, and is stored as ${known.code}`)
    }
    const { code, outcome } = mayDiffer ? live : known
    book.told(operation, outcome, code)
  }
}

/** What was heard is what is kept: nothing is missing, and nothing was told twice. */
export const unheard = (
  { events, numbers }: Heard,
  kept: ReadonlyArray<NumberedEvent>,
  status: string
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  if (numbers.some((number, index) => number !== index + 1)) problems.push(`it told the events ${numbers.join(", ")}`)
  const told = events.slice(0, -1).map((event) => JSON.stringify(event))
  const stored = kept.map(({ event }) => JSON.stringify(event))
  // A turn that was lost with its node may have told what was not written any more.
  const isWhole = status === "crashed" ? stored.length <= told.length : stored.length === told.length
  if (!isWhole || stored.some((event, index) => event !== told[index])) {
    problems.push(`it told ${told.length} events before its end, and ${stored.length} are kept: ${told} and ${stored}`)
  }
  return problems
}

/** What a provider insists on: each call has its result in the next message, and user and assistant take turns. */
const unacceptable = (history: ReadonlyArray<TurnMessage>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  if (Exit.isFailure(Schema.decodeExit(Schema.Array(Prompt.Message))(history))) problems.push("it does not decode")
  history.forEach((message, index) => {
    const next = history[index + 1]
    const open = partsOf(message, "assistant").flatMap((part) => part.type === "tool-call" ? [part.id] : [])
    const answered = partsOf(next, "tool").flatMap((part) => part.type === "tool-result" ? [part.id] : [])
    if (open.join() !== answered.join()) {
      problems.push(`the calls ${open.join()} of message ${index} are answered by ${answered.join()}`)
    }
    if (message.role === "user" && next?.role !== "assistant") problems.push(`message ${index} has no answer`)
  })
  if (history.length > 0 && history.at(-1)?.role !== "assistant") problems.push("its last word is not the model's")
  return problems
}

type Part = Exclude<TurnMessage["content"], string>[number]

const partsOf = (message: TurnMessage | undefined, role: "assistant" | "tool"): ReadonlyArray<Part> =>
  message?.role === role && typeof message.content !== "string" ? message.content : []

/** Whether it names the operation, and not one whose name begins so. */
const names = (value: unknown, operation: string): boolean => new RegExp(`${operation}\\b`).test(JSON.stringify(value))

/** In the message behind the call: ids of calls are used again by later turns. */
const resultOf = (history: ReadonlyArray<TurnMessage>, operation: Operation): unknown => {
  for (const [index, message] of history.entries()) {
    for (const call of partsOf(message, "assistant")) {
      if (call.type !== "tool-call" || !names(call.params, operation.id)) continue
      for (const part of partsOf(history[index + 1], "tool")) {
        if (part.type === "tool-result" && part.id === call.id) return part.result
      }
    }
  }
  return undefined
}

const heardOf = ({ heard }: Message, operation: Operation): unknown => {
  let callId: string | undefined
  for (const event of heard?.events ?? []) {
    if (event._tag === "Call" && names(event.params, operation.id)) callId = event.callId
    else if (event._tag === "Result" && event.callId === callId) return event.result
  }
  return undefined
}
