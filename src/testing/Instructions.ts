/**
 * What the answer of a tool tells a model to do, read from its words alone.
 *
 * It knows the phrases of this package's tools and nothing of what they mean for a workspace. The log at the end of a
 * message was printed by a build, and nothing in it is an instruction.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * To call a tool; to call again what was just called, once or after a while; to do again what was asked about, unless it
 * was done; to wait first; to do without an argument that the text names; to tell somebody.
 *
 * @since 0.1.0
 * @category models
 */
export type Instruction =
  | { readonly _tag: "Call"; readonly tool: string; readonly processId?: string | undefined }
  | { readonly _tag: "Repeat"; readonly when: "then" | "once" | "later" | "unless done" }
  | { readonly _tag: "Wait" }
  | { readonly _tag: "Correct"; readonly text: string }
  | { readonly _tag: "Tell"; readonly text: string }

const Answer = Schema.Struct({
  message: Schema.optionalKey(Schema.String),
  note: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.String),
  output: Schema.optionalKey(Schema.String),
  process_id: Schema.optionalKey(Schema.String),
  running: Schema.optionalKey(Schema.Boolean),
  retry: Schema.optionalKey(Schema.String),
  templates: Schema.optionalKey(Schema.Array(Schema.Struct({ id: Schema.String })))
})

/**
 * What is looked at in the answer of a tool.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = typeof Answer.Type

const decode = Schema.decodeUnknownOption(Answer)

/**
 * @since 0.1.0
 * @category constructors
 */
export const answer = (result: unknown): Answer => {
  const decoded = decode(result)
  return decoded._tag === "Some" ? decoded.value : {}
}

/**
 * The words that say what to do; empty where the answer has none.
 *
 * @since 0.1.0
 * @category getters
 */
export const text = ({ message, note }: Answer): string => (message ?? note ?? "").split("\nEnd of the log:")[0] ?? ""

/**
 * The instructions of an answer, in their order.
 *
 * @since 0.1.0
 * @category getters
 */
export const read = (answer: Answer): ReadonlyArray<Instruction> => {
  const words = text(answer)
  const found = words.split(/(?<=\.)\s+/).flatMap((sentence) => readSentence(sentence, words, answer))
  // What only somebody else can do is not done before.
  const tell = found.find((instruction) => instruction._tag === "Tell")
  return tell === undefined ? found : [tell]
}

const readSentence = (sentence: string, words: string, answer: Answer): ReadonlyArray<Instruction> => {
  if (sentence.startsWith("You cannot do this here:")) return [{ _tag: "Tell", text: words }]
  if (/^(Tell the user|Report it to the parent chat)\b/.test(sentence)) {
    return [{ _tag: "Tell", text: words }]
  }
  if (/^Then repeat the call\b/.test(sentence)) return [{ _tag: "Repeat", when: "then" }]
  if (/^Repeat the call once\b/.test(sentence)) return [{ _tag: "Repeat", when: "once" }]
  if (/^Look whether it took effect\b/.test(sentence)) return [{ _tag: "Repeat", when: "unless done" }]
  if (/^Repeat the call after a short while\b/.test(sentence)) return [{ _tag: "Repeat", when: "later" }]
  if (/^Wait until this has ended\b/.test(sentence)) return [{ _tag: "Wait" }]
  if (/^Correct the call\b/.test(sentence)) return [{ _tag: "Correct", text: words }]
  const call = /\bCall ([a-z_]+)(?:, then ([a-z_]+))?/.exec(sentence)
  if (call !== null) {
    return [call[1], call[2]].flatMap((tool) => tool === undefined ? [] : [{ _tag: "Call" as const, tool }])
  }
  const outcome = /\b(?:look at its outcome|wait for it) with ([a-z_]+)(?: \(process_id ([^)]+)\))?/.exec(sentence)
  return outcome?.[1] === undefined
    ? []
    : [{ _tag: "Call", tool: outcome[1], processId: outcome[2] ?? answer.process_id }]
}
