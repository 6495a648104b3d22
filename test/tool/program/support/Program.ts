/** A program in a process of its own, to which a test speaks in lines of JSON, and which answers in the same way. */
import { assert } from "@effect/vitest"
import { Effect, Option, Schedule, Schema } from "effect"
import { spawn } from "node:child_process"
import * as Path from "node:path"
import { createInterface } from "node:readline"

/** Starts it; it is killed with the scope. What it writes that is no event is an error. */
export const start = Effect.fnUntraced(function*<Request, Event>(options: {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly request: Schema.Codec<Request, unknown>
  readonly event: Schema.Codec<Event, unknown>
  readonly on: (event: Event) => void
}) {
  const encodeRequest = Schema.encodeEffect(Schema.fromJsonString(options.request))
  const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(options.event))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [options.file, ...options.args], {
        stdio: "pipe",
        // Scripts call node.
        env: { PATH: `${Path.dirname(process.execPath)}:${process.env["PATH"]}`, ...options.env }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let errors = ""
  child.stderr.on("data", (data: Buffer) => (errors += String(data)))
  child.stdin.on("error", () => undefined)
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = Option.getOrUndefined(decodeEvent(line))
    // How it failed, if it did.
    if (event === undefined) errors += `${line}\n`
    else options.on(event)
  })
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()))
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null

  return {
    tell: (request: Request) =>
      Effect.map(Effect.orDie(encodeRequest(request)), (line) => child.stdin.write(`${line}\n`)),
    /** Waits until it has said something, which it does not if it has ended before. */
    said: <A>(what: string, look: () => A | undefined): Effect.Effect<A> =>
      Effect.map(
        until(what, () => look() !== undefined || hasEnded()),
        () => look() ?? assert.fail(`the program has ended: ${errors}`)
      ),
    hasEnded,
    signal: (name: "SIGSTOP" | "SIGCONT") => Effect.sync(() => child.kill(name)),
    /** Kills it, and waits for its end. */
    kill: Effect.promise(() => {
      child.kill("SIGKILL")
      return exited
    })
  }
})

/** Looks until what is seen is so; answers that. */
export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  met: (seen: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.repeat(look, { until: met, schedule: Schedule.spaced("20 millis") }).pipe(
    Effect.timeoutOrElse({
      duration: "45 seconds",
      orElse: () => Effect.die(new Error(`waited in vain until ${what}`))
    })
  )

/** Waits for a state of the world that no event tells of. */
export const until = (what: string, condition: () => boolean): Effect.Effect<boolean> =>
  eventually(what, Effect.sync(condition), (met) => met)
