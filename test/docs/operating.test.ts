import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { FindingCode } from "../../src/turn/ExplanationFinding.ts"
import { alerts, findings, logs, made, metrics, spans } from "./operating.ts"
import type { Described } from "./operating.ts"

describe("what operators read", () => {
  it.effect("each metric of the source is one that the registry has, under our prefix and with words", () =>
    Effect.gen(function*() {
      const all = yield* metrics
      assert.strictEqual(all.length, made)
      for (const { description, kind, name } of all) {
        assert.match(name, /^chat_workspace_[a-z_]+$/)
        assert.notStrictEqual(description, "", name)
        assert.strictEqual(kind === "counter", name.endsWith("_total"), name)
      }
    }))

  it.effect("what is to be watched is there", () =>
    Effect.map(metrics, (all) => {
      const names = new Set(all.map(({ name }) => name))
      for (const { watch } of alerts) assert.isTrue(names.has(watch), watch)
      assert.deepStrictEqual(Object.keys(findings).sort(), Array.from(FindingCode.literals, String).sort())
    }))

  it.effect("is what docs/operating.md says", () =>
    Effect.flatMap(
      metrics,
      (all) => Effect.promise(() => expect(document(all)).toMatchFileSnapshot("../../docs/operating.md"))
    ))

  it.effect("is what docs/grafana.json shows, each metric once, and no two panels overlap", () =>
    Effect.flatMap(metrics, (all) => {
      const board = dashboard(all)
      const ids = new Set(board.panels.map(({ id }) => id))
      assert.strictEqual(ids.size, board.panels.length)
      const places = new Set(board.panels.map(({ gridPos: { x, y } }) => `${x} ${y}`))
      assert.strictEqual(places.size, board.panels.length)
      assert.strictEqual(board.panels.length, all.length)
      const text = `${JSON.stringify(board, null, 2)}\n`
      return Effect.promise(() => expect(text).toMatchFileSnapshot("../../docs/grafana.json"))
    }))
})

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [
  `| ${head.join(" | ")} |`,
  `| ${head.map(() => "---").join(" | ")} |`,
  ...rows.map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
]

const code = (text: string): string => `\`${text}\``

const document = (all: ReadonlyArray<Described>): string =>
  [
    "# Operating",
    "",
    "`npx vitest run test/docs/operating.test.ts -u` writes this page from the source, and the test holds it.",
    "",
    "## At 3 a.m.",
    "",
    "1. `chat-workspace explain <chat>` on the node, or `GET /chats/<chat>/explanation`. Its first line names the cause; the",
    "   table below says what to do. Sessions, waiters, running turns and the last connects are those of the node that is",
    "   asked; without a node it says what the database alone knows.",
    "2. `GET /readyz` of each node: the database, agents that hang on another node, a node that is about to end.",
    "3. The metrics under *What to watch*. `docs/grafana.json` is a dashboard of all of them, to be imported.",
    "",
    ...table(["finding", "what to do"], Object.entries(findings).map(([name, words]) => [code(name), words])),
    "",
    "## What to watch",
    "",
    ...table(["metric", "when it", "then"], alerts.map(({ act, watch, when }) => [code(watch), when, act])),
    "",
    "## Metrics",
    "",
    "`GET /metrics` at the operators' address, in the format of Prometheus. Labels have closed sets of values; ids are on spans",
    "only. Gauges of the oldest are as of the last look: heartbeats, looks at the queue, looks for lost turns.",
    "",
    ...table(
      ["name", "kind", "labels", "what it says"],
      all.map(({ description, kind, labels, name }) => [code(name), kind, labels.map(code).join(", "), description])
    ),
    "",
    "## Spans",
    "",
    "One for each public operation that does IO. A flight and a turn are roots of their own, since they outlive who began",
    "them; a flight is linked to the call that began it. Ids are the attributes `chat.id`, `workspace.id`, `build.id`,",
    "`agent.id`, `turn.id`; beside them `dial.path`, `tool.name` and the outcomes.",
    "",
    ...table(
      ["span of", "operations"],
      grouped().map(([service, names]) => [code(service), names.map(code).join(", ")])
    ),
    "",
    "## Log lines",
    "",
    "Warnings are what was recovered, once per outage; errors are what nobody was told of. Each carries `module` and ids.",
    "",
    ...table(["level", "message", "from"], logs.map(({ file, level, message }) => [level, message, code(file)])),
    "",
    "## Pools of your own",
    "",
    "A `PgClient.layer` of an application waits at its end for the statements that are under way. A database that is gone",
    "without a word (a failover, a firewall that forgot the connection) never answers them, and the process stays until it is",
    "killed. Bound the end of each pool, and let the server end what nobody waits for:",
    "",
    "```ts",
    "PgClient.layer({",
    "  url,",
    "  connectTimeout: \"3 seconds\",",
    "  keepAlive: \"10 seconds\",",
    "  startupParameters: { statement_timeout: \"10s\", lock_timeout: \"3s\", idle_in_transaction_session_timeout: \"10s\" }",
    "}).pipe(Closing.layerWithin(\"3 seconds\"))",
    "```",
    "",
    "`Closing` is of `chat-workspace/store`; the pools of `serve` are made like this. The stores bound each of their calls by",
    "`STORE_CALL_TIMEOUT` over any pool; statements of the application itself have no bound unless it gives them one.",
    "",
    "## Export",
    "",
    "`serve` sends spans, metrics and logs over OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its form for one signal) is set,",
    "with `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and the other standard variables, as",
    "`http/protobuf` or `http/json`. Tokens, arguments, output and contents of files are in none of them; a test searches",
    "for planted ones. Of an error that ends a span only the name is sent. An application with an exporter of its own puts",
    "`QuietTracer.make` of `chat-workspace/turn` over its tracer for that.",
    ""
  ].join("\n")

