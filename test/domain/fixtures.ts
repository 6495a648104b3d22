import { DateTime, Duration } from "effect"
import { Agent } from "../../src/domain/Agent.ts"
import { Build, type BuildStatus, type Transition } from "../../src/domain/Build.ts"
import { AgentId, BuildId, WorkspaceId } from "../../src/domain/Ids.ts"

export const workspaceId = WorkspaceId.make("workspace")

export const buildId = BuildId.make("build")

/** An instant, in milliseconds after an arbitrary one. */
export const at = (millis: number): DateTime.Utc => DateTime.makeUnsafe(1_000_000_000 + millis)

/** An agent that nobody has heard of yet. */
export const agent = (fields: Partial<ConstructorParameters<typeof Agent>[0]> = {}): Agent =>
  new Agent({
    agentId: AgentId.make("agent"),
    workspaceId,
    buildId,
    parentId: null,
    name: "main",
    displayOrder: 0,
    connectionTimeout: Duration.seconds(120),
    lifecycle: "ready",
    startedAt: at(0),
    firstConnectedAt: null,
    lastConnectedAt: null,
    disconnectedAt: null,
    ...fields
  })

export const build = (transition: Transition, status: BuildStatus, logTail: string | null = null): Build =>
  new Build({ buildId, workspaceId, number: 1, transition, status, logTail })
