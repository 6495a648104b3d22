/** Backends that run turns, over the database of the block, and what they are asked and tell. */
import { assert } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { MessageId, type TurnId } from "../../../../../src/domain/Ids.ts"
import type { NodeId } from "../../../../../src/domain/Ids.ts"
import type { NumberedEvent, TurnEvent } from "../../../../../src/domain/Turn.ts"
import * as h from "../../../../agent/support/harness.ts"
import { TestDatabase } from "../../../../postgres.ts"
import * as Program from "../../../../tool/program/support/Program.ts"
import { Event, Options, Request, Script } from "../backend.ts"
import type { Chat } from "./World.ts"

export type Node = Effect.Success<ReturnType<typeof start>>

type EventOf<Tag extends typeof Event.Type["_tag"]> = Extract<typeof Event.Type, { readonly _tag: Tag }>

/** The turn of a message as the node tells it to whoever sent the message there. */
export interface Sent {
  readonly turn: TurnId
  readonly nodeId: NodeId
  readonly attached: boolean
  /** Everything, from the first event to the end. */
  readonly events: Effect.Effect<ReadonlyArray<NumberedEvent>>
  readonly end: Effect.Effect<TurnEvent | undefined>
}

export const schema = "nodes"

/** Frequent heartbeats, and patience with a busy database; the rest is as in production, unless a test says otherwise. */
const bounds = {
  GATEWAY_HEARTBEAT: "300 millis",
  GATEWAY_PING_INTERVAL: "250 millis",
  GATEWAY_PING_TIMEOUT: "10 seconds",
  STORE_CALL_TIMEOUT: "20 seconds"
}

/** Starts one; it is killed with the scope. */
export const start = Effect.fnUntraced(function*(options?: {
  readonly hints?: boolean
  readonly bounds?: Readonly<Record<string, string>>
}) {
  const { url } = yield* TestDatabase
  const events: Array<typeof Event.Type> = []
  const tellsOf = <Tag extends typeof Event.Type["_tag"]>(tag: Tag, id?: string): ReadonlyArray<EventOf<Tag>> =>
    events.filter((event): event is EventOf<Tag> =>
      event._tag === tag && (id === undefined || "id" in event && event.id === id)
    )
  const program = yield* Program.start({
    file,
    args: [encodeOptions({ schema, hints: options?.hints ?? true })],
    env: { ...bounds, ...options?.bounds, DATABASE_URL: Redacted.value(url) },
    request: Request,
    event: Event,
    on: (event) => events.push(event)
  })
  const { nodeId, port } = yield* program.said("the node is ready", () => tellsOf("Ready").at(0))

  /** Sends a message; answers its turn, or why there is none. */
  const offer = Effect.fnUntraced(function*({ chatId: chat }: Chat, message: string, text: string) {
    const id = h.fresh("request")
    yield* program.tell({ _tag: "Send", id, chat, owner: h.owner, message: MessageId.make(message), text })
    const answer = yield* program.said(
      `${message} is answered`,
      () => tellsOf("Sent", id).at(0) ?? tellsOf("Refused", id).at(0)
    )
    if (answer._tag === "Refused") return answer.code
    const told = Effect.map(
      program.said(
        `the turn of ${message} ends`,
        () => tellsOf("Told", id).some(({ told }) => told.event._tag === "End") ? tellsOf("Told", id) : undefined
      ),
      (all) => all.map(({ told }) => told)
    )
    const sent: Sent = { ...answer, events: told, end: Effect.map(told, (all) => all.at(-1)?.event) }
    return sent
  })

  return {
    port,
    nodeId,
    offer,
    send: (chat: Chat, message: string, text: string) =>
      Effect.map(offer(chat, message, text), (sent) => typeof sent === "string" ? assert.fail(sent) : sent),
    interrupt: ({ chatId: chat }: Chat) => program.tell({ _tag: "Interrupt", chat, owner: h.owner }),
    /** How often the model was asked here to answer this message. */
    asked: (message: string) => tellsOf("Asked").filter(({ text }) => text === message).length,
    signal: program.signal,
    kill: program.kill
  }
})

/** Two at once. */
export const two = (options?: Parameters<typeof start>[0]) =>
  Effect.all([start(options), start(options)], { concurrency: 2 })

/** A message that says what the model answers to it. */
export const script = (...steps: typeof Script.Type): string => encodeScript(steps)

/** Commands that the model runs at once, and waits for. */
export const execute = (...commands: ReadonlyArray<string>): typeof Script.Type[number] => ({
  calls: commands.map((command) => ({ name: "execute", args: { command, timeout: 600 } }))
})

const file = new URL("../backend.ts", import.meta.url).pathname

const encodeOptions = Schema.encodeSync(Schema.fromJsonString(Options))
const encodeScript = Schema.encodeSync(Script)
