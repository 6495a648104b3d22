/**
 * MCP servers that are programs: talked to by their input and output, a message a line.
 *
 * A server runs in a process group of its own with the environment that the file gives it, and of the agent's only what a
 * program needs to be found and to speak: it sees nothing that belongs to the agent. What it prints beside messages is
 * passed over. The end of its stderr is kept for an operator, in a file of the agent's state folder when it has ended,
 * and told to nobody.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { writeFile } from "node:fs/promises"
import * as Path from "node:path"
import * as Command from "./Command.ts"
import * as DrainLimit from "./DrainLimit.ts"
import * as McpTransport from "./McpTransport.ts"
import { McpFailed, type Target, type Transport } from "./McpTransport.ts"
import { OutputRing } from "./OutputRing.ts"
import type { Group } from "./ProcessGroups.ts"
import * as ProcessGroups from "./ProcessGroups.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings } from "./Settings.ts"
import { serverGroupId, StateDirectory } from "./StateDirectory.ts"

/**
 * Starts a program and opens the way to it; ended with the scope, its whole group.
 *
 * @since 0.1.0
 * @category models
 */
export type Open = (
  name: string,
  spec: Extract<Target["spec"], { readonly _tag: "Stdio" }>
) => Effect.Effect<Transport, McpFailed, Scope.Scope>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*(): Effect.fn.Return<
  Open,
  never,
  Settings | StateDirectory | Scope.Scope
> {
  const config = yield* ProgramConfig
  const settings = yield* Settings
  const state = yield* StateDirectory
  const drain = yield* DrainLimit.make({ rate: config.drainRate, window: config.drainWindow })
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const groups = new Set<Group>()
  const save = state.save(() => Array.from(groups), "servers")

  const end = (server: Running): Effect.Effect<void> =>
    Effect.gen(function*() {
      server.child.stdin.destroy()
      yield* ProcessGroups.endAll([server.group], config.killAfter)
      server.child.stdout.destroy()
      server.child.stderr.destroy()
      groups.delete(server.group)
      yield* save
      const said = server.stderr.read(0, config.mcpStderrBytes).pieces.flatMap((piece) =>
        piece._tag === "Data" ? [piece.bytes] : []
      )
      if (said.length === 0) return
      const file = Path.join(settings.stateDirectory, logName(server.name))
      yield* Effect.tryPromise(() => writeFile(file, Buffer.concat(said), { mode: 0o600 })).pipe(
        Effect.andThen(Effect.logInfo("What the MCP server said on stderr is kept.", { server: server.name, file })),
        Effect.catch((error) => Effect.logWarning("The stderr of an MCP server cannot be kept.", error.message))
      )
    })

  const start = Effect.fnUntraced(function*(
    name: string,
    spec: Extract<Target["spec"], { readonly _tag: "Stdio" }>
  ): Effect.fn.Return<Running, McpFailed> {
    let server: Running | undefined
    yield* Effect.gen(function*() {
      const command = yield* Command.resolve({
        argv: [spec.command, ...spec.args],
        cwd: settings.directory,
        env: { ...inherited(settings.environment), ...spec.env }
      })
      yield* Command.runServer(command, {
        isWanted: () => true,
        made: (child, pid) => {
          const group = { id: serverGroupId, pid, start: ProcessGroups.startTime(pid) }
          groups.add(group)
          server = attach(name, child, group, config, drain, fork)
        }
      })
    }).pipe(
      Effect.mapError((error) =>
        new McpFailed({
          reason: "ended",
          detail: error._tag === "CommandNotFound" ? `its command cannot be run: ${error.detail}` : "the agent is busy"
        })
      )
    )
    yield* save
    return server ?? (yield* new McpFailed({ reason: "ended", detail: "it could not be started" }))
  })

  return (name, spec) => Effect.map(Effect.acquireRelease(start(name, spec), end), ({ transport }) => transport)
})

interface Running {
  readonly name: string
  readonly child: Command.Server
  readonly group: Group
  readonly stderr: OutputRing
  readonly transport: Transport
}

