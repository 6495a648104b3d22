/**
 * The instruction files of a chat's workspace (`AGENTS.md` and its kind), for the prompt of a turn.
 *
 * They are read through the agent once for each chat and agent, and stored; that there are none is stored too. A failure
 * stores nothing, so that the next turn tries again. A turn waits a short time for them, and the reading goes on without
 * it. A chat whose workspace has no agent now costs a query and no dial.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { Binding } from "../domain/Binding.ts"
import type { ConnectError, FilesError } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import { InstructionStore } from "../store/InstructionStore.ts"
import type { InstructionFile } from "../store/InstructionStore.ts"
import * as InstructionReading from "./InstructionReading.ts"
import * as NoAgent from "./NoAgent.ts"
import * as SharedWork from "./SharedWork.ts"
import { TurnConfig } from "./TurnConfig.ts"
import * as TurnMetrics from "./TurnMetrics.ts"

/**
 * The files, or why there are none: `error` says it where there is one to tell: not
 * of a chat without a workspace, of a transport that cannot look at files, or of a failure that was logged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Instructions {
  readonly files: ReadonlyArray<InstructionFile>
  readonly outcome: TurnMetrics.InstructionsOutcome
  readonly error: ConnectError | FilesError | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class InstructionFiles extends Context.Service<InstructionFiles, {
  /** What is stored for the workspace's agent, or else what the agent answers in time. */
  readonly read: (workspace: ChatWorkspace) => Effect.Effect<Instructions>
}>()("chat-workspace/turn/InstructionFiles") {}

const nothing: Instructions = { files: [], outcome: "none", error: null }
const late: Instructions = { ...nothing, outcome: "late" }
const failed: Instructions = { ...nothing, outcome: "failed" }

const make = Effect.gen(function*(): Effect.fn.Return<
  InstructionFiles["Service"],
  never,
  AgentTransport | InstructionStore | Scope.Scope
> {
  const { features } = yield* AgentTransport
  const store = yield* InstructionStore
  const config = yield* TurnConfig
  const work = yield* SharedWork.make<Instructions>({
    name: "instruction files",
    limit: config.setupLimit,
    otherwise: failed
  })
  const isPossible = features.has("files") && features.has("directories")

  const stored = (chatId: Binding["chatId"], agentId: AgentId) =>
    Effect.map(
      store.get(chatId, agentId),
      Option.map((files): Instructions => ({ files, outcome: "stored", error: null }))
    )

  const look = Effect.fnUntraced(
    function*({ agentId, chatId }: Binding, workspace: ChatWorkspace) {
      const known = agentId === null ? Option.none() : yield* stored(chatId, agentId)
      if (Option.isSome(known)) return known.value
      const current = yield* workspace.currentAgent
      const other = current.agentId === agentId ? Option.none() : yield* stored(chatId, current.agentId)
      if (Option.isSome(other)) return other.value
      const read = yield* workspace.use((connection) =>
        Effect.map(InstructionReading.read(connection, config), (files) => ({ agentId: connection.agentId, files }))
      )
      // What was read serves this turn all the same.
      yield* Effect.catch(
        store.put(chatId, read.agentId, read.files),
        (error) => Effect.logWarning("Instruction files could not be stored", error)
      )
      const outcome: Instructions = { files: read.files, outcome: "read", error: null }
      return outcome
    },
    (effect, { chatId }) =>
      Effect.catch(effect, (error: ConnectError | FilesError): Effect.Effect<Instructions> =>
        NoAgent.isNoAgent(error)
          ? Effect.succeed({ ...nothing, error })
          : Effect.as(
            Effect.annotateLogs(Effect.logWarning("Instruction files could not be read", error), { "chat.id": chatId }),
            { ...failed, error }
          ))
  )

  return InstructionFiles.of({
    read: Effect.fn("InstructionFiles.read")(function*(workspace) {
      const row = yield* workspace.binding
      yield* Effect.annotateCurrentSpan({ "chat.id": row.chatId })
      const found = row.workspaceId === null || !isPossible ? nothing : Option.getOrElse(
        // A chat that is bound anew does not wait for what is read of the workspace before.
        yield* work.join(`${row.chatId}/${row.generation}`, look(row, workspace), config.setupWait),
        () => late
      )
      yield* Metric.update(TurnMetrics.instructions(found.outcome), 1)
      return found
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<InstructionFiles, never, AgentTransport | InstructionStore> = Layer.effect(
  InstructionFiles,
  make
)
