import { assert, describe, expect, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Bounds } from "../../src/domain/index.ts"
import { constants } from "./constants.ts"
import { held } from "./held.ts"
import { tables } from "./tables.ts"

const read = (path: string): string => Fs.readFileSync(path, "utf8")
const sources = Fs.readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
  .sort()

const states = (file: string): boolean => /= Bounds\.make\("/.test(read(`src/${file}`))

/** The comments above the bounds of a module, by the names of the bounds. */
const words = (module: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Array.from(
      read(module).matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(\w+): Bounds\.\w+\(/g),
      ([, comment = "", name = ""]) => [name, comment.replaceAll(/\s*\n\s*\*\s?/g, " ").trim()]
    )
  )

const each = Object.entries(tables).flatMap(([module, { list }]) => list.map((bound) => ({ ...bound, module })))

describe("every bound", () => {
  it("is in a table that test/docs/tables.ts lists", () => {
    assert.deepStrictEqual(sources.filter(states).map((file) => `src/${file}`), Object.keys(tables).sort())
  })

  it.each(each.map((bound) => [bound.module, bound.name, bound] as const))(
    "%s %s says what it bounds, and a test holds it",
    (module, name, { key }) => {
      assert.isString(words(module)[name], "no comment says what it bounds")
      const test = held[module]?.[name]
      if (test === undefined) return assert.fail("name the test that holds it, in test/docs/held.ts")
      const [file, title] = typeof test === "string" ? [test, undefined] : test
      const text = read(`test/${file}`)
      assert.isTrue(title === undefined ? new RegExp(`\\b(${name}|${key})\\b`).test(text) : text.includes(title), file)
    }
  )

  it("has no test that holds nothing", () => {
    for (const [module, tests] of Object.entries(held)) {
      assert.includeMembers(tables[module]?.list.map(({ name }) => name) ?? [], Object.keys(tests), module)
    }
  })
})

/** Times, sizes, and numbers whose name says that they bound something. */
const bounding = new RegExp(
  [
    String.raw`Duration\.(millis|seconds|minutes|hours|days)\([\d_]+\)`,
    String.raw`"\d+ (millis|seconds?|minutes?|hours?|days?)"`,
    String.raw`\d \* 1024`,
    String.raw`\bconst \w*([lL]imit|max[A-Z]|[bB]ytes|Lines|Millis|[tT]imeout)\w* = \d`
  ].join("|")
)

describe("every constant of the code that bounds something", () => {
  it.each(constants.flatMap(([, list]) => list))("%s: %s stands there", (file, source) => {
    assert.include(read(`src/${file}`), source)
  })

  it("is listed in test/docs/constants.ts, or has a key", () => {
    const listed = constants.flatMap(([, list]) => list)
    const hidden = sources
      .filter((file) => !/^(testing|cli\/demo)\//.test(file) && !states(file))
      .flatMap((file) =>
        read(`src/${file}`).split("\n")
          .filter((line) => bounding.test(line) && !/^\s*(\*|\/\*|\/\/)/.test(line))
          .filter((line) => !listed.some(([of, source]) => of === file && line.includes(source)))
          .map((line) => `${file}: ${line.trim()}`)
      )
    assert.deepStrictEqual(hidden, [])
  })
})

it("docs/bounds.md says so", () => expect(document()).toMatchFileSnapshot("../../docs/bounds.md"))

const titles: Readonly<Record<string, string>> = {
  "src/dial/DialConfig.ts": "Connecting",
  "src/store/StoreConfig.ts": "The store",
  "src/agent/GatewayConfig.ts": "The gateway, and calls over it",
  "src/cluster/ClusterConfig.ts": "Between nodes",
  "src/provisioner/ProvisionerConfig.ts": "Builds",
  "src/tool/ToolConfig.ts": "The model's tools",
  "src/turn/TurnConfig.ts": "Before the model, and what it is told",
  "src/turn/TurnLimits.ts": "Turns",
  "src/http/HttpConfig.ts": "The API",
  "src/http/McpConfig.ts": "The MCP endpoint",
  "src/openai/OpenAiCompat.ts": "Requests to a model",
  "src/agent/program/ProgramConfig.ts": "The agent program"
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

const sizes = [[1024 * 1024, "MiB"], [1024, "KiB"]] as const

/** As the environment would say it; round sizes in words too. */
const shown = ({ kind, shown }: Bounds.Listed): string => {
  if (shown === "") return "none"
  const bytes = Number(shown)
  const [size, unit] = sizes.find(([size]) => kind === "bytes" && bytes % size === 0) ?? []
  return `\`${shown}\`${size === undefined ? "" : ` (${bytes / size} ${unit})`}`
}

const testOf = (module: string, name: string): string => {
  const test = held[module]?.[name] ?? ""
  return `\`${typeof test === "string" ? test : test[0]}\``
}

const section = ([module, { list }]: readonly [string, Bounds.Bounds<object>]): ReadonlyArray<string> => {
  const comments = words(module)
  return [
    `## ${titles[module] ?? module}`,
    "",
    `Stated in \`${module}\`.`,
    "",
    "| key | default | what it bounds | name | test |",
    "| --- | --- | --- | --- | --- |",
    ...list.map((bound) =>
      `| ${bound.key === undefined ? "none" : `\`${bound.key}\``} | ${shown(bound)} | ${
        cell(comments[bound.name] ?? "")
      } | \`${bound.name}\` | ${testOf(module, bound.name)} |`
    ),
    ""
  ]
}

const document = (): string =>
  [
    "# Every wait and limit",
    "",
    "Nothing here waits without an end. Each wait and each limit has a name, a default, and mostly a key in the",
    "environment; the command line and the agent program read the keys when they start, and end with the name of a key",
    "whose value is none. An application sets the same by layers: `DialConfig.layer({ dialTimeout: \"10 seconds\" })`.",
    "",
    "Times are written as in `30 seconds`, `500 millis`, `5 minutes`, sizes in bytes, lists with commas between their",
    "parts. The files of the last column are below `test/`.",
    "",
    "`npx vitest run test/docs/bounds.test.ts -u` writes this document from the source, and the test holds it.",
    "",
    ...Object.entries(tables).flatMap(section),
    "## Constants",
    "",
    "These have no key.",
    "",
    ...constants.flatMap(([reason, list]) => [
      reason,
      "",
      "| what it bounds | constant | file |",
      "| --- | --- | --- |",
      ...list.map(([file, source, bounds]) => `| ${cell(bounds)} | \`${cell(source)}\` | \`src/${file}\` |`),
      ""
    ])
  ].join("\n")
