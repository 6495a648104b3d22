/**
 * What a turn has found out about its workspace, so that its other calls need not find it out again.
 *
 * A model often makes several calls at once, and repeats one that failed. After `NoWorkspaceAgent` or
 * `AgentDisconnected` the calls of the same step get the same answer without a dial. It holds until the next step, a
 * result of a tool that starts or stops workspaces, or another row of the chat. After several `DialTimeout`s the rest of
 * the turn is answered so, until such a result or row. The model reads the long text once.
 *
 * Usable with any loop: put `workspace` around what the tools connect through, `toolkit` around the tools, and run `step`
 * before each request to the model. Make one for each turn.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { AgentDisconnected, ConnectError, DialTimeout, NoWorkspaceAgent } from "../domain/Errors.ts"
import { LifecycleTools } from "../tool/LifecycleTools.ts"
import type { ChatToolkit } from "../tool/ToolCalls.ts"
import { ToolFailure } from "../tool/ToolFailure.ts"
import { TurnConfig } from "./TurnConfig.ts"
import * as TurnMetrics from "./TurnMetrics.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnNotices {
  /** The model is asked again: what a step has found does not hold for the next. */
  readonly step: Effect.Effect<void>
  /** The workspace of the turn, which answers from what was found. */
  readonly workspace: (workspace: ChatWorkspace) => ChatWorkspace
  /** The tools of the turn: says a long text once, and hears what starts or stops workspaces. */
  readonly toolkit: (toolkit: ChatToolkit) => ChatToolkit
}

/**
 * `lifecycleTools` are the tools whose results may mean another workspace or agent: ours, unless the application has its
 * own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly lifecycleTools?: Iterable<string> | undefined
}

type Notice = NoWorkspaceAgent | AgentDisconnected | DialTimeout

/** What was found, and in which state of the turn. Later news about an earlier state is none. */
interface Found {
  /** Counts what makes everything found before doubtful. */
  readonly epoch: number
  readonly generation: number | undefined
  readonly step: NoWorkspaceAgent | AgentDisconnected | undefined
  readonly timeouts: number
  readonly timeout: DialTimeout | undefined
  readonly told: string | undefined
}

/**
 * Makes the notices of one turn.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options?: Options): Effect.fn.Return<TurnNotices> {
  const { dialTimeouts } = yield* TurnConfig
  const lifecycle = new Set(options?.lifecycleTools ?? Object.keys(LifecycleTools.tools).filter(changes))
  let found: Found = nothing(0)

  const forget = (): void => {
    found = nothing(found.epoch + 1)
  }

  /** What holds for the row that the turn has now. */
  const noticeFor = (generation: number): Notice | undefined => {
    if (found.generation !== undefined && found.generation !== generation) forget()
    return found.step ?? (found.timeouts >= dialTimeouts ? found.timeout : undefined)
  }

  const note = (error: ConnectError, generation: number, seen: Found): void => {
    if (seen.epoch !== found.epoch) return
    if (error._tag === "NoWorkspaceAgent" || error._tag === "AgentDisconnected") {
      found = { ...found, generation, step: error }
    } else if (error._tag === "DialTimeout" && seen.timeouts === found.timeouts) {
      // Calls that waited for the same dial have all seen the same count, and it is counted once.
      found = { ...found, generation, timeouts: found.timeouts + 1, timeout: error }
    }
  }

  const connectOf = (workspace: ChatWorkspace): ChatWorkspace["connect"] =>
    Effect.flatMap(workspace.binding, ({ generation }) => {
      const notice = noticeFor(generation)
      if (notice !== undefined) {
        return Effect.andThen(Metric.update(TurnMetrics.notice(notice.code), 1), Effect.fail(notice))
      }
      const seen = found
      return Effect.tapError(
        workspace.connect,
        (error) => Effect.map(workspace.binding, (now) => note(error, now.generation, seen))
      )
    })

  const reworded = (failure: ToolFailure): ToolFailure => {
    if (failure.error === "dial_timeout" && found.timeouts >= dialTimeouts) {
      return { ...failure, message: givenUp, retry: "never" }
    }
    if (failure.error !== "no_workspace_agent" && failure.error !== "agent_disconnected") return failure
    if (found.told === failure.message) return { ...failure, message: toldBefore }
    found = { ...found, told: failure.message }
    return failure
  }

  return {
    step: Effect.sync(() => {
      found = { ...found, epoch: found.epoch + 1, step: undefined, told: undefined }
    }),
    workspace: (workspace) => {
      const connect = connectOf(workspace)
      return {
        ...workspace,
        connect,
        use: (f) => Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(connect, scope), f))
      }
    },
    toolkit: (toolkit) => ({
      tools: toolkit.tools,
      handle: (name, ...call) =>
        Effect.map(
          toolkit.handle(name, ...call),
          Stream.map((answer) => {
            if (answer.preliminary) return answer
            if (lifecycle.has(name)) forget()
            if (!answer.isFailure || !isFailure(answer.result)) return answer
            const failure = reworded(answer.result)
            return failure === answer.result ? answer : { ...answer, result: failure, encodedResult: failure }
          })
        )
    })
  }
})

const nothing = (epoch: number): Found => ({
  epoch,
  generation: undefined,
  step: undefined,
  timeouts: 0,
  timeout: undefined,
  told: undefined
})

/** The tools that only look at templates change nothing. */
const changes = (name: string): boolean => name.endsWith("_workspace")

const isFailure = Schema.is(ToolFailure)

const toldBefore =
  "The workspace is in the state that another call of this step was told of, and this call was not run. Do first what " +
  "that answer says."

const givenUp =
  "The workspace's agent did not answer this turn's calls, and this one was not sent. Do not repeat it now: tell the user " +
  "that the workspace does not answer."
