/**
 * One look at the workspace of a chat: its latest build, the agent that this gives, and whether that agent is there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { DialConfig } from "../dial/DialConfig.ts"
import * as Unreachable from "../dial/Unreachable.ts"
import type { Agent } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import { statusAt } from "../domain/AgentStatus.ts"
import type { Build } from "../domain/Build.ts"
import type { NoCurrentAgent, StoreError } from "../domain/Errors.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import * as StoreCall from "../provisioner/StoreCall.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"

/**
 * What was seen. `unreachable` is set where there is an agent that is gone, or did not come in its time; one that is
 * neither connected nor that may still come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Seen {
  readonly build: Build | undefined
  readonly agent: Result.Result<Agent, NoCurrentAgent>
  readonly connected: boolean
  readonly unreachable: Unreachable.Unreachable | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type Look = (workspaceId: WorkspaceId) => Effect.Effect<Seen, StoreError>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Look, never, WorkspaceAgents> = Effect.gen(function*() {
  const agents = yield* WorkspaceAgents
  const config = yield* DialConfig
  const ask = yield* StoreCall.make
  return (workspaceId) =>
    Effect.map(ask("WorkspaceAgents.latestBuild", agents.latestBuild(workspaceId)), (latest) => {
      const agent = currentAgent(workspaceId, latest, { preferredSuffix: config.preferredSuffix })
      if (Option.isNone(latest)) return { build: undefined, agent, connected: false, unreachable: undefined }
      const snapshot = latest.value
      return {
        build: snapshot.build,
        agent,
        connected: Result.isSuccess(agent) &&
          statusAt(agent.success, snapshot.asOf, config.inactiveTimeout).status === "connected",
        unreachable: Result.isSuccess(agent) ? Unreachable.judge(agent.success, snapshot, config) : undefined
      }
    })
})
