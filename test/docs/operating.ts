/** What docs/operating.md and docs/grafana.json are made from: the metrics as they register, and words about them. */
import { Effect, Metric, Predicate } from "effect"
import { globSync, readFileSync } from "node:fs"
import type { FindingCode } from "../../src/turn/ExplanationFinding.ts"

const root = new URL("../../", import.meta.url)

export interface Described {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  readonly labels: ReadonlyArray<string>
  readonly description: string
}

const kinds = { Counter: "counter", Gauge: "gauge", Histogram: "histogram" } as const

/** A handle, or what a function over closed labels makes of any values. */
const handlesOf = (exported: unknown): ReadonlyArray<unknown> =>
  Metric.isMetric(exported)
    ? [exported]
    : Predicate.isFunction(exported)
    ? ["connected", "any"].map((label) => exported(label, label))
    : []

/** Every metric of the source, by its name, as a registry has it. */
export const metrics: Effect.Effect<ReadonlyArray<Described>> = Effect.gen(function*() {
  for (const file of globSync("src/**/*Metrics.ts", { cwd: root }).sort()) {
    const module: object = yield* Effect.promise(() => import(new URL(file, root).href))
    for (const handle of Object.values(module).flatMap(handlesOf)) {
      if (Metric.isMetric(handle)) yield* Metric.update(handle as Metric.Metric<number, unknown>, 0)
    }
  }
  const found = new Map<string, Described>()
  for (const { attributes, description, id, type } of yield* Metric.snapshot) {
    if (type !== "Counter" && type !== "Gauge" && type !== "Histogram") continue
    found.set(id, {
      name: id,
      kind: kinds[type],
      labels: Object.keys(attributes ?? {}).sort(),
      description: description ?? ""
    })
  }
  return Array.from(found.values()).sort((a, b) => a.name < b.name ? -1 : 1)
}).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))

