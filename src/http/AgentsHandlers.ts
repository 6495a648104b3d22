/**
 * Answers `AgentsApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AgentTransport } from "../agent/AgentTransport.ts"
import * as ChatExplanation from "../dial/ChatExplanation.ts"
import { DialConfig } from "../dial/DialConfig.ts"
import type { Agent, BuildSnapshot } from "../domain/Agent.ts"
import type { WorkspaceRefused } from "../domain/Errors.ts"
import { Enrollment } from "../provisioner/Enrollment.ts"
import type { Builds } from "../store/Builds.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import type { AgentDetails } from "./AgentsApi.ts"
import { AgentsApi } from "./AgentsApi.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import type { Bodies } from "./Bodies.ts"
import { NotFound } from "./HttpErrors.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import type { Requests } from "./Requests.ts"

const api = HttpApi.make("chat-workspace").add(AgentsApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "agents">,
  never,
  Enrollment | WorkspaceAgents | Builds | AgentTransport | Authorization | Requests | Bodies
> = HttpApiBuilder.group(
  api,
  "agents",
  Effect.fnUntraced(function*(handlers) {
    const enrollment = yield* Enrollment
    const workspaceAgents = yield* WorkspaceAgents
    const transport = yield* AgentTransport
    const config = yield* DialConfig
    const owned = { workspace: yield* Owned.workspaces, agent: yield* Owned.agents }

    const details = (
      agent: Agent,
      snapshot: Pick<BuildSnapshot, "asOf" | "coveredSince">
    ): typeof AgentDetails.Type => {
      const { presence, status, unreachableFor } = ChatExplanation.viewOf(agent, snapshot, config, transport)
      return { ...agent, ...status, unreachableFor, presence, asOf: snapshot.asOf }
    }

    return handlers.handleAll({
      list: Effect.fnUntraced(function*({ params: { workspaceId } }) {
        yield* owned.workspace(workspaceId)
        const latest = yield* workspaceAgents.latestBuild(workspaceId)
        return Option.match(latest, {
          onNone: () => ({ build: null, agents: [] }),
          onSome: (found) => ({ build: found.build, agents: found.agents.map((agent) => details(agent, found)) })
        })
      }),
      get: ({ params }) => Effect.map(owned.agent(params.agentId), ({ snapshot }) => details(snapshot.agent, snapshot)),
      enroll: Effect.fnUntraced(function*({ params: { workspaceId }, payload }) {
        const { owner } = yield* CurrentPrincipal
        return yield* enrollment.enroll({ workspaceId, owner, ...payload })
      }, Effect.catchTag("WorkspaceRefused", notFound)),
      retire: Effect.fnUntraced(function*({ params: { workspaceId } }) {
        const { owner } = yield* CurrentPrincipal
        yield* enrollment.retire({ workspaceId, owner })
      }, Effect.catchTag("WorkspaceRefused", notFound)),
      rotate: Effect.fnUntraced(function*({ params: { agentId } }) {
        const { workspace: { owner, workspaceId } } = yield* owned.agent(agentId)
        return { token: yield* enrollment.rotate({ workspaceId, owner, agentId }) }
      }, Effect.catchTag("WorkspaceRefused", notFound))
    })
  })
)

/**
 * These routes by themselves.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes: Layer.Layer<
  never,
  never,
  Enrollment | WorkspaceAgents | Builds | AgentTransport | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))

const notFound = ({ workspaceId }: WorkspaceRefused): NotFound => new NotFound({ kind: "workspace", id: workspaceId })
