/** Workspaces and their builds as the store would hold them. */
import { DateTime, Duration } from "effect"
import { Build, BuildRecord } from "../../../src/domain/Build.ts"
import { BuildId, OwnerId, TemplateId, WorkspaceId } from "../../../src/domain/Ids.ts"
import { Workspace, WorkspaceName } from "../../../src/domain/Workspace.ts"

const second = (seconds: number) => DateTime.makeUnsafe(seconds * 1000)

export interface Fields {
  readonly status?: Build["status"]
  readonly transition?: Build["transition"]
  readonly failure?: BuildRecord["failure"]
  /** How long ago it was asked for, and ended. */
  readonly asked?: Duration.Input
  readonly ended?: Duration.Input
}

const now = 10_000_000

export const record = ({ asked = 0, ended, failure = null, status = "succeeded", transition = "start" }: Fields) => {
  const before = (span: Duration.Input) => second(now - Duration.toSeconds(Duration.fromInputUnsafe(span)))
  return new BuildRecord({
    build: new Build({
      buildId: BuildId.make("b1"),
      workspaceId: WorkspaceId.make("w1"),
      number: 1,
      transition,
      status,
      logTail: null
    }),
    templateId: TemplateId.make("local"),
    parameters: {},
    failure,
    attempt: 0,
    ahead: 0,
    createdAt: before(asked),
    startedAt: null,
    finishedAt: ended === undefined ? null : before(ended),
    asOf: second(now)
  })
}

export const workspace = (id: string, fields: { readonly name: string | null; readonly template: string | null }) =>
  new Workspace({
    workspaceId: WorkspaceId.make(id),
    owner: OwnerId.make("ann"),
    name: fields.name === null ? null : WorkspaceName.make(fields.name),
    templateId: fields.template === null ? null : TemplateId.make(fields.template),
    createdAt: second(0)
  })
