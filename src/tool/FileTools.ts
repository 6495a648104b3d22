/**
 * What the model is told of the tools on files: their names, arguments and results. The handlers are in `FileHandlers`.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Schema from "effect/Schema"
import { ToolFailure } from "./ToolFailure.ts"

const path = Schema.NonEmptyString.annotate({
  description: "The path of the file; a relative one begins in the workspace folder."
})

const positive = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/**
 * Lines of a file, as they stand in it. `lines` are so many from `start_line` on; `next_offset` is there when the file
 * goes on, `total_lines` when its end was seen.
 *
 * @since 0.1.0
 * @category models
 */
export const ReadFileResult = Schema.Struct({
  content: Schema.String,
  start_line: Schema.Natural,
  lines: Schema.Natural,
  size_bytes: Schema.Natural,
  total_lines: Schema.optionalKey(Schema.Natural),
  next_offset: Schema.optionalKey(Schema.Natural),
  binary: Schema.optionalKey(Schema.Boolean),
  note: Schema.optionalKey(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ReadFileResult = typeof ReadFileResult.Type

/**
 * @since 0.1.0
 * @category models
 */
export const WriteFileResult = Schema.Struct({
  path: Schema.String,
  size_bytes: Schema.Natural
})

/**
 * @since 0.1.0
 * @category models
 */
export type WriteFileResult = typeof WriteFileResult.Type

/**
 * The files that were changed, all of them.
 *
 * @since 0.1.0
 * @category models
 */
export const EditFilesResult = Schema.Struct({
  files: Schema.Array(Schema.Struct({ path: Schema.String, edits: Schema.Natural }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type EditFilesResult = typeof EditFilesResult.Type

/**
 * @since 0.1.0
 * @category tools
 */
export const ReadFile = Tool.make("read_file", {
  description: [
    "Read a text file of the workspace by lines. Use it before you edit a file, and instead of cat. Not for folders (use",
    "execute with ls) and not for searching in many files (use execute with grep).",
    "Returns content as it stands in the file, without line numbers; start_line says which line is the first. Very long",
    "lines are cut, and said. When next_offset is there, the file goes on: pass it as offset to read on.",
    "A binary file is said to be one and not shown."
  ].join(" "),
  parameters: Schema.Struct({
    path,
    offset: Schema.optionalKey(
      positive.annotate({ description: "The first line to read, counted from 1; 1 by default." })
    ),
    limit: Schema.optionalKey(positive.annotate({ description: "Lines to read, 2000 by default and at most." }))
  }),
  success: ReadFileResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Read a file")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const WriteFile = Tool.make("write_file", {
  description: [
    "Write a whole text file of the workspace: a new one, or one to be replaced from the first byte to the last. Its",
    "folder must be there. To change parts of a file use edit_files, which keeps the rest. Returns the size that was",
    "written. On failure nothing was written, unless message says otherwise."
  ].join(" "),
  parameters: Schema.Struct({
    path,
    content: Schema.String.annotate({ description: "All of the new content; at most 10 MiB." })
  }),
  success: WriteFileResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Write a file")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, true)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const EditFiles = Tool.make("edit_files", {
  description: [
    "Replace pieces of text in one or more files of the workspace, in one step: either all edits are made or, when one",
    "does not fit, none. Read a file first and copy find from it exactly, with its whitespace, and with enough lines",
    "around it to be the only such place. An edit whose find is not there, or is there more than once without all, is",
    "refused, and the answer says which. Name each file once; its edits are made in order, each on the result of the one",
    "before. To write a new file use write_file."
  ].join(" "),
  parameters: Schema.Struct({
    files: Schema.Array(Schema.Struct({
      path,
      edits: Schema.Array(Schema.Struct({
        find: Schema.NonEmptyString.annotate({ description: "The text to replace, exactly as it stands in the file." }),
        replace: Schema.String.annotate({ description: "What stands there afterwards; empty to remove the text." }),
        all: Schema.optionalKey(Schema.Boolean.annotate({
          description: "Replace every place where find stands, instead of refusing when there are several."
        }))
      })).check(Schema.isMinLength(1))
    })).check(Schema.isMinLength(1))
  }),
  success: EditFilesResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Edit files")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, true)
  .annotate(Tool.Idempotent, false)
  .annotate(Tool.OpenWorld, false)

/**
 * The tools on files.
 *
 * @since 0.1.0
 * @category toolkits
 */
export const FileTools = Toolkit.make(ReadFile, WriteFile, EditFiles)
