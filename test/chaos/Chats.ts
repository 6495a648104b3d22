/** What all chats have that work all the time. */
import { Effect } from "effect"
import type { ChatId, MessageId } from "../../src/domain/Ids.ts"
import type { Chance } from "../security/fuzz/Chance.ts"
import type { Backend, Heard } from "./Backends.ts"
import type { Book, Operation } from "./Book.ts"
import type * as Workspaces from "./Workspaces.ts"

export interface Chat {
  readonly chatId: ChatId
  /** Undefined for one whose workspace is built by the backends. */
  readonly workspace: Workspaces.Workspace | undefined
  /** Does one thing more. True when all of it was acknowledged. */
  readonly work: Effect.Effect<boolean>
  /** Its messages, and the operations that each asks its model for. */
  readonly messages: ReadonlyArray<Message>
}

export interface Message {
  readonly id: MessageId
  readonly operations: ReadonlyArray<Operation>
  /** How often it was sent; nobody knows how the first times ended. */
  sent: number
  heard?: Heard | undefined
}

export interface Options {
  readonly chatId: ChatId
  readonly workspace: Workspaces.Workspace
  readonly book: Book
  readonly chance: Chance
  /** Draws the node that a call is made at. */
  readonly node: () => Backend
}

/** One that is up: whoever calls finds out at once that nothing listens, and has asked for nothing then. */
export const running = (node: () => Backend): Effect.Effect<Backend> =>
  Effect.suspend(() => {
    const backend = node()
    return backend.port() === undefined ? Effect.delay(running(node), "100 millis") : Effect.succeed(backend)
  })

/** Of a command: long enough that most faults meet some that run. */
export const lengthOf = (chance: Chance): number => 50 + chance.below(1500)
