/**
 * The agent program in this process, or in one of its own, with folders of its own.
 */
import { Deferred, type Duration, Effect, Exit, Layer, Schedule, type Scope, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as Files from "../../../src/agent/program/Files.ts"
import * as Operations from "../../../src/agent/program/Operations.ts"
import * as Processes from "../../../src/agent/program/Processes.ts"
import * as Program from "../../../src/agent/program/Program.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"
import { childEnvironment, Settings } from "../../../src/agent/program/Settings.ts"
import * as StateDirectory from "../../../src/agent/program/StateDirectory.ts"
import { OperationId } from "../../../src/agent/Protocol.ts"
import { token } from "./TestGateway.ts"

export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(Path.join(tmpdir(), "cw-program-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const settings = (options: {
  readonly directory: string
  readonly stateDirectory: string
  readonly url?: string | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  readonly startupScript?: string | undefined
  readonly shutdownScript?: string | undefined
}): Layer.Layer<Settings> =>
  Layer.succeed(Settings, {
    url: options.url ?? "ws://127.0.0.1:1/agent",
    token,
    directory: options.directory,
    stateDirectory: options.stateDirectory,
    startupScript: options.startupScript ?? null,
    shutdownScript: options.shutdownScript ?? null,
    environment: options.environment ?? childEnvironment(process.env)
  })

/** Processes and files without a link, in a fresh folder. */
export const workplace = Effect.fnUntraced(function*(config: Partial<ProgramConfig.ProgramConfig> = {}) {
  const directory = yield* folder
  const stateDirectory = yield* folder
  const context = yield* Layer.build(services({ directory, stateDirectory }, config))
  return { directory, stateDirectory, context }
})

export const services = (
  folders: { readonly directory: string; readonly stateDirectory: string },
  config: Partial<ProgramConfig.ProgramConfig> = {}
) =>
  Layer.mergeAll(Processes.layer, Files.layer).pipe(
    Layer.provideMerge(Operations.layer),
    Layer.provide(StateDirectory.layer),
    Layer.provide([settings(folders), ProgramConfig.layer(config)])
  )

/** The whole program in this process. */
export const program = Effect.fnUntraced(function*(url: string, config: Partial<ProgramConfig.ProgramConfig> = {}) {
  const directory = yield* folder
  const stateDirectory = yield* folder
  yield* Layer.build(
    Program.layer.pipe(Layer.provide([settings({ directory, stateDirectory, url }), ProgramConfig.layer(config)]))
  )
  return { directory, stateDirectory }
})

export interface AgentProcess {
  readonly child: ChildProcess
  readonly pid: number
  readonly stderr: () => string
  readonly exited: Effect.Effect<number | null>
}

export const source = new URL("../../../src/agent/program/main.ts", import.meta.url).pathname

/** The program in a process of its own, killed with the scope. */
export const spawned = Effect.fnUntraced(function*(options: {
  readonly file?: string | undefined
  readonly uid?: number | undefined
  readonly env: Readonly<Record<string, string>>
}) {
  const exited = yield* Deferred.make<number | null>()
  let stderr = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [options.file ?? source], {
        ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
        env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/", ...options.env },
        stdio: ["ignore", "ignore", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()))
  child.on("close", (code) => Deferred.doneUnsafe(exited, Exit.succeed(code)))
  const agent: AgentProcess = { child, pid: child.pid ?? 0, stderr: () => stderr, exited: Deferred.await(exited) }
  return agent
})

let count = 0

/** An id that no other call of this run has. */
export const id = (): OperationId => OperationId.make(`op-${process.pid}-${++count}`)

/** Waits until something holds that gives no event, and fails loudly when it does not come. */
export const eventually = (what: string, holds: () => boolean, within: Duration.Input = "10 seconds") =>
  Effect.sync(holds).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.die(new Error(`never came true: ${what}`)) })
  )

/** The output of a process, and its end. */
export const collected = <E, R>(
  stream: Stream.Stream<Stream.Success<ReturnType<Processes.Processes["Service"]["follow"]>>, E, R>
) =>
  Effect.map(Stream.runCollect(stream), (events) => ({
    events,
    stdout: Buffer.concat(events.flatMap((e) => e._tag === "Data" && e.stream === "stdout" ? [e.bytes] : [])),
    stderr: Buffer.concat(events.flatMap((e) => e._tag === "Data" && e.stream === "stderr" ? [e.bytes] : [])),
    gaps: events.flatMap((e) => e._tag === "Gap" ? [e] : []),
    last: events[events.length - 1]
  }))

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))
  } catch {
    return false
  }
}
