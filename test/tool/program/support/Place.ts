/** A folder for one file of tests: templates, workspaces, and files by which a test leads its builds. */
import { Context, Effect, Layer, Schedule } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export class Place extends Context.Service<Place, {
  readonly directory: string
  readonly templates: string
  readonly workspaces: string
  readonly at: (name: string) => string
}>()("test/tool/program/Place") {}

/** The folder goes with the block, and before it whatever still runs in it: agents outlive their backends. */
export const layer: Layer.Layer<Place> = Layer.effect(
  Place,
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = Fs.mkdtempSync(Path.join(tmpdir(), "cw-flows-"))
      const at = (name: string): string => Path.join(directory, name)
      Fs.cpSync(shipped, at("templates"), { recursive: true })
      for (const [name, file] of Object.entries(templates)) {
        Fs.cpSync(Path.join(shipped, "shell"), at(`templates/${name}`), { recursive: true })
        Fs.writeFileSync(at(`templates/${name}/held.sh`), held)
        Fs.writeFileSync(at(`templates/${name}/template.json`), JSON.stringify(file))
      }
      return Place.of({ directory, at, templates: at("templates"), workspaces: at("workspaces") })
    }),
    ({ directory }) =>
      Effect.andThen(
        emptied(directory),
        Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
      )
  )
)

const shipped = fileURLToPath(new URL("../../../../templates", import.meta.url))

const commands = {
  type: "command",
  start: "exec sh held.sh",
  stop: "sh stop.sh",
  delete: "sh delete.sh",
  environment: ["WORKSPACES_DIR"]
}

const gate = { name: "gate", type: "string" }

const templates = {
  /** A start that notes its runs and waits for leave; it may be run again. */
  held: { provider: { ...commands, repeatable: true }, parameters: [gate] },
  /** The same, and may not. */
  once: { provider: { ...commands, repeatable: false }, parameters: [gate] },
  /** A start that says much and fails. */
  broken: { provider: { ...commands, start: "echo one; env; cat \"$CW_AGENT_TOKEN_FILE\"; echo last >&2; exit 3" } },
  /** A start that has nothing to do, of a workspace in which nothing runs. */
  quick: { provider: { type: "command", start: ":", stop: ":", delete: ":", repeatable: true }, agents: [] },
  /** A folder whose start-up script is a parameter. */
  scripted: {
    provider: { type: "process" },
    parameters: [{ name: "script", type: "string" }],
    startup: { text: "eval \"$CW_PARAM_SCRIPT\"" }
  }
}

// The n-th run goes on when there is the file of the gate, or the one with its number. One whose backend was killed ends.
const held = `
ledger=$CW_PARAM_GATE.ledger
trap 'echo stopped >> "$ledger"; exit 1' TERM
echo begun >> "$ledger"
run=$(grep -c begun "$ledger")
echo "run $run"
cat "$CW_AGENT_TOKEN_FILE"; echo
until [ -e "$CW_PARAM_GATE" ] || [ -e "$CW_PARAM_GATE.$run" ]; do
  kill -0 "$PPID" 2> /dev/null || { echo left >> "$ledger"; exit 1; }
  sleep 0.1
done
exec sh start.sh
`

/** What the runs of a held start have noted. */
export const ledger = (gate: string): ReadonlyArray<string> =>
  Fs.existsSync(`${gate}.ledger`) ? Fs.readFileSync(`${gate}.ledger`, "utf8").trim().split("\n") : []

/** Lets go on all runs of a held start, or the one with this number. */
export const open = (gate: string, run?: number): Effect.Effect<void> =>
  Effect.sync(() => Fs.writeFileSync(run === undefined ? gate : `${gate}.${run}`, ""))

/** Kills whatever works in a folder, until nothing does. */
export const emptied = (directory: string): Effect.Effect<unknown> =>
  Effect.repeat(Effect.sync(() => killIn(directory)), {
    until: (found) => found === 0,
    schedule: Schedule.spaced("20 millis"),
    times: 100
  })

/** Kills what works in a folder, or was started for it; answers how much that was. */
const killIn = (directory: string): number => {
  const found = Fs.readdirSync("/proc").map(Number).filter((pid) =>
    pid > 1 && pid !== process.pid && (read(() => Fs.readlinkSync(`/proc/${pid}/cwd`)).startsWith(directory) ||
      read(() => Fs.readFileSync(`/proc/${pid}/environ`, "latin1")).includes(`=${directory}`))
  )
  for (const pid of found) read(() => String(process.kill(pid, "SIGKILL")))
  return found.length
}

/** Empty for a process that has ended. */
const read = (look: () => string): string => {
  try {
    return look()
  } catch {
    return ""
  }
}