const sources = globSync("src/**/*.ts", { cwd: root })
  .filter((file) => !/^src\/(testing|cli|agent\/program)\//.test(file))
  .sort()
  .map((file) => ({ file, text: readFileSync(new URL(file, root), "utf8") }))

/** How many metrics are made in the source. */
export const made: number = sources.reduce(
  (count, { text }) =>
    count + Array.from(text.matchAll(/Metric\.(counter|gauge|histogram|summary|frequency)\(/g)).length,
  0
)

/** The names of all spans. */
export const spans: ReadonlyArray<string> = Array.from(
  new Set(
    sources.flatMap(({ text }) =>
      Array.from(text.matchAll(/(?:Effect\.fn\(|withSpan\([^"\n]{0,60})\s*"([^"]+)"/g), ([, name = ""]) => name)
    )
  )
).sort()

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly file: string
}

/** The warnings and errors that a backend logs. */
export const logs: ReadonlyArray<LogLine> = sources.flatMap(({ file, text }) =>
  Array.from(
    text.matchAll(/Effect\.log(Warning|Error)\(\s*"([^"]+)"/g),
    ([, level = "", message = ""]) => ({ level: level.toLowerCase(), message, file: file.replace(/^src\//, "") })
  )
).sort((a, b) => a.level === b.level ? (a.message < b.message ? -1 : 1) : a.level < b.level ? -1 : 1)

/** What to watch: when to look, and what to do then. `watch` names metrics. */
export const alerts: ReadonlyArray<{
  readonly watch: string
  readonly when: string
  readonly act: string
}> = [
  {
    watch: "chat_workspace_gateway_heartbeat_lag_milliseconds",
    when: "over 20,000 for a minute",
    act:
      "The database is slow, or the pool of heartbeats is too small. Living agents begin to count as gone after 30 s."
  },
  {
    watch: "chat_workspace_gateway_heartbeats_total",
    when: "`outcome=\"failed\"` rises",
    act: "The database does not answer. Open connections are used without it; nothing new is bound, built or begun."
  },
  {
    watch: "chat_workspace_dial_waiters",
    when: "does not fall",
    act:
      "Calls wait for agents. `explain` one of the chats; when many wait at once it is the gateway's address or the database."
  },
  {
    watch: "chat_workspace_gateway_oldest_waiter_milliseconds",
    when: "over 40,000",
    act: "No dial should wait for so long: a defect. Take the explanation of the chat before anything is restarted."
  },
  {
    watch: "chat_workspace_dials_total",
    when: "the share of `outcome` other than `connected` doubles",
    act:
      "See which outcome. `dial_timeout` is agents or network, `no_workspace_agent` is workspaces that stop, `store_error` is the database."
  },
  {
    watch: "chat_workspace_gateway_refused_total",
    when: "rises",
    act:
      "By `reason`: `incompatible` after a deploy is agents that are too old, `identityConflict` is one token in two places, `overloaded` is a storm of sockets, `tooOften` an agent that comes and goes without a pause: look what ends its program or its links."
  },
  {
    watch: "chat_workspace_gateway_sessions",
    when: "falls by a third within a minute without a deploy",
    act: "The network before the gateway, or its TLS. `sessions_ended_total` says by `reason` who ended them."
  },
  {
    watch: "chat_workspace_http_streams",
    when: "does not fall while nobody works",
    act:
      "Clients that are gone are not noticed: see that the proxy before the API ends what its client has left. Each owner has `HTTP_STREAMS_PER_OWNER` (32) on a node."
  },
  {
    watch: "chat_workspace_builds_queue_wait_seconds",
    when: "its median is over 30",
    act: "Too few runners, or builds that hang. `chat_workspace_builds_running` says whether the places are taken."
  },
  {
    watch: "chat_workspace_builds_oldest_seconds",
    when: "over 900",
    act: "A build is past its limit and its provider ignores that it is to end."
  },
  {
    watch: "chat_workspace_builds_total",
    when: "`outcome=\"lost\"` or `outcome=\"runner_lost\"` rises",
    act: "Nodes die, or cannot renew their leases in time."
  },
  {
    watch: "chat_workspace_turns_total",
    when: "`status=\"crashed\"` or `status=\"failed\"` rises",
    act: "Crashed is nodes that were lost. Failed is the model: the log says its reason."
  },
  {
    watch: "chat_workspace_turns_oldest_seconds",
    when: "over 3,600",
    act: "A turn is past its limit: a defect. Take the explanation of its chat before anything is restarted."
  },
  {
    watch: "chat_workspace_tool_calls_total",
    when: "`outcome=\"internal\"` rises",
    act: "A tool has a defect. The log has its cause under `A tool failed`."
  },
  {
    watch: "chat_workspace_gateway_kill_debts",
    when: "does not fall",
    act: "Agents whose link is down run what was to be ended. They are told when they come back, within ten minutes."
  }
]

/** What to do about each finding of `explain`. */
export const findings: Readonly<Record<FindingCode, string>> = {
  database_down: "Bring the database back. Nothing else is proven until it answers.",
  no_workspace: "Nothing to do: the model makes one, or the application binds one.",
  workspace_deleted: "The chat needs another workspace.",
  workspace_starting: "Wait. Whoever enrolled it ends the start.",
  workspace_stopping: "Wait for the end of the stop.",
  workspace_stopped: "Start it: the model can, and so can the command line.",
  workspace_deleting: "Wait for the end of the deletion; then the chat needs another workspace.",
  workspace_never_built: "Start it.",
  workspace_without_agents: "Mend the template: it names no agent.",
  start_failed: "Read the log of the build, and start again.",
  stop_failed: "Read the log of the build, and stop again.",
  delete_failed: "Read the log of the build, and delete again.",
  agents_ambiguous: "Mend the template: one agent at most may carry the preferred suffix.",
  no_root_agent: "Mend the template: no agent is without a parent.",
  agent_refused: "As the reason says: replace the agent program, give it its own token, or free the gateway.",
  agent_missing: "Look at the agent's own log in the workspace: is its program started, and can it call the gateway?",
  agent_disconnected: "It comes back by itself within seconds. After 90 s restart the workspace.",
  agent_silent: "The host of the workspace is frozen, out of memory, or cut off. Restart the workspace.",
  agent_connecting: "Wait: it has the time that its template gives it.",
  agent_elsewhere: "Ask that node, or put a transport for many nodes between them.",
  not_connected_yet: "Nothing to do.",
  other_agent_remembered: "Nothing to do: the next call repairs it.",
  well: "Nothing to do.",
  turn_lost: "A node was lost. Within seconds another ends the turn; if not, no node runs turns.",
  build_waiting: "Start a node that runs builds, or one more.",
  build_running: "Follow the log of the build; cancel it if it hangs.",
  build_lost: "A runner was lost. Another takes the build, or ends it; if not, no node runs builds.",
  scripts_running: "Wait, or look at what the start-up script of the template does.",
  scripts_failed: "Mend the start-up script, and start the workspace again.",
  agent_conflict: "One token is used by two programs. End one, or rotate the token.",
  turn_in_call: "The call says what it waits for. Interrupt the turn if it should not.",
  turn_at_model: "The provider of the model is slow. The turn ends by itself after the time for silence.",
  turn_elsewhere: "Ask that node.",
  turn_failed: "Nothing to do; a new message begins a new turn. The log of its node says why it failed."
}
