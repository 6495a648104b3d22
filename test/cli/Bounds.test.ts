import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Bounds from "../../src/cli/Bounds.ts"
import { tables } from "../docs/tables.ts"

/** The agent and the adapter for models read their own. */
const elsewhere = ["src/agent/program/ProgramConfig.ts", "src/openai/OpenAiCompat.ts"]
const keysOf = (module: string) => tables[module]?.list.flatMap(({ key }) => key ?? []) ?? []
const served = Object.keys(tables).filter((module) => !elsewhere.includes(module)).flatMap(keysOf)

const sources = Fs.readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).map(
  (
    file
  ) => ({ file: `src/${file}`, text: Fs.readFileSync(`src/${file}`, "utf8") })
)

const build = (provider: ConfigProvider.ConfigProvider) =>
  Effect.scoped(Layer.build(Bounds.layer)).pipe(Effect.provideService(ConfigProvider.ConfigProvider, provider))

describe("the bounds of the command line", () => {
  it.effect("reads every key of every floor once", () =>
    Effect.gen(function*() {
      const read: Array<string> = []
      const empty = ConfigProvider.fromUnknown({})
      yield* build(ConfigProvider.make((path) => {
        read.push(path.join("."))
        return empty.load(path)
      }))
      assert.deepStrictEqual(read.sort(), served.toSorted())
      assert.lengthOf(new Set(read), read.length)
    }))

  it.effect.each(
    Object.values(tables).flatMap(({ list }) =>
      list.flatMap(({ key, kind }) => key !== undefined && served.includes(key) ? [[key, kind] as const] : [])
    ).filter(([, kind]) => kind !== "text" && kind !== "names")
  )("a wrong %s stops it, and is named", ([key]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(build(ConfigProvider.fromUnknown({ [key]: "-1" })))
      assert.instanceOf(error, Config.ConfigError)
      assert.include(error.message, key)
    }))

  it("no key is that of two bounds, and none is read beside its table", () => {
    const keys = Object.keys(tables).flatMap(keysOf)
    assert.lengthOf(new Set(keys), keys.length)
    for (const module of Object.keys(tables)) {
      for (const key of keysOf(module)) {
        const readers = sources.filter(({ file, text }) => file !== module && text.includes(`"${key}"`))
        assert.deepStrictEqual(readers.map(({ file }) => file), [], key)
      }
    }
  })
})
