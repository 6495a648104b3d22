/**
 * The tools on files, over the workspace of a chat.
 *
 * @since 0.1.0
 */
import type * as Toolkit from "effect/ai/Toolkit"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type { Files } from "../agent/AgentConnection.ts"
import { readLimit } from "../agent/ReadRange.ts"
import { FileError } from "../domain/Errors.ts"
import type { FileErrorReason, FilesError, WorkspaceError } from "../domain/Errors.ts"
import { OperationId } from "../domain/Ids.ts"
import * as FileLines from "./FileLines.ts"
import { FileTools } from "./FileTools.ts"
import type { ReadFileResult } from "./FileTools.ts"
import { withNotes } from "./ProcessView.ts"
import { ToolConfig } from "./ToolConfig.ts"
import type { ToolContext } from "./ToolContext.ts"
import * as ToolFailure from "./ToolFailure.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type FileHandlers = Toolkit.HandlersFrom<Toolkit.Tools<typeof FileTools>>

/**
 * Makes the handlers of a chat's turn.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<(context: ToolContext) => FileHandlers, never, SecureRandom.SecureRandom> = Effect.gen(
  function*() {
    const config = yield* ToolConfig
    const random = yield* SecureRandom.SecureRandom
    const nextId = Effect.map(random.uuidV4(), (uuid) => OperationId.make(uuid))

    return (context) =>
      FileTools.of({
        read_file: ({ limit, offset, path }) =>
          context.workspace.use(({ files }) =>
            readLines(files, path, {
              from: offset ?? 1,
              count: Math.min(limit ?? linesLimit, linesLimit),
              bytes: config.outputBytes,
              lineBytes
            })
          ).pipe(worded(context)),

        write_file: Effect.fnUntraced(function*({ content, path }) {
          const bytes = new TextEncoder().encode(content)
          if (bytes.length > writeLimit) {
            return yield* refused(path, tooLarge)
          }
          const id = yield* nextId
          yield* context.workspace.use(({ files }) => files.write({ id, path, bytes }))
          return { path, size_bytes: bytes.length }
        }, worded(context, { ...advice, notFound: "Its folder is not there: make it with execute (mkdir -p)." })),

        edit_files: Effect.fnUntraced(function*({ files: edits }) {
          const id = yield* nextId
          yield* context.workspace.use(({ files }) => files.edit({ id, files: edits }))
          return { files: edits.map(({ edits, path }) => ({ path, edits: edits.length })) }
        }, worded(context))
      })
  }
)

const linesLimit = 2000
const lineBytes = 1024
const writeLimit = 10 * 1024 * 1024
const tooLarge = "is more than 10 MiB; write it in parts with execute, or fetch it from within the workspace"

const refused = (path: string, detail: string): FileError =>
  new FileError({ path, reason: "tooLarge", detail, changed: [] })

/** How far into a file one call looks for the lines. */
const scanLimit = 16 * 1024 * 1024

const readLines = Effect.fnUntraced(function*(
  files: Files,
  path: string,
  wanted: FileLines.Wanted
): Effect.fn.Return<ReadFileResult, FilesError> {
  const found = FileLines.make(wanted)
  const first = yield* files.read(path, { offset: 0, limit: readLimit })
  const size_bytes = first.size
  // As git decides it: text has no zero bytes.
  if (first.bytes.subarray(0, 8000).includes(0)) {
    return { content: "", start_line: wanted.from, lines: 0, size_bytes, binary: true, note: isBinary }
  }
  let position = first.bytes.length
  let part = first
  let isSame = true
  while (found.add(part.bytes) && part.bytes.length > 0 && position < part.size && position < scanLimit) {
    part = yield* files.read(path, { offset: position, limit: readLimit })
    position += part.bytes.length
    isSame &&= part.version === first.version
  }
  const { content, cut, line, lines, next, unreadable } = found.end()
  const isWhole = next === undefined && (position >= part.size || part.bytes.length === 0)
  if (!isWhole && lines === 0) {
    return yield* refused(path, tooFar(wanted.from))
  }
  const notes = [
    ...(next === undefined ? [] : [`The file goes on: call again with offset ${next}.`]),
    ...(isWhole || next !== undefined ? [] : [`The rest is ${tooFar(line)}.`]),
    ...(isWhole && lines === 0 ? [line === 0 ? "The file is empty." : `The file has only ${line} lines.`] : []),
    ...(cut ? [`Lines of more than ${wanted.lineBytes} bytes are cut; to see one whole use execute with cut -c.`] : []),
    ...(unreadable ? ["Bytes that are not text are shown as \uFFFD; do not write them back so."] : []),
    ...(isSame ? [] : ["The file was changed while it was read."])
  ]
  return withNotes({
    content,
    start_line: wanted.from,
    lines,
    size_bytes: part.size,
    ...(isWhole ? { total_lines: line } : {}),
    ...(next === undefined ? {} : { next_offset: next })
  }, notes)
})

const isBinary = "The file is binary. Look at it with execute: file, xxd, strings or base64."

const tooFar = (line: number): string =>
  `too far into the file to be found by its number (line ${line}); use execute with grep, sed -n or tail`

/** What a file's own error calls for, beside what every error does. */
type Advice = Readonly<Partial<Record<FileErrorReason, string>>>

const advice: Advice = {
  noMatch: "Nothing was changed. Read the file again and copy the text exactly, with its whitespace.",
  manyMatches: "Nothing was changed. Give more of the lines around it, or all: true to replace every place.",
  notRegular: "Only regular files can be read and written; list a folder with execute (ls)."
}

/** An effect on a file is looked for in the file, not in the output of a process. */
const worded =
  (context: ToolContext, more: Advice = advice) =>
  <A, E extends WorkspaceError, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, ToolFailure.ToolFailure, R> =>
    Effect.mapError(self, (error: WorkspaceError) => {
      const failure = ToolFailure.fromError(error, context.audience)
      switch (error._tag) {
        case "CallInterrupted":
        case "CallTimedOut":
          return error.sent === "notSent" ? failure : { ...failure, message: `${error.message} ${lookFirst}` }
        case "FileError": {
          const next = more[error.reason]
          return next === undefined ? failure : { ...failure, message: `${failure.message} ${next}` }
        }
        default:
          return failure
      }
    })

const lookFirst = "Read the file to see whether it took effect before you repeat the call."