/** Only what a program needs to be found and to speak. */
const inherited = (environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ["PATH", "HOME", "LANG"].flatMap((name) => {
      const value = environment[name]
      return value === undefined ? [] : [[name, value]]
    })
  )

/** Names are the workspace's, and may be no names of files. */
const logName = (name: string): string =>
  `mcp-${name.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 64)}-${
    createHash("sha256").update(name).digest("hex").slice(0, 8)
  }.log`

const attach = (
  name: string,
  child: Command.Server,
  group: Group,
  config: ProgramConfig,
  drain: DrainLimit.DrainLimit,
  fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
): Running => {
  const ended = Deferred.makeUnsafe<string>()
  const closed = Deferred.makeUnsafe<void>()
  const stderr = new OutputRing(0, config.mcpStderrBytes)
  const pending = new Map<number, (answer: Effect.Effect<unknown, McpFailed>) => void>()
  let ids = 0
  let over: string | undefined

  const finish = (why: string): void => {
    if (over !== undefined) return
    over = why
    Deferred.doneUnsafe(ended, Effect.succeed(why))
    for (const resume of pending.values()) resume(gone(why))
    pending.clear()
  }

  const write = (line: string): void => {
    if (over === undefined) child.stdin.write(`${line}\n`)
  }

  const receive = (line: string): void => {
    const message = McpTransport.parse(line)
    if (message?._tag === "Request") return write(McpTransport.reply(message))
    const resume = message === undefined ? undefined : pending.get(message.id)
    if (message === undefined || resume === undefined) return
    pending.delete(message.id)
    resume(
      message._tag === "Error" ? Effect.fail(McpTransport.refusal(message.message)) : Effect.succeed(message.result)
    )
  }

  const lines = makeLines(config.mcpMessageBytes, receive)
  child.stdout.on("data", (bytes: Uint8Array) => {
    drain.took(bytes.length, child.stdout)
    if (!lines(bytes)) finish(`it sent a message of more than ${config.mcpMessageBytes} bytes`)
  })
  child.stderr.on("data", (bytes: Uint8Array) => {
    drain.took(bytes.length, child.stderr)
    stderr.write("stderr", bytes)
  })
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", () => stream.destroy())
  child.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
  child.on("exit", (code, signal) => {
    drain.release(child.stdout)
    drain.release(child.stderr)
    // An answer may still be in the pipe, and a child of the server may hold that open.
    fork(
      Effect.timeoutOption(Deferred.await(closed), config.exitDrain).pipe(
        Effect.andThen(
          Effect.sync(() => finish(signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`))
        )
      )
    )
  })

  return {
    name,
    child,
    group,
    stderr,
    transport: {
      request: (method, params) =>
        Effect.callback((resume) => {
          if (over !== undefined) return resume(gone(over))
          // What a server does not read waits in the agent's memory.
          if (child.stdin.writableLength > config.mcpMessageBytes) return resume(Effect.fail(notReading))
          const id = ++ids
          pending.set(id, resume)
          write(McpTransport.request(id, method, params))
          return Effect.sync(() => {
            if (pending.delete(id) && method !== "initialize") write(McpTransport.cancellation(id))
          })
        }),
      notify: (method) => Effect.sync(() => write(McpTransport.notification(method))),
      agree: () => undefined,
      ended: Deferred.await(ended)
    }
  }
}

const gone = (why: string): Effect.Effect<never, McpFailed> =>
  Effect.fail(new McpFailed({ reason: "ended", detail: why }))

const notReading = new McpFailed({ reason: "refused", detail: "it does not read what it is sent" })

/** Puts lines together of what is read; false when one is too long. */
const makeLines = (limit: number, onLine: (line: string) => void): (bytes: Uint8Array) => boolean => {
  let parts: Array<Uint8Array> = []
  let size = 0
  return (bytes) => {
    let rest = bytes
    while (true) {
      const at = rest.indexOf(newline)
      const part = at < 0 ? rest : rest.subarray(0, at)
      size += part.length
      if (size > limit) return false
      parts.push(part)
      if (at < 0) return true
      onLine(Buffer.concat(parts).toString("utf8"))
      parts = []
      size = 0
      rest = rest.subarray(at + 1)
    }
  }
}

const newline = 10
