/**
 * A real agent program in a process of its own, in a folder that stands for its workspace.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as AgentProgram from "../../provisioner/process/AgentProgram.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentProcess {
  readonly signal: (signal: "SIGSTOP" | "SIGCONT" | "SIGKILL") => Effect.Effect<void>
  readonly exited: Effect.Effect<void>
}

/**
 * Starts the program; the end of the scope kills it, frozen or not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly url: string
  readonly token: Redacted.Redacted<string>
  readonly directory: string
}): Effect.Effect<AgentProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => start(options)),
    (agent) => Effect.andThen(agent.signal("SIGKILL"), agent.exited)
  )

const start = (options: {
  readonly url: string
  readonly token: Redacted.Redacted<string>
  readonly directory: string
}): AgentProcess => {
  const child = spawn(process.execPath, [AgentProgram.path()], {
    cwd: options.directory,
    stdio: "ignore",
    env: {
      PATH: process.env["PATH"],
      HOME: options.directory,
      CW_AGENT_URL: options.url,
      CW_AGENT_TOKEN: Redacted.value(options.token),
      CW_AGENT_DIR: options.directory,
      CW_AGENT_STATE_DIR: `${options.directory}.state`
    }
  })
  const exited = Deferred.makeUnsafe<void>()
  child.once("exit", () => Deferred.doneUnsafe(exited, Effect.void))
  child.once("error", () => Deferred.doneUnsafe(exited, Effect.void))
  return {
    signal: (signal) => Effect.sync(() => child.kill(signal)),
    exited: Deferred.await(exited)
  }
}
