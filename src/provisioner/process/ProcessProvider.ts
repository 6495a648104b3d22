/**
 * A provider of folders on this host: a workspace is a folder, and its agents are processes that work in it.
 *
 * ```json
 * { "type": "process", "environment": { "EDITOR": "vi" } }
 * ```
 *
 * For development, and for chats whose users are trusted with the account under which the backend runs. **It is no sandbox**:
 * what runs in a workspace can read and end whatever that account can, also other workspaces and the backend. So it refuses
 * a gateway that others than this host can reach, unless `allowRemote` says that this is meant.
 *
 * Agents belong to no backend process: they run on when it ends, and the next one finds them by what was noted of them. A
 * stop asks the agents to end, and then ends everything that was started in the workspace, see `WorkspaceProcesses`.
 *
 * An agent gets `PATH`, `LANG` and `LC_ALL` of the backend's environment and nothing else of it, `HOME` (the folder of the
 * workspace), `TERM`, `CW_PARAM_<NAME>` for each parameter, the `environment` of the template, and what is its own.
 *
 * **Gotchas**
 *
 * - A supervisor that ends all processes of a service with it (systemd, unless `KillMode=process`; a container) ends the
 *   agents with the backend.
 * - The log of an agent is kept from one start to the next, and is not bounded in between.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import * as ProcessGroups from "../../agent/program/ProcessGroups.ts"
import * as ProgramConfig from "../../agent/program/ProgramConfig.ts"
import * as StateDirectory from "../../agent/program/StateDirectory.ts"
import * as LogLines from "../LogLines.ts"
import { type ProvidedAgent, type Provider, ProviderFailed, type ProviderRequest } from "../Provider.ts"
import { ProvisionerConfig } from "../ProvisionerConfig.ts"
import * as AgentProgram from "./AgentProgram.ts"
import * as Ending from "./Ending.ts"
import * as PassedOn from "./PassedOn.ts"
import * as ProviderSettings from "./ProviderSettings.ts"
import * as TokenFiles from "./TokenFiles.ts"
import * as WorkspaceFolder from "./WorkspaceFolder.ts"
import * as WorkspaceProcesses from "./WorkspaceProcesses.ts"

/**
 * The settings of a template of this provider.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Settings = Schema.Struct({
  environment: Schema.optionalKey(Schema.Record(ProviderSettings.VariableName, Schema.String))
})

/**
 * - `root`: where the folders of the workspaces are; made if it is not there
 * - `type` ("process"): the name by which templates choose it
 * - `agentProgram`: the file of the agent program, where it is not the one of this package
 * - `allowRemote` (false): also with a gateway that others than this host can reach
 * - `startTimeout` (30 s): what an agent gets to come up
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly root: string
  readonly type?: string | undefined
  readonly agentProgram?: string | undefined
  readonly allowRemote?: boolean | undefined
  readonly startTimeout?: Duration.Input | undefined
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Provider> {
  const config = yield* ProvisionerConfig
  const passedOn = yield* PassedOn.make
  const root = Path.resolve(options.root)
  const agentProgram = options.agentProgram ?? AgentProgram.path()
  const startTimeout = Duration.fromInputUnsafe(options.startTimeout ?? Duration.seconds(30))
  const machine = ProcessGroups.machine()
  const folderOf = ({ workspace }: ProviderRequest) => WorkspaceFolder.make(root, workspace.workspaceId)

  const end = Effect.fnUntraced(function*(
    folder: WorkspaceFolder.WorkspaceFolder,
    within: Duration.Duration
  ): Effect.fn.Return<void, ProviderFailed> {
    const state = WorkspaceFolder.load(folder)
    if (Option.isNone(state)) return
    const { agents, mark } = state.value
    // Numbers of another boot or namespace belong to strangers now.
    const started = state.value.machine === machine ? agents : []
    const ended = yield* Ending.endInOrder([
      WorkspaceProcesses.agents(started),
      WorkspaceProcesses.others(folder, mark, started)
    ], within)
    if (!ended) return yield* new ProviderFailed({ detail: "Not every process of the workspace could be ended." })
  })

  const start = Effect.fnUntraced(function*(request: ProviderRequest, begun: (state: WorkspaceFolder.State) => void) {
    const { environment } = yield* readSettings(request.template)
    yield* reachable(request.gatewayUrl, options.allowRemote === true)
    const folder = folderOf(request)
    yield* end(folder, config.kill)
    const state = yield* WorkspaceFolder.prepare(folder, machine)
    begun(state)
    const common = {
      TERM: "dumb",
      ...(yield* passedOn(PassedOn.common)),
      HOME: folder.files,
      ...environment,
      ...ProviderSettings.variables(request.template, request.parameters),
      [WorkspaceProcesses.markVariable]: state.mark,
      CW_AGENT_URL: request.gatewayUrl,
      CW_AGENT_DIR: folder.files
    }
    const started: Array<Started> = []
    for (const agent of request.agents) {
      started.push(
        yield* spawned(agentProgram, folder, agent, common, (note) => {
          WorkspaceFolder.save(folder, { ...state, agents: [...started.map(({ note }) => note), note] })
        })
      )
    }
    for (const agent of started) {
      yield* isUp(agent, startTimeout)
      yield* request.log(`The agent ${agent.note.name} runs as process ${agent.note.pid}.`)
    }
  })

  /** A later start has ended all that was this one's: what runs by then is of a runner that took the build over. */
  const abandoned = (request: ProviderRequest, begun: WorkspaceFolder.State | undefined): Effect.Effect<void> =>
    Effect.suspend(() => {
      const folder = folderOf(request)
      const last = Option.getOrUndefined(WorkspaceFolder.load(folder))
      if (begun === undefined || begun.start !== last?.start) return Effect.void
      return Effect.andThen(
        Effect.ignore(end(folder, Duration.zero)),
        Effect.forEach(request.agents, ({ name }) => TokenFiles.remove(folder.agent(name).token), { discard: true })
      )
    })

  const stop = (request: ProviderRequest): Effect.Effect<void, ProviderFailed> =>
    // A shutdown script has its own limit; the rest of the end comes after it.
    end(
      folderOf(request),
      request.template.shutdownScript === null
        ? config.kill
        : Duration.sum(config.kill, ProgramConfig.defaults.shutdownTimeout)
    )

  return {
    type: options.type ?? "process",
    isRepeatable: () => true,
    check: (template) => Effect.asVoid(checkSettings(template)),
    start: Effect.fn("ProcessProvider.start")((request) => {
      let begun: WorkspaceFolder.State | undefined
      return Effect.onExit(
        start(request, (state) => {
          begun = state
        }),
        (exit) => Exit.isSuccess(exit) ? Effect.void : abandoned(request, begun)
      )
    }),
    stop: Effect.fn("ProcessProvider.stop")(stop),
    delete: Effect.fn("ProcessProvider.delete")((request) =>
      Effect.andThen(stop(request), WorkspaceFolder.remove(folderOf(request)))
    )
  }
})

