/** A process that is watched over: what it says, when it stood still, and that it is started again when it died. */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { createInterface } from "node:readline"

/** A time span of `performance.now()`. */
export type Span = readonly [from: number, to: number]

export interface Child {
  readonly name: string
  /** Those that ever ran under this name. */
  readonly pids: ReadonlyArray<number>
  readonly isRunning: () => boolean
  readonly write: (line: string) => void
  /** When it was frozen; a time that still lasts ends now. */
  readonly frozen: () => ReadonlyArray<Span>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Kills it, and waits for its end. */
  readonly kill: Effect.Effect<void>
  /** Starts it, until it is ready: one that fails on its way is started again, as by whoever keeps servers running. */
  readonly start: Effect.Effect<void>
  /** Asks it to end, and waits so long; false when it had to be killed. */
  readonly stop: (millis: number) => Effect.Effect<boolean>
  /** The end of what it said on stderr. */
  readonly errors: () => string
}

/** The process of a name; killed with the scope. `isReady` is asked after each line, and before the first. */
export const make = (options: {
  readonly name: string
  readonly args: ReadonlyArray<string>
  readonly env: () => Readonly<Record<string, string>>
  readonly onLine?: (line: string) => void
  readonly onError?: (line: string) => void
  readonly onExit?: () => void
  readonly isReady: () => boolean
}): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pids: Array<number> = []
    const spans: Array<Span> = []
    let current: ChildProcess | undefined
    let frozenAt: number | undefined
    let errors = ""

    const isRunning = (): boolean =>
      current !== undefined && current.exitCode === null && current.signalCode === null && current.pid !== undefined

    const exited = Effect.callback<void>((resume) => {
      if (!isRunning()) return resume(Effect.void)
      const done = (): void => resume(Effect.void)
      current?.once("exit", done)
      return Effect.sync(() => current?.off("exit", done))
    })

    const signal = (name: NodeJS.Signals): void => {
      if (isRunning()) current?.kill(name)
    }

    const thawed = (): void => {
      if (frozenAt !== undefined) spans.push([frozenAt, performance.now()])
      frozenAt = undefined
    }

    /** Ends when it is ready, or when it has ended. */
    const launch = Effect.callback<void>((resume) => {
      const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...options.args], {
        stdio: "pipe",
        env: { PATH: process.env["PATH"] ?? "", ...options.env() }
      })
      current = child
      if (child.pid !== undefined) pids.push(child.pid)
      const look = (): void => {
        if (options.isReady()) resume(Effect.void)
      }
      child.stdin.on("error", () => undefined)
      createInterface({ input: child.stderr }).on("line", (line) => {
        errors = `${errors}${line}\n`.slice(-2000)
        options.onError?.(line)
      })
      createInterface({ input: child.stdout }).on("line", (line) => {
        options.onLine?.(line)
        look()
      })
      child.on("exit", () => {
        if (child !== current) return
        thawed()
        options.onExit?.()
        resume(Effect.void)
      })
      look()
    })

    const start: Effect.Effect<void> = Effect.suspend(() =>
      isRunning() ?
        Effect.void :
        Effect.flatMap(launch, () => isRunning() ? Effect.void : Effect.delay(start, "300 millis"))
    )

    const kill = Effect.suspend(() => {
      signal("SIGKILL")
      return exited
    })

    yield* Effect.addFinalizer(() => kill)

    return {
      name: options.name,
      pids,
      isRunning,
      write: (line) => current?.stdin?.write(`${line}\n`),
      frozen: () => frozenAt === undefined ? spans : [...spans, [frozenAt, performance.now()]],
      freeze: Effect.sync(() => {
        if (!isRunning()) return
        frozenAt = performance.now()
        signal("SIGSTOP")
      }),
      thaw: Effect.sync(() => {
        signal("SIGCONT")
        thawed()
      }),
      kill,
      start,
      stop: (millis) =>
        Effect.suspend(() => {
          signal("SIGTERM")
          return Effect.timeoutOption(exited, millis)
        }).pipe(
          Effect.flatMap((ended) => ended._tag === "Some" ? Effect.succeed(true) : Effect.as(kill, false))
        ),
      errors: () => errors
    }
  })