const grouped = (): ReadonlyArray<readonly [string, ReadonlyArray<string>]> => {
  const groups = new Map<string, Array<string>>()
  for (const span of spans) {
    const [service = "", ...rest] = span.split(".")
    groups.set(service, [...(groups.get(service) ?? []), rest.length === 0 ? service : rest.join(".")])
  }
  return Array.from(groups)
}

const legendOf = (labels: ReadonlyArray<string>): string =>
  labels.length === 0 ? "{{instance}}" : labels.map((label) => `{{${label}}}`).join(" ")

const expressionsOf = ({ kind, labels, name }: Described): ReadonlyArray<readonly [expr: string, legend: string]> => {
  const by = labels.length === 0 ? "instance" : labels.join(", ")
  switch (kind) {
    case "counter":
      return [[`sum by (${by}) (rate(${name}[$__rate_interval]))`, legendOf(labels)]]
    case "gauge":
      return [[name, "{{instance}}"]]
    case "histogram":
      return [0.5, 0.95].map((quantile) => [
        `histogram_quantile(${quantile}, sum by (le) (rate(${name}_bucket[$__rate_interval])))`,
        `p${quantile * 100}`
      ])
  }
}

const unitOf = ({ kind, name }: Described): string =>
  name.endsWith("_milliseconds") ? "ms" : name.endsWith("_seconds") ? "s" : kind === "counter" ? "ops" : "short"

const dashboard = (all: ReadonlyArray<Described>) => ({
  title: "chat-workspace",
  uid: "chat-workspace",
  schemaVersion: 39,
  version: 1,
  editable: true,
  refresh: "10s",
  time: { from: "now-1h", to: "now" },
  templating: {
    list: [{ name: "datasource", type: "datasource", query: "prometheus", label: "Prometheus" }]
  },
  panels: all.map((metric, index) => ({
    id: index + 1,
    type: "timeseries",
    title: metric.description,
    description: metric.name,
    datasource: { type: "prometheus", uid: "${datasource}" },
    gridPos: { x: index % 3 * 8, y: Math.floor(index / 3) * 8, w: 8, h: 8 },
    fieldConfig: { defaults: { unit: unitOf(metric), min: 0 }, overrides: [] },
    targets: expressionsOf(metric).map(([expr, legendFormat], target) => ({
      refId: String.fromCharCode(65 + target),
      expr,
      legendFormat
    }))
  }))
})