const readSettings = ProviderSettings.read(Settings)

const checkSettings = ProviderSettings.check(Settings)

const reachable = (gatewayUrl: string, allowRemote: boolean): Effect.Effect<void, ProviderFailed> => {
  const host = URL.parse(gatewayUrl)?.hostname
  if (host === undefined) return new ProviderFailed({ detail: "The address of the gateway is not one." })
  if (allowRemote || host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host)) return Effect.void
  return new ProviderFailed({
    detail:
      `The gateway is at ${host}, where others than this host may reach it, and the process provider is no sandbox. ` +
      "Let the gateway listen on 127.0.0.1, or allow this with allowRemote."
  })
}

interface Started {
  readonly child: ChildProcess
  readonly note: WorkspaceFolder.StartedAgent
  readonly token: string
  readonly log: string
  readonly lock: string
  readonly hide: (text: string) => string
}

/** `noted` runs in the step that makes the process: one that nobody knows of could not be ended. */
const spawned = (
  program: string,
  folder: WorkspaceFolder.WorkspaceFolder,
  { name, token }: ProvidedAgent,
  environment: Readonly<Record<string, string>>,
  noted: (note: WorkspaceFolder.StartedAgent) => void
): Effect.Effect<Started, ProviderFailed> =>
  Effect.try({
    try: () => {
      const own = folder.agent(name)
      mkdirSync(own.path, { recursive: true, mode: 0o700 })
      TokenFiles.write(own.token, token)
      const log = openSync(own.log, "a", 0o600)
      try {
        const child = spawn(process.execPath, [program], {
          cwd: folder.files,
          detached: true,
          stdio: ["ignore", log, log],
          env: { ...environment, CW_AGENT_TOKEN_FILE: own.token, CW_AGENT_STATE_DIR: own.state }
        })
        child.on("error", () => undefined)
        child.unref()
        const { pid } = child
        const startedAt = pid === undefined ? null : WorkspaceProcesses.startedAt(pid)
        if (pid === undefined || startedAt === null) throw new Error("there is no process")
        const note = { name, pid, startedAt }
        try {
          noted(note)
        } catch (cause) {
          child.kill("SIGKILL")
          throw cause
        }
        const redactor = LogLines.makeRedactor()
        redactor.hide(token)
        return {
          child,
          note,
          token: own.token,
          log: own.log,
          lock: Path.join(own.state, StateDirectory.lockName),
          hide: redactor.redact
        }
      } finally {
        closeSync(log)
      }
    },
    catch: (cause) => {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
      return new ProviderFailed({ detail: `The agent ${name} cannot be started (${code}).` })
    }
  })

/** An agent is up when it has taken its settings and its folder for state; it is not asked whether it has connected. */
const isUp = ({ child, hide, lock, log, note, token }: Started, within: Duration.Duration) => {
  const failed = (how: string): ProviderFailed => {
    const tail = LogLines.split(read(log).trim().slice(-logTail)).map(hide).join("\n")
    return new ProviderFailed({ detail: `The agent ${note.name} ${how}${tail === "" ? "." : `:\n${tail}`}` })
  }
  const look: Effect.Effect<void, ProviderFailed> = Effect.suspend(() => {
    if (child.exitCode !== null || child.signalCode !== null) return failed("ended at once")
    return existsSync(lock) ? Effect.void : Effect.delay(look, lookEvery)
  })
  return look.pipe(
    Effect.timeoutOrElse({ duration: within, orElse: () => failed("did not come up in time") }),
    // It has been read, and what runs in the workspace need not find it.
    Effect.andThen(TokenFiles.remove(token))
  )
}

const read = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const lookEvery = Duration.millis(20)

const logTail = 2_000
