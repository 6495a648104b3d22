/** Chats that work all the time: some with a model through whole turns, some with calls of single tools. */
import { Effect, Option, Schema } from "effect"
import { type ChatId, MessageId, OperationId } from "../../src/domain/Ids.ts"
import type { Chance } from "../security/fuzz/Chance.ts"
import type { Backend, Heard, Told } from "./Backends.ts"
import type { Book, Operation } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import * as Outcome from "./Outcome.ts"
import { Script } from "./program.ts"
import * as Workspaces from "./Workspaces.ts"

export interface Chat {
  readonly chatId: ChatId
  readonly workspace: Workspaces.Workspace
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
const running = (node: () => Backend): Effect.Effect<Backend> =>
  Effect.suspend(() => {
    const backend = node()
    return backend.port() === undefined ? Effect.delay(running(node), "100 millis") : Effect.succeed(backend)
  })

/** A chat whose messages make a model call two tools at once, then one more. */
export const talking = ({ book, chance, chatId: chat, node, workspace }: Options): Chat => {
  const messages: Array<Message> = []
  const execute = (operation: Operation) => ({
    name: "execute",
    args: { command: Workspaces.command(operation.id, lengthOf(chance)) }
  })
  const write = (): Message => {
    const first = [book.begin("turn", workspace), book.begin("turn", workspace)]
    const isFile = chance.sometimes(0.3)
    const last = book.begin("turn", workspace, isFile ? "written in a turn" : undefined)
    const message: Message = {
      id: MessageId.make(`m${messages.length + 1}`),
      operations: [...first, last],
      sent: 0
    }
    messages.push(message)
    return message
  }

  /** Sends it until it is heard to its end, as a client does that does not know what became of it. */
  const send = (message: Message, text: string): Effect.Effect<void> =>
    Effect.gen(function*() {
      const backend = yield* running(node)
      const { frozen } = backend.child
      message.sent += 1
      const { heard, sent } = yield* book.timed(
        "send",
        frozen,
        backend.send((id) => ({ _tag: "Send", id, chat, message: message.id, text }))
      )
      if (sent._tag === "Answer" && isSent(sent.result)) {
        const told = yield* book.timed("turn", frozen, heard)
        if (told.events.at(-1)?._tag === "End") {
          message.heard = told
          return
        }
      }
      yield* Effect.sleep(200)
      yield* send(message, text)
    })

  const work = Effect.gen(function*() {
    const message = write()
    const [one, two, last] = message.operations
    if (one === undefined || two === undefined || last === undefined) return false
    const text = script([
      { text: "Both.", calls: [execute(one), execute(two)] },
      {
        calls: [
          last.content === undefined
            ? execute(last)
            : { name: "write_file", args: { path: Workspaces.fileOf(last.id), content: last.content } }
        ]
      },
      { text: "Well." }
    ])
    yield* send(message, text)
    return message.heard?.events.filter((event) => event._tag === "Result" && !event.isFailure).length === 3
  })
  return { chatId: chat, workspace, work, messages }
}

/** A chat that makes calls of tools, and some with an id of its own. */
export const calling = ({ book, chance, chatId: chat, node, workspace }: Options): Chat => {
  const command = (operation: Operation): string => Workspaces.command(operation.id, lengthOf(chance))

  const told = (operation: Operation, told: Told): boolean => {
    if (told._tag === "Died") {
      book.told(operation, "lost", "the backend died")
      return false
    }
    const { code, outcome } = Outcome.of(operation.id, told.result)
    book.told(operation, outcome, code)
    return outcome === "done"
  }

  const tool = (method: Bounds.Method, tool: string, args: Schema.Json): Effect.Effect<Told> =>
    Effect.flatMap(
      running(node),
      (backend) =>
        book.timed(method, backend.child.frozen, backend.ask((id) => ({ _tag: "Tool", id, chat, tool, args })))
    )

  const executed = Effect.gen(function*() {
    const operation = book.begin("execute", workspace)
    return told(operation, yield* tool("execute", "execute", { command: command(operation) }))
  })

  const written = Effect.gen(function*() {
    const content = "written by a call"
    const operation = book.begin("write_file", workspace, content)
    return told(operation, yield* tool("write_file", "write_file", { path: Workspaces.fileOf(operation.id), content }))
  })

  const edited = Effect.gen(function*() {
    const operation = book.begin("edit_files", workspace)
    const edit = { find: Workspaces.lastLine, replace: `${operation.id}\n${Workspaces.lastLine}` }
    return told(
      operation,
      yield* tool("edit_files", "edit_files", { files: [{ path: Workspaces.edited, edits: [edit] }] })
    )
  })

  /** Its outcome is asked for until it is known, or nobody knows it. */
  const inBackground = Effect.gen(function*() {
    const operation = book.begin("background", workspace)
    const begun = yield* tool("background", "execute", {
      command: command(operation),
      background: true
    })
    const started = begun._tag === "Answer" ? Option.getOrUndefined(asStarted(begun.result)) : undefined
    if (started === undefined) return told(operation, begun)
    const seen = yield* tool("process_output", "process_output", { process_id: started.process_id, wait: 3 })
    const output = seen._tag === "Answer" ? Option.getOrUndefined(asEnded(seen.result)) : undefined
    if (output !== undefined) {
      return told(operation, {
        _tag: "Answer",
        result: { success: output.exit_code === 0, output: output.output }
      })
    }
    book.told(operation, "mayHaveRun", "not seen to end")
    return false
  })

  const run = Effect.gen(function*() {
    const operation = book.begin("run", workspace)
    const id = OperationId.make(operation.id)
    const backend = yield* running(node)
    const answer = yield* book.timed(
      "run",
      backend.child.frozen,
      backend.ask((request) => ({
        _tag: "Run",
        id: request,
        chat,
        operation: id,
        command: command(operation),
        timeoutMillis: Bounds.command * 1000
      }))
    )
    if (told(operation, answer)) return true
    if (operation.told !== "mayHaveRun" && operation.told !== "lost") return false
    // What it came to may be asked for, at any node.
    const other = yield* running(node)
    const outcome = yield* book.timed(
      "outcome",
      other.child.frozen,
      other.ask((request) => ({ _tag: "Outcome", id: request, chat, operation: id }))
    )
    if (outcome._tag === "Answer" && Outcome.of(operation.id, outcome.result).outcome === "done") {
      book.told(operation, "done", "done, as asked for later")
    }
    return false
  })

  const work = Effect.suspend(() => chance.pick([executed, executed, run, run, edited, written, inBackground]))
  return { chatId: chat, workspace, work, messages: [] }
}

/** Long enough that most faults meet some commands that run. */
const lengthOf = (chance: Chance): number => 50 + chance.below(1500)

const script = Schema.encodeSync(Script)
const isSent = Schema.is(Schema.Struct({ turn: Schema.String, attached: Schema.Boolean }))
const asStarted = Schema.decodeUnknownOption(
  Schema.Struct({ process_id: Schema.String, success: Schema.Literal(true) })
)
const asEnded = Schema.decodeUnknownOption(
  Schema.Struct({ running: Schema.Literal(false), exit_code: Schema.NullOr(Schema.Finite), output: Schema.String })
)
