/**
 * How processes read to a model: their output in bounded size, their state, and what has to be said of both.
 *
 * @since 0.1.0
 */
import type { ProcessInfo, ProcessOutput, ProcessState } from "../agent/Protocol.ts"
import type { ProcessListResult } from "./ExecutionTools.ts"
import * as ModelText from "./ModelText.ts"
import * as ShellCommand from "./ShellCommand.ts"

/**
 * The fields of a result that tell of an output. `notes` become the one `note` of the result.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutputFields {
  readonly output: string
  readonly truncated?: boolean
  readonly notes: ReadonlyArray<string>
}

/**
 * The fields of a result that tell how a process ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface StateFields {
  readonly exit_code: number | null
  readonly signal?: string
}

/**
 * At most `limit` bytes of an output, and `next_offset`, where the next look begins: a character that is still being
 * written is left for that one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const output = (
  { pieces, state }: ProcessOutput,
  limit: number
): OutputFields & { readonly next_offset: number } => {
  const last = pieces.at(-1)
  const begun = state._tag === "Running" && last?._tag === "Data" ? ModelText.incomplete(last.bytes) : 0
  const whole = begun === 0 || last?._tag !== "Data"
    ? pieces
    : [...pieces.slice(0, -1), { ...last, bytes: last.bytes.subarray(0, last.bytes.length - begun) }]
  const { leftOut, text, unreadable } = ModelText.fromOutput(whole, limit)
  const next_offset = state.end - begun
  const notes = unreadable ? [notText] : []
  return leftOut === 0
    ? { output: text, notes, next_offset }
    : { output: text, truncated: true, notes: [tooLong, ...notes], next_offset }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const state = (state: ProcessState): StateFields => {
  if (state._tag === "Running") return { exit_code: null }
  const { code: exit_code, signal } = state
  // The agent names the signal, and may say anything.
  return signal === null ? { exit_code } : { exit_code, signal: ModelText.shortened(signal, 32) }
}

/**
 * As many processes as `limit` bytes hold: those that run first, the youngest first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const list = (infos: ReadonlyArray<ProcessInfo>, limit: number): ProcessListResult => {
  const processes: Array<ProcessListResult["processes"][number]> = []
  let room = limit
  const inOrder = infos.toSorted((a, b) =>
    Number(b.state._tag === "Running") - Number(a.state._tag === "Running") || a.ageMillis - b.ageMillis
  )
  for (const info of inOrder) {
    const process = {
      process_id: info.id,
      command: ModelText.shortened(ShellCommand.lineOf(info.argv), commandLength),
      running: info.state._tag === "Running",
      ...state(info.state),
      age_seconds: Math.round(info.ageMillis / 1000)
    }
    room -= JSON.stringify(process).length
    if (room < 0) break
    processes.push(process)
  }
  const left_out = infos.length - processes.length
  return left_out === 0 ? { processes } : { processes, left_out }
}

/**
 * A result with its notes as one text, where there are any.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withNotes = <A extends object>(self: A, notes: ReadonlyArray<string>): A & { readonly note?: string } =>
  notes.length === 0 ? self : { ...self, note: notes.join(" ") }

const commandLength = 200

const tooLong =
  "The output is too long for one answer: its beginning and its end are shown. To see more, write it to a " +
  "file and search in that."

const notText = "Some of the output is not text and is shown as \uFFFD; to see it, pipe it through xxd or base64."
