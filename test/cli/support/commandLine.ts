/** The command line as a process of its own, from source, in an empty folder and a small environment. */
import { assert } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** What it has printed so far. */
  readonly output: () => Omit<Ended, "code">
}

export interface Options {
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  readonly program?: string | undefined
  /** What it reads; nothing unless given. */
  readonly input?: string | undefined
}

const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url))

/**
 * A folder that others may enter, as a PostgreSQL that must not run as root does. Agents outlive their server, but not the
 * folder in which they work.
 */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(Path.join(tmpdir(), "chat-workspace-cli-"))
    chmodSync(path, 0o755)
    return path
  }),
  (path) =>
    Effect.sync(() => {
      for (const pid of workingIn(path)) kill(pid)
      rmSync(path, { recursive: true, force: true })
    })
)

/** The processes whose environment names a folder. */
export const workingIn = (folder: string): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(`=${folder}`)).map(Number)

const environmentOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8")
  } catch {
    return ""
  }
}

const kill = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}

/** One or two lines for a human, and nothing of the program's inside or of the password. */
export const assertClear = (text: string, ...says: ReadonlyArray<string>): void => {
  assert.match(text, /^chat-workspace: /)
  for (const one of says) assert.include(text, one)
  assert.isAtMost(text.trim().split("\n").length, 2)
  assert.notMatch(text, /^ +at |node_modules|hunter2/m)
}

/** Starts it; the end of the scope kills it. */
export const start = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  options: Options = {}
): Effect.fn.Return<Running, never, Scope.Scope> {
  const cwd = options.cwd ?? (yield* folder)
  const ended = Deferred.makeUnsafe<Ended>()
  let stdout = ""
  let stderr = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [options.program ?? main, ...args], {
        cwd,
        stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        env: { PATH: process.env["PATH"], HOME: cwd, ...options.env }
      })
      child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text))
      child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text))
      // One that ends before it has read all of it does not break the test.
      child.stdin?.on("error", () => undefined).end(options.input)
      child.once("close", (code) => Deferred.doneUnsafe(ended, Effect.succeed({ code, stdout, stderr })))
      return child
    }),
    (child) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(ended))
  )
  return {
    signal: (name) => Effect.sync(() => child.kill(name)),
    ended: Deferred.await(ended),
    output: () => ({ stdout, stderr })
  }
})

/** Runs it to its end, which must come within 40 s. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => Effect.orDie(Effect.timeout(ended, "40 seconds"))))

/** Where a server listens. */
export interface Server extends Running {
  readonly api: string
  readonly agents: string
  readonly health: string
  readonly operators: string
  readonly operatorPort: string
}

/** `serve`, on free ports unless one is given, when it has said that it listens. */
export const serve = Effect.fnUntraced(function*(
  { args = [], port: wanted = "0", ...options }: Options & {
    readonly args?: ReadonlyArray<string> | undefined
    readonly port?: string | undefined
  } = {}
): Effect.fn.Return<Server, never, Scope.Scope> {
  const running = yield* start(["serve", "--port", wanted, "--operator-port", "0", ...args], options)
  const [, port, operatorPort] = yield* until(
    "serve listens",
    () =>
      /^Agents +ws:\/\/[\d.]+:(\d+)\/agent$[^]*^Operators +http:\/\/127\.0\.0\.1:(\d+)\/[^]*^Database/m.exec(
        running.output().stdout
      ) ?? undefined
  )
  return {
    ...running,
    api: `http://127.0.0.1:${port}/api`,
    agents: `ws://127.0.0.1:${port}/agent`,
    health: `http://127.0.0.1:${port}`,
    operators: `http://127.0.0.1:${operatorPort}`,
    operatorPort: String(operatorPort)
  }
})

/** Looks until there is something to see; a defect when there is nothing within 25 s. */
export const until = <A>(what: string, look: () => A | undefined | Promise<A | undefined>): Effect.Effect<A> =>
  Effect.gen(function*() {
    while (true) {
      const seen = yield* Effect.promise(async () => look())
      if (seen !== undefined) return seen
      yield* Effect.sleep("25 millis")
    }
  }).pipe(
    Effect.timeoutOrElse({ duration: "25 seconds", orElse: () => Effect.die(new Error(`in vain: ${what}`)) })
  )

export interface Answer {
  readonly status: number
  readonly text: string
}

export const get = (url: string): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) })
    return { status: response.status, text: await response.text() }
  })

/** A port on which nobody listens. */
export const closedPort = Effect.callback<string>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(String(port))))
  })
})
