/**
 * What the turns of the model test are made of: a model that follows the script in the user's message, and one tool that
 * runs a command in the workspace of the chat.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { ChatWorkspaces } from "../../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../../src/dial/ChatWorkspaces.ts"
import { OperationId } from "../../../src/domain/Ids.ts"
import * as ScriptedModel from "../../../src/testing/ScriptedModel.ts"
import * as ChatTools from "../../../src/tool/ChatTools.ts"
import * as ToolCalls from "../../../src/tool/ToolCalls.ts"
import { ToolFailure } from "../../../src/tool/ToolFailure.ts"

/** One request to the model: so many commands of so many milliseconds, and how the model ends. */
export interface Round {
  readonly commands: ReadonlyArray<number>
  readonly model: "answers" | "fails" | "hangs"
}

/** What a message asks for. The turn ends after the last round. */
export interface Script {
  readonly message: string
  readonly rounds: ReadonlyArray<Round>
}

const Asked = Schema.Struct({ wish: Schema.String, millis: Schema.Finite })

const isAsked = Schema.is(Asked)

const work = Tool.make("work", {
  parameters: Asked,
  success: Schema.Unknown,
  failure: ToolFailure,
  failureMode: "return"
})

const kit = Toolkit.make(work)

/** `began` hears of each call in the step in which the turn begins it. */
export const layerTools = (
  node: string,
  began: (wish: string) => void
): Layer.Layer<ChatTools.ChatTools, never, ChatWorkspaces> =>
  Layer.effect(
    ChatTools.ChatTools,
    Effect.map(ChatWorkspaces, (workspaces) => {
      let attempts = 0
      return ChatTools.ChatTools.of({
        open: Effect.fnUntraced(function*({ chatId, wrap = (workspace: ChatWorkspace) => workspace }) {
          const workspace = wrap(yield* workspaces.open(chatId))
          const handlers = yield* kit.toHandlers({
            work: ({ millis, wish }) =>
              workspace.use((connection) =>
                connection.processes.run({
                  // A node that takes up what another had begun would try anew.
                  id: OperationId.make(`${wish}#${node}/${++attempts}`),
                  argv: ["work", String(millis)]
                })
              ).pipe(
                Effect.map(({ code }) => code),
                Effect.mapError((error): ToolFailure => ({ error: error.code, message: error.message, retry: "never" }))
              )
          })
          const toolkit = yield* ToolCalls.make([work], handlers)
          const handle: typeof toolkit.handle = (name, params, id) => {
            if (isAsked(params)) began(params.wish)
            return toolkit.handle(name, params, id)
          }
          return { workspace, plain: [], toolkit: { ...toolkit, handle } }
        })
      })
    })
  )

const unreachable = new AiError.InternalProviderError({ description: "planted" })

/** The script stands in the last message of the user; the rounds since then are counted. */
export const layerModel: Layer.Layer<LanguageModel.LanguageModel> = ScriptedModel.layerChoosing(({ prompt }) => {
  const messages = prompt.content
  const last = messages.findLastIndex(({ role }) => role === "user")
  const user = messages[last]
  const text = user?.role === "user" ? user.content.find((part) => part.type === "text")?.text : undefined
  const script: Script = JSON.parse(text ?? "")
  const number = messages.slice(last).filter(({ role }) => role === "assistant").length
  const round = script.rounds[number]
  if (round === undefined) return ScriptedModel.say("done")
  if (round.model === "hangs") return ScriptedModel.hang
  if (round.model === "fails") return ScriptedModel.fail(unreachable)
  return ScriptedModel.calls(
    ...round.commands.map((millis, index) =>
      ["work", { wish: `${script.message}/${number}/${index}`, millis }] as const
    )
  )
})
