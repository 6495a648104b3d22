/** What a provider is asked to do, with a log that is kept, and looks at the processes of this host. */
import { Duration, Effect, Redacted, Schedule, type Scope } from "effect"
import { DateTime } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { AgentId, BuildId, OwnerId, TemplateId, WorkspaceId } from "../../../src/domain/Ids.ts"
import { AgentToken } from "../../../src/domain/index.ts"
import { Template } from "../../../src/domain/Template.ts"
import { Workspace, WorkspaceName } from "../../../src/domain/Workspace.ts"
import type { ProvidedAgent, ProviderRequest } from "../../../src/provisioner/Provider.ts"

let unique = 0

export const fresh = (name: string): string => `${name}-${process.pid}-${++unique}`

export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(Path.join(tmpdir(), "cw-provider-")))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export const template = (
  provider: Template["provider"],
  fields: Partial<Template> = {}
): Template =>
  new Template({
    templateId: TemplateId.make("template"),
    name: "Template",
    description: "",
    readme: null,
    parameters: [],
    agents: [{ name: "main", displayOrder: 0 }],
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120),
    ...fields,
    provider
  })

export const workspace = (workspaceId: string = fresh("workspace")): Workspace =>
  new Workspace({
    workspaceId: WorkspaceId.make(workspaceId),
    owner: OwnerId.make("ann"),
    name: WorkspaceName.make("name"),
    templateId: TemplateId.make("template"),
    createdAt: DateTime.makeUnsafe(0)
  })

export const agent = (name = "main"): ProvidedAgent => {
  const agentId = AgentId.make(fresh("agent"))
  const secret = Redacted.make(new Uint8Array(AgentToken.secretLength).fill(unique % 256))
  return { agentId, name, token: AgentToken.format({ agentId, secret }) }
}

/** A request, and the lines that it logged. */
export const request = (fields: Partial<ProviderRequest> & Pick<ProviderRequest, "template">) => {
  const lines: Array<string> = []
  const made: ProviderRequest = {
    buildId: BuildId.make(fresh("build")),
    workspace: workspace(),
    parameters: {},
    agents: [agent()],
    gatewayUrl: "ws://127.0.0.1:1/agent",
    log: (line) => Effect.sync(() => void lines.push(line)),
    ...fields
  }
  return { request: made, lines }
}

/** Waits until something holds that gives no event, and fails loudly when it does not come. */
export const eventually = (what: string, holds: () => boolean, within: Duration.Input = "20 seconds") =>
  Effect.sync(holds).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.die(new Error(`never came true: ${what}`)) })
  )

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(Fs.readFileSync(`/proc/${pid}/stat`, "latin1"))
  } catch {
    return false
  }
}

/** The numbers in a file, once there are so many. */
export const numbers = Effect.fnUntraced(function*(path: string, count: number) {
  const read = () => Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").trim().split("\n").filter(Boolean) : []
  yield* eventually(`${count} lines in ${path}`, () => read().length >= count)
  return read().map(Number)
})

/** Ends what a test found alive, whatever becomes of the test. */
export const killedAfter = (pids: ReadonlyArray<number>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const pid of pids) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // It has ended.
        }
      }
    })
  )
