/**
 * A model that has one wish a turn, and does what the answers of the tools say: no more, and nothing of its own.
 *
 * It begins with one call. When that fails it follows the text literally: calls the tool that is named, repeats the call
 * when it is told to, waits when it is told to, and tells the user when only a person can help. A turn that ends well with
 * it ends well by its texts. What it does is decided by the prompt alone, so that it can be asked by any loop.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Instructions from "./Instructions.ts"
import * as ScriptedModel from "./ScriptedModel.ts"
import type { Call, Request } from "./ScriptedModel.ts"

/**
 * `wish` is the call that it is all about, the same for every turn or made of the user's message. `patience` is "a short
 * while": 10 seconds unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends ScriptedModel.Keeping {
  readonly wish: Call | ((message: string) => Call)
  readonly patience?: Duration.Input | undefined
}

/**
 * How its last words begin, when it got what it wanted and when it did not.
 *
 * @since 0.1.0
 * @category constants
 */
export const lastWords = { done: "Done.", help: "I cannot go on alone." } as const

/**
 * The model, and what it was asked.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<LanguageModel.LanguageModel | ScriptedModel.ScriptedModel> => {
  const patience = Duration.fromInputUnsafe(options.patience ?? Duration.seconds(10))
  return ScriptedModel.layerChoosing((request) => {
    const { call, after, words } = next(wishOf(options, request), request)
    const step = call === undefined ? ScriptedModel.say(words) : ScriptedModel.call(call.name, call.args)
    return after === "a while" ? () => Effect.delay(step(request), patience) : step
  }, options)
}

/** A call that was made, and its answer. */
interface Past {
  readonly call: Call
  readonly result: unknown
}

/** What it does next: a call, or its last words. */
interface Intent {
  readonly call?: Call | undefined
  readonly after?: "a while" | undefined
  readonly words: string
}

const next = (wish: Call, request: Request): Intent => {
  const past = pastOf(request)
  let plan: ReadonlyArray<Intent> = [calling(wish)]
  past.forEach((step, at) => {
    const [planned, ...others] = plan
    // Choosing a template comes before what was planned.
    const rest = planned?.call?.name === step.call.name ? others : plan
    plan = [...obey(step, past.slice(0, at), request), ...rest]
  })
  const intent = plan[0] ?? done(past.at(-1)?.result)
  return prepared(intent, past)
}

const wishOf = ({ wish }: Options, { prompt }: Request): Call => {
  if (typeof wish !== "function") return wish
  const message = prompt.content.findLast(({ role }) => role === "user")
  return wish(
    message?.role === "user"
      ? message.content.flatMap((part) => part.type === "text" ? [part.text] : []).join("\n")
      : ""
  )
}

/** The calls of this turn: what an earlier message asked for is done. */
const pastOf = ({ prompt }: Request): ReadonlyArray<Past> => {
  const turn = prompt.content.slice(prompt.content.findLastIndex(({ role }) => role === "user") + 1)
  const results = new Map<string, unknown>()
  for (const message of turn) {
    if (message.role !== "tool") continue
    for (const part of message.content) if (part.type === "tool-result") results.set(part.id, part.result)
  }
  return turn.flatMap((message) =>
    message.role !== "assistant" ?
      [] :
      message.content.flatMap((part) =>
        part.type === "tool-call"
          ? [{ call: { name: part.name, args: part.params }, result: results.get(part.id) }]
          : []
      )
  )
}

/** What the answer to a call says is to be done before anything else. */
const obey = ({ call, result }: Past, before: ReadonlyArray<Past>, request: Request): ReadonlyArray<Intent> => {
  const answer = Instructions.answer(result)
  if (answer.running === true) return [calling(call)]
  const plan: Array<Intent> = []
  let after: Intent["after"]
  let isSpent = false
  const add = (call: Call) => {
    plan.push({ ...calling(call), after })
    after = undefined
  }
  for (const instruction of Instructions.read(answer)) {
    switch (instruction._tag) {
      case "Wait":
        after = "a while"
        break
      case "Call":
        // The tools that build say that the same failure twice is for the user.
        if (answer.retry === undefined && before.some((past) => isSame(past, call, answer.error))) {
          return [helpless(answer.error ?? "")]
        }
        add({ name: instruction.tool, args: argsOf(instruction) })
        break
      case "Repeat":
        if (instruction.when === "later") after = "a while"
        if (instruction.when === "unless done") {
          // It asked with one tool about a call of another. What that would have changed cannot be seen from here.
          add(before.findLast((past) => past.call.name !== call.name)?.call ?? call)
          break
        }
        if (instruction.when === "once" && before.some((past) => isSame(past, call, answer.error))) isSpent = true
        else add(call)
        break
      case "Correct": {
        const corrected = without(call, instruction.text, request)
        if (corrected === undefined) return [helpless(instruction.text)]
        add(corrected)
        break
      }
      case "Tell":
        return [helpless(instruction.text)]
    }
  }
  return isSpent ? [helpless(Instructions.text(answer))] : plan
}

const calling = (call: Call): Intent => ({ call, words: "" })

const helpless = (text: string): Intent => ({ words: `${lastWords.help} ${text}` })

const done = (result: unknown): Intent => ({
  words: `${lastWords.done} ${Instructions.answer(result).output ?? ""}`.trim()
})

/** What was told of the same call before, in the same words. */
const isSame = (past: Past, call: Call, error: string | undefined): boolean =>
  past.call.name === call.name && error !== undefined && Instructions.answer(past.result).error === error

const argsOf = ({ processId }: { readonly processId?: string | undefined }): unknown =>
  processId === undefined ? {} : { process_id: processId, wait: 30 }

/** A template is chosen before a workspace is made, as the tool for that says. */
const prepared = (intent: Intent, past: ReadonlyArray<Past>): Intent => {
  if (intent.call?.name !== "create_workspace") return intent
  if (Predicate.hasProperty(intent.call.args, "template_id")) return intent
  const [template] = past.flatMap(({ result }) => Instructions.answer(result).templates ?? [])
  return {
    ...intent,
    call: template === undefined
      ? { name: "list_templates", args: {} }
      : { name: "create_workspace", args: { template_id: template.id } }
  }
}

/** The call without what it need not have and the text names: by its name, or by its value. */
const without = ({ args, name }: Call, text: string, { tools }: Request): Call | undefined => {
  const tool = tools.find((tool) => tool.name === name)
  if (tool === undefined || !Predicate.isReadonlyObject(args)) return undefined
  const required: unknown = Tool.getJsonSchema(tool)["required"]
  const isNamed = (key: string, value: unknown) =>
    text.includes(`["${key}"]`) || (typeof value === "string" && value !== "" && text.includes(value))
  const kept = Object.entries(args).filter(([key, value]) =>
    (Array.isArray(required) && required.includes(key)) || !isNamed(key, value)
  )
  return kept.length === Object.keys(args).length ? undefined : { name, args: Object.fromEntries(kept) }
}
