/** Whoever is called runs in a process of its own, so that what is measured is the caller's cost. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export interface Peer<Command> {
  readonly pid: number
  readonly ask: <A>(command: Command) => Effect.Effect<A>
  readonly kill: Effect.Effect<void>
}

/** A program of this folder, ended with the scope. */
export const start = <Command>(
  name: string,
  args: ReadonlyArray<string> = []
): Effect.Effect<Peer<Command>, never, Scope.Scope> =>
  Effect.gen(function*(): Effect.fn.Return<Peer<Command>, never, Scope.Scope> {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--expose-gc", fileURLToPath(new URL(`${name}.ts`, import.meta.url)), ...args], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    child.stdin.on("error", () => undefined)
    const waiting: Array<(line: string) => void> = []
    createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line))
    const next = <A>(): Effect.Effect<A> =>
      Effect.callback((resume) => {
        waiting.push((line) => {
          const answer: A = JSON.parse(line)
          resume(Effect.succeed(answer))
        })
      })
    yield* next<unknown>().pipe(
      Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.die(new Error(`${name} does not start`)) })
    )
    return {
      pid: child.pid ?? 0,
      ask: <A>(command: Command) =>
        Effect.suspend(() => {
          child.stdin.write(`${JSON.stringify(command)}\n`)
          return next<A>()
        }),
      kill: Effect.callback((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
    }
  })
