/**
 * What is written behind the last message of a turn that did not come to its answer, so that every provider accepts the
 * history: a result for each call that has none, and a word of the assistant that says what happened.
 *
 * The word stands there for the model of the next turn as well, and lets user and assistant take turns.
 *
 * @since 0.1.0
 */
import type { TurnEnd, TurnEndReason, TurnMessage } from "../domain/Turn.ts"

/**
 * A call of a tool without its result.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenCall {
  readonly id: string
  readonly name: string
}

/**
 * The calls of the last message that nobody has answered, in their order.
 *
 * @since 0.1.0
 * @category getters
 */
export const openCalls = (messages: ReadonlyArray<TurnMessage>): ReadonlyArray<OpenCall> => {
  const last = messages.at(-1)
  if (last?.role !== "assistant" || typeof last.content === "string") return []
  return last.content.flatMap((part) => part.type === "tool-call" && part.providerExecuted !== true ? [part] : [])
}

/**
 * The answer to a call of which nobody knows what it came to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown = ({ id, name }: OpenCall) => ({
  type: "tool-result" as const,
  id,
  name,
  isFailure: true,
  result: {
    error: "outcome_unknown",
    message:
      "The server that made this call was lost, and the outcome of the call is unknown. It may have had its effect: " +
      "look before you repeat it.",
    retry: "never"
  }
})

/**
 * The last word of a turn. `text` is what the model had said of its answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lastWord = ({ reason, status }: TurnEnd, text = ""): TurnMessage => {
  const note = status === "done" ? (text === "" ? "[No answer.]" : "") : `[${notes[reason ?? "internal"]}]`
  return {
    role: "assistant",
    content: [text, note].flatMap((text) => text === "" ? [] : [{ type: "text" as const, text }])
  }
}

/**
 * What a turn of a lost node leaves behind these messages of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crashed = (messages: ReadonlyArray<TurnMessage>): ReadonlyArray<TurnMessage> => {
  const open = openCalls(messages)
  const word = lastWord(lost)
  return open.length === 0 ? [word] : [{ role: "tool", content: open.map(unknown) }, word]
}

/**
 * How such a turn ends.
 *
 * @since 0.1.0
 * @category constants
 */
export const lost: TurnEnd = { status: "crashed", reason: "lost" }

const notes: Readonly<Record<TurnEndReason, string>> = {
  steps: "This turn ended at its limit of steps, before there was an answer.",
  time: "This turn ended at its limit of time, before there was an answer.",
  silence: "This turn ended because the model fell silent.",
  model: "This turn ended because the model could not be reached or failed.",
  internal: "This turn ended because of an error inside the server.",
  user: "The user interrupted this turn.",
  shutdown: "This turn was interrupted because the server restarted.",
  lost: "This turn was interrupted because the server that ran it was lost."
}
