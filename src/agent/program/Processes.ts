/**
 * The commands that this agent runs, each under the id of its start.
 *
 * A process belongs to the agent: a call starts it, looks at it or waits for it, and whether that call was given up means
 * nothing to it. It ends by itself, by a signal, by `kill`, or with the agent.
 *
 * ```
 * (unknown) --kill--> buried: never starts
 *     | start
 *     v
 * starting --not found, no room--> (unknown)
 *     | made, and saved in the state file
 *     v
 * running --exit--> draining --end of output, or 200 ms--> exited, remembered
 * ```
 *
 * **Gotchas**
 *
 * - The end is the exit of the leader, not the end of its output: a background child that holds the pipe would keep that
 *   away for ever. What such a child writes later is lost, and may end it (EPIPE).
 * - A child that opens a session of its own leaves the group, and no signal to the group reaches it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import {
  AgentBusy,
  type CommandNotFound,
  type OperationId,
  OperationRefused,
  type Outcome,
  type ProcessEvent,
  type ProcessInfo,
  type ProcessState,
  type Signal
} from "../Protocol.ts"
import * as Command from "./Command.ts"
import * as DrainLimit from "./DrainLimit.ts"
import { Operations } from "./Operations.ts"
import type { OutputStream } from "./OutputRing.ts"
import { following, Process, type ProcessExit, snapshot } from "./Process.ts"
import type { Group } from "./ProcessGroups.ts"
import * as ProcessGroups from "./ProcessGroups.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings } from "./Settings.ts"
import { StateDirectory } from "./StateDirectory.ts"

/**
 * What to run, as the protocol says it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start {
  readonly id: OperationId
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly cwd: string | null
  readonly env: Readonly<Record<string, string>>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Processes extends Context.Service<Processes, {
  /** Runs a command once, whatever becomes of this call; called again it answers where the process is now. */
  readonly start: (start: Start) => Effect.Effect<ProcessState, CommandNotFound | AgentBusy | OperationRefused>
  /** Output from an offset on: with `wait` to the end of the process, otherwise what is kept, closed by the state. */
  readonly follow: (options: {
    readonly id: OperationId
    readonly from: number
    readonly wait: boolean
  }) => Stream.Stream<ProcessEvent, OperationRefused>
  /** Those that run and those whose output is kept, oldest first. */
  readonly list: Effect.Effect<ReadonlyArray<ProcessInfo>>
  /** Sends a signal to the group. An id that is not known is kept from starting, and refused. */
  readonly signal: (id: OperationId, signal: Signal) => Effect.Effect<ProcessState, OperationRefused>
  /** Ends the group: TERM, and KILL for what is left. An id that is not known is kept from starting. */
  readonly kill: (id: OperationId) => Effect.Effect<Outcome>
}>()("chat-workspace/agent/program/Processes") {}

