/**
 * What to do after a failure, as data and as a text that a model can follow.
 *
 * The same recovery reads differently in different chats: an action whose tool the chat does not have becomes a request
 * to the user, and in a child chat a report to its parent.
 *
 * @since 0.1.0
 */
import * as Str from "effect/String"

/**
 * The next step that has a chance to help.
 *
 * @since 0.1.0
 * @category models
 */
export type Action =
  | "create"
  | "start"
  | "stop-then-start"
  | "wait"
  | "retry"
  | "check-outcome"
  | "look"
  | "correct-call"
  | "tell-user"

/**
 * Whether the same call again is of use: never as it is, once right away, after a while, or after the action was done.
 *
 * @since 0.1.0
 * @category models
 */
export type Retry = "never" | "now-once" | "later" | "after-recovery"

/**
 * The way out of one failure.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recovery {
  readonly action: Action
  readonly retry: Retry
}

/**
 * The chat needs a workspace.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const create: Recovery = { action: "create", retry: "after-recovery" }

/**
 * The workspace must be started; a start that is under way is waited for.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const start: Recovery = { action: "start", retry: "after-recovery" }

/**
 * Starting alone does nothing to a running workspace with a dead agent: it must be stopped first.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const stopThenStart: Recovery = { action: "stop-then-start", retry: "after-recovery" }

/**
 * Something that is under way must end first.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const wait: Recovery = { action: "wait", retry: "later" }

/**
 * The same call may succeed at once.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const retryNowOnce: Recovery = { action: "retry", retry: "now-once" }

/**
 * The same call may succeed after a while.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const retryLater: Recovery = { action: "retry", retry: "later" }

/**
 * One more try, then a person has to look.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const retryThenTellUser: Recovery = { action: "tell-user", retry: "now-once" }

/**
 * The call may have run: ask for its outcome instead of repeating it.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const checkOutcome: Recovery = { action: "check-outcome", retry: "never" }

/**
 * Nobody knows any more whether the call ran: what it would have changed has to be looked at.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const lookAtEffect: Recovery = { action: "look", retry: "never" }

/**
 * The call itself is wrong.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const correctCall: Recovery = { action: "correct-call", retry: "never" }

/**
 * Only a person can help.
 *
 * @since 0.1.0
 * @category recoveries
 */
export const tellUser: Recovery = { action: "tell-user", retry: "never" }

/**
 * What `explain` needs to know of an error; every error of this module is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Explainable {
  readonly message: string
  readonly recovery: Recovery
  readonly operationId?: string | null | undefined
  readonly logTail?: string | null | undefined
}

/**
 * Where the text will be read: the names of the tools this chat has, and whether it is the child of another chat.
 *
 * @since 0.1.0
 * @category models
 */
export interface Audience {
  readonly toolNames: Iterable<string>
  readonly child?: boolean | undefined
}

/**
 * The text for a model: what is wrong, then the one next step, then whether to repeat the call.
 *
 * @since 0.1.0
 * @category combinators
 */
export const explain = (error: Explainable, audience: Audience): string => {
  const tools = new Set(audience.toolNames)
  const step = steps[error.recovery.action](error, audience.child === true)
  const missing = step.tools.filter((tool) => !tools.has(tool))
  const next = missing.length === 0
    ? step.own
    : audience.child === true
    ? `You cannot do this here: report to the parent chat that it has to ${step.ask}.`
    : `You cannot do this here: ask the user to ${step.ask}.`
  const log = typeof error.logTail === "string" && error.logTail !== "" ? `\nEnd of the log:\n${error.logTail}` : ""
  const retry = retries[error.recovery.retry]
  const advice = error.recovery.retry === "now-once" ? [retry, next] : [next, retry]
  return [shortened(error.message), ...advice].filter((part) => part !== "").join(" ") + log
}

/** Errors of calls are worded by the agent, which must not fill the model's memory with them. */
const shortened = (message: string): string =>
  message.length <= messageLimit ? message : `${message.slice(0, messageLimit)} …`

const messageLimit = 4096

interface Step {
  readonly tools: ReadonlyArray<string>
  readonly own: string
  readonly ask: string
}

const steps: Readonly<Record<Action, (error: Explainable, child: boolean) => Step>> = {
  create: () => ({
    tools: ["create_workspace"],
    own: "Call create_workspace.",
    ask: "create a workspace for this chat"
  }),
  start: () => ({
    tools: ["start_workspace"],
    own: "Call start_workspace, which waits until the workspace is ready.",
    ask: "start the workspace"
  }),
  "stop-then-start": () => ({
    tools: ["stop_workspace", "start_workspace"],
    own: "Call stop_workspace, then start_workspace; start_workspace alone does not help.",
    ask: "stop the workspace and start it again"
  }),
  wait: () => ({ tools: [], own: "Wait until this has ended.", ask: "" }),
  retry: () => ({ tools: [], own: "", ask: "" }),
  "check-outcome": (error) => ({
    tools: ["process_output"],
    own: `Do not repeat the call; look at its outcome with process_output${
      typeof error.operationId === "string" ? ` (process_id ${error.operationId})` : ""
    }.`,
    ask: "check whether the call took effect before it is repeated"
  }),
  look: () => ({
    tools: [],
    own: "Look whether it took effect, and run it again only if it did not.",
    ask: ""
  }),
  "correct-call": () => ({ tools: [], own: "Correct the call.", ask: "" }),
  "tell-user": (error, child) => {
    const tell = child ? "report it to the parent chat" : "tell the user"
    return {
      tools: [],
      own: error.recovery.retry === "now-once" ? `If that fails too, ${tell}.` : `${Str.capitalize(tell)}.`,
      ask: ""
    }
  }
}

const retries: Readonly<Record<Retry, string>> = {
  never: "",
  "now-once": "Repeat the call once.",
  later: "Repeat the call after a short while.",
  "after-recovery": "Then repeat the call."
}
