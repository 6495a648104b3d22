/** Chats without a model: calls of single tools, and of commands under ids of their own. */
import { Effect, Option, Schema } from "effect"
import { OperationId } from "../../src/domain/Ids.ts"
import type { Told } from "./Backends.ts"
import type { Operation } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import { type Chat, lengthOf, type Options, running } from "./Chats.ts"
import * as Outcome from "./Outcome.ts"
import * as Workspaces from "./Workspaces.ts"

export const make = ({ book, chance, chatId: chat, node, workspace }: Options): Chat => {
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

const asStarted = Schema.decodeUnknownOption(
  Schema.Struct({ process_id: Schema.String, success: Schema.Literal(true) })
)
const asEnded = Schema.decodeUnknownOption(
  Schema.Struct({ running: Schema.Literal(false), exit_code: Schema.NullOr(Schema.Finite), output: Schema.String })
)