const make = Effect.gen(function*() {
  const config = yield* ProgramConfig
  const settings = yield* Settings
  const operations = yield* Operations
  const state = yield* StateDirectory
  const scope = yield* Effect.scope
  const drain = yield* DrainLimit.make({ rate: config.drainRate, window: config.drainWindow })
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const owned = (effect: Effect.Effect<void>): void => void Fiber.runIn(fork(effect), scope)

  /** Those that run and those whose output is kept. */
  const present = new Set<Process>()
  /** Those whose group may have members: a background child outlives its leader. */
  const grouped = new Set<Process>()
  let running = 0
  let allocated = 0

  yield* killLeftOvers(state.earlier.groups)
  yield* Effect.addFinalizer(() => ProcessGroups.endAll(groups(), config.killAfter))

  const groups = (): ReadonlyArray<Group> => [...grouped].flatMap(({ group }) => group ?? [])
  const save = state.save(groups)

  const drop = (process: Process): void => {
    allocated -= process.ring.allocated
    process.ring.clear()
    present.delete(process)
  }

  const enforce = (): void => {
    const finished = [...present].filter((process) => process.exit !== undefined)
    let kept = finished.length
    for (const process of finished) {
      if (kept <= config.finishedOutputs && allocated <= config.outputBytes) break
      drop(process)
      kept--
    }
  }

  const read = (process: Process, stream: OutputStream, source: Command.Child["stdout"]): void => {
    source.on("data", (bytes: Uint8Array) => {
      const before = process.ring.allocated
      process.ring.write(stream, bytes)
      const grown = process.ring.allocated - before
      allocated += grown
      if (grown > 0 && allocated > config.outputBytes) enforce()
      // What is left in the pipe of one that exited is little, and must be read before the drain ends.
      if (!process.exiting) drain.took(bytes.length, source)
      process.wake()
    })
    // A broken pipe ends the output as its end does.
    source.on("error", () => source.destroy())
  }

  const finish = Effect.fnUntraced(function*(process: Process, child: Command.Child, exit: ProcessExit) {
    drain.release(child.stdout)
    drain.release(child.stderr)
    yield* Effect.timeoutOrElse(Deferred.await(process.closed), {
      duration: config.exitDrain,
      orElse: () => Effect.void
    })
    // After a stall of the loop the timer comes before what is ready to be read: give reading its turn.
    yield* ioTurn
    child.stdout.destroy()
    child.stderr.destroy()
    const before = process.ring.allocated
    process.ring.seal()
    allocated += process.ring.allocated - before
    running--
    process.exit = exit
    // Ended last, dropped last.
    present.delete(process)
    present.add(process)
    yield* operations.settle(process)
    enforce()
    process.wake()
    yield* forgetEmptyGroups
  })

  const forgetEmptyGroups = Effect.suspend(() => {
    const ended = [...grouped].filter(({ exit }) => exit !== undefined)
    const left = new Set(ProcessGroups.withMembers(ended.flatMap(({ group }) => group ?? [])))
    const empty = ended.filter(({ group }) => group !== undefined && !left.has(group))
    for (const process of empty) grouped.delete(process)
    return empty.length > 0 ? save : Effect.void
  })

  const launch = Effect.fnUntraced(function*(process: Process, start: Start) {
    const command = yield* Command.resolve({
      argv: start.argv,
      cwd: resolvePath(settings.directory, start.cwd),
      env: { ...settings.environment, ...start.env }
    })
    const made = yield* Command.run(command, {
      isWanted: () => !process.cancelled,
      made: (child, pid) => {
        process.group = { id: process.id, pid, start: ProcessGroups.startTime(pid) }
        grouped.add(process)
        read(process, "stdout", child.stdout)
        read(process, "stderr", child.stderr)
        child.on("close", () => Deferred.doneUnsafe(process.closed, Exit.void))
        child.on("exit", (code, signal) => {
          process.exiting = true
          owned(finish(process, child, { code, signal }))
        })
      }
    })
    if (!made) return yield* new OperationRefused({ operationId: process.id, reason: "killed" })
    // Before the answer: an agent that dies from now on leaves behind whom it started.
    yield* save
  })

  const begin = (process: Process, start: Start): Effect.Effect<void> =>
    launch(process, start).pipe(
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit) || process.group !== undefined) return Effect.void
        running--
        present.delete(process)
        if (process.cancelled) operations.bury(process.id)
        else operations.release(process)
        return Effect.void
      }),
      Deferred.into(process.started),
      Effect.asVoid
    )

  const find = (id: OperationId): Effect.Effect<Process, OperationRefused> =>
    Effect.filterOrElse(
      operations.find(id),
      (operation) => operation instanceof Process,
      () => new OperationRefused({ operationId: id, reason: "conflict" })
    )

  const signalGroup = (process: Process, signal: Signal): void => {
    const { group } = process
    // While the leader runs, its number cannot be another's; after that somebody must prove whose group it is.
    if (group !== undefined && (!process.exiting || ProcessGroups.hasMembers(group))) {
      ProcessGroups.signal(group, signal)
    }
  }

  const terminate = (process: Process): Effect.Effect<void> =>
    Effect.sync(() => {
      process.cancelled = true
      if (process.group === undefined || process.terminating) return
      process.terminating = true
      signalGroup(process, "SIGTERM")
      owned(
        Effect.delay(
          Effect.suspend(() => {
            process.terminating = false
            signalGroup(process, "SIGKILL")
            return process.exit === undefined ? Effect.void : forgetEmptyGroups
          }),
          config.killAfter
        )
      )
    })

  return Processes.of({
    start: (start) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const now = yield* Clock.currentTimeMillis
          const { fresh, operation } = yield* operations.claim({
            id: start.id,
            content: ["Start", start.argv, start.cwd, Object.entries(start.env).sort()],
            isOwn: (operation) => operation instanceof Process,
            make: (digest) => new Process(start.id, digest, start.argv, now, config)
          })
          if (fresh && running >= config.runningProcesses) {
            operations.release(operation)
            return yield* new AgentBusy({ limit: `${config.runningProcesses} running processes` })
          }
          if (fresh) {
            running++
            present.add(operation)
            owned(begin(operation, start))
          }
          yield* restore(Deferred.await(operation.started))
          return operation.state
        })
      ),
    follow: ({ from, id, wait }) =>
      Stream.unwrap(
        Effect.map(Effect.tap(find(id), started), (process) =>
          Stream.fromPull(Effect.sync(() =>
            wait ? following(process, from, config) : snapshot(process, from)
          )))
      ),
    list: Effect.map(Clock.currentTimeMillis, (now) => {
      const infos: Array<ProcessInfo> = []
      let left = config.answerBytes
      // The newest matter most where not all of them fit into one answer.
      for (const process of [...present].sort((a, b) => b.startedAt - a.startedAt)) {
        if (process.group === undefined) continue
        const info = {
          id: process.id,
          argv: shortened(process.argv),
          state: process.state,
          ageMillis: Math.max(0, now - process.startedAt)
        }
        left -= JSON.stringify(info).length
        if (left < 0) break
        infos.push(info)
      }
      return infos.reverse()
    }),
    signal: (id, signal) =>
      Effect.suspend(() => {
        const known = operations.isKnown(id)
        return Effect.flatMap(
          Effect.tapError(find(id), ({ reason }) =>
            Effect.sync(() => {
              if (!known && reason === "unknown") operations.bury(id)
            })),
          (process) =>
            Effect.map(started(process), () => {
              signalGroup(process, signal)
              return process.state
            })
        )
      }),
    kill: (id) =>
      Effect.suspend(() => {
        if (!operations.isKnown(id)) {
          return Effect.tap(operations.outcome(id), ({ _tag }) =>
            Effect.sync(() => {
              if (_tag === "Unknown") operations.bury(id)
            })).pipe(Effect.map((outcome) => outcome._tag === "Unknown" ? { _tag: "Killed" } : outcome))
        }
        return Effect.matchEffect(find(id), {
          onFailure: () => operations.outcome(id),
          onSuccess: (process) =>
            Effect.andThen(
              terminate(process),
              Effect.suspend(() =>
                process.group === undefined ? Effect.succeed({ _tag: "Killed" as const }) : process.outcome
              )
            )
        })
      })
  })
})

