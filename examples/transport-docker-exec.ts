/**
 * Your sandboxes are containers on this host: a transport over `docker exec`, without an agent in the image.
 *
 * Killing `docker exec` does not end what runs in the container: give commands a `timeout` of their own.
 */
import { AgentTransport } from "chat-workspace/agent"
import type { AgentConnection, ExecConnection } from "chat-workspace/agent"
import { Errors } from "chat-workspace/domain"
import type { Ids } from "chat-workspace/domain"
import { Effect } from "effect"
import { spawn } from "node:child_process"

/** Runs a program on this host to its end, at most 10 MiB of its output, and kills it when it is interrupted. */
const run = (argv: ReadonlyArray<string>, stdin: Uint8Array = new Uint8Array()) =>
  Effect.callback<ExecConnection.Executed, Errors.CommandNotFound>((resume) => {
    const [program = "", ...args] = argv
    const child = spawn(program, args)
    const kept: Record<"stdout" | "stderr", Array<Buffer>> = { stdout: [], stderr: [] }
    let room = 10 * 1024 * 1024
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (data: Buffer) => {
        kept[name].push(data.subarray(0, Math.max(0, room)))
        room -= data.length
      })
    }
    child.on("error", ({ message: detail }) => resume(new Errors.CommandNotFound({ command: program, detail })))
    child.on("close", (code) => {
      resume(Effect.succeed({ code, stdout: Buffer.concat(kept.stdout), stderr: Buffer.concat(kept.stderr) }))
    })
    child.stdin.on("error", () => undefined)
    child.stdin.end(stdin)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const shell = ["sh", "-c"]

/** The command in its folder and with its environment; `env` answers 127 when there is no such program. */
const wrapped = ({ argv, cwd, env }: AgentConnection.Command) => [
  ...shell,
  "cd -- \"$0\" && exec env \"$@\"",
  cwd ?? ".",
  ...Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`),
  ...argv
]

const reasons: Record<number, Errors.FileErrorReason> = { 44: "notFound", 45: "notRegular", 46: "denied" }

const read = "[ -e \"$0\" ] || exit 44; [ -f \"$0\" ] || exit 45; [ -r \"$0\" ] || exit 46; exec cat -- \"$0\""
const write = "[ ! -e \"$0\" ] || [ -f \"$0\" ] || exit 45; cat > \"$0.new\" && mv -- \"$0.new\" \"$0\" || exit 46"

/** What to put before a command so that it runs in the place of an agent. */
export const transport = (place: (agentId: Ids.AgentId) => ReadonlyArray<string>) =>
  AgentTransport.layerExec((agentId) => {
    const file = (script: string, path: string, bytes?: Uint8Array) =>
      run([...place(agentId), ...shell, script, path], bytes).pipe(
        Effect.catch(({ detail }) => new Errors.FileError({ path, reason: "invalid", detail, changed: [] })),
        Effect.flatMap(({ code, stderr, stdout }) =>
          code === 0 ? Effect.succeed(stdout) : new Errors.FileError({
            path,
            reason: reasons[code ?? 0] ?? "invalid",
            detail: new TextDecoder().decode(stderr).trim() || `cannot be used (${code})`,
            changed: []
          })
        )
      )
    return Effect.succeed({
      exec: (command: AgentConnection.Command) =>
        Effect.filterOrElse(
          run([...place(agentId), ...wrapped(command)]),
          ({ code, stdout }) => code !== 127 || stdout.length > 0,
          () => new Errors.CommandNotFound({ command: command.argv[0], detail: "is not there" })
        ),
      readFile: (path: string) => file(read, path),
      writeFile: (path: string, bytes: Uint8Array) => Effect.asVoid(file(write, path, bytes))
    })
  })

/** The container of an agent carries the agent's id as its name. */
export const DockerExecLive = transport((agentId) => ["docker", "exec", "-i", agentId])