/**
 * Kills what an earlier incarnation left behind while it is built; ends every group when its scope closes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Processes, never, Operations | Settings | StateDirectory> = Layer.effect(
  Processes,
  make
)

/** The process of an id that is given out is one that was made. */
const started = (process: Process): Effect.Effect<void, OperationRefused> =>
  Effect.mapError(
    Deferred.await(process.started),
    (error) =>
      error._tag === "OperationRefused"
        ? error
        : new OperationRefused({ operationId: process.id, reason: "unknown" })
  )

const killLeftOvers = (groups: ReadonlyArray<Group>): Effect.Effect<void> =>
  Effect.forEach(groups, (group) =>
    Effect.suspend(() => {
      if (!ProcessGroups.hasMembers(group)) return Effect.void
      ProcessGroups.signal(group, "SIGKILL")
      return Effect.logWarning("Ended what an earlier run of the agent had left running.", { process: group.pid })
    }), { discard: true })

const ioTurn: Effect.Effect<void> = Effect.callback((resume) => void setImmediate(() => resume(Effect.void)))

const resolvePath = (directory: string, path: string | null): string =>
  path === null ? directory : Path.resolve(directory, path)

const argumentLimit = 1_024

const shortened = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  let left = argumentLimit
  return argv.flatMap((argument) => {
    if (left <= 0) return []
    const text = argument.length > left ? `${argument.slice(0, left)}…` : argument
    left -= argument.length
    return [text]
  })
}
