import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FileSystem, Layer, Option, Path } from "effect"
import { OwnerId, TemplateId } from "../../src/domain/Ids.ts"
import { isAllowed } from "../../src/domain/Template.ts"
import * as Provider from "../../src/provisioner/Provider.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import * as TemplateDirectory from "../../src/provisioner/TemplateDirectory.ts"
import { Templates } from "../../src/store/Templates.ts"

const nothing = { start: () => Effect.void, stop: () => Effect.void, delete: () => Effect.void }

/** One that takes everything, and one that wants a size. */
const providers = Layer.succeed(
  Provider.Providers,
  Provider.make([
    { type: "process", isRepeatable: () => true, check: () => Effect.void, ...nothing },
    {
      type: "picky",
      isRepeatable: () => false,
      check: ({ provider }) =>
        typeof provider.settings["size"] === "number"
          ? Effect.void
          : Effect.fail(new Provider.SettingsRefused({ field: "settings.size", problem: "is required" })),
      ...nothing
    }
  ])
)

const layer = Layer.mergeAll(NodeServices.layer, providers)

/** Files by their paths; a value that is no text is written as JSON. */
type Files = Readonly<Record<string, unknown>>

const process = { provider: { type: "process" } }

const directoryOf = Effect.fnUntraced(function*(content: Files) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* files.realPath(yield* files.makeTempDirectoryScoped())
  for (const [name, text] of Object.entries(content)) {
    const file = path.join(directory, name)
    yield* files.makeDirectory(path.dirname(file), { recursive: true })
    yield* files.writeFileString(file, typeof text === "string" ? text : JSON.stringify(text))
  }
  return directory
})

const loaded = Effect.fnUntraced(function*(content: Files) {
  return yield* TemplateDirectory.load(yield* directoryOf(content))
})

/** What is said of the templates, without the directory. */
const refused = Effect.fnUntraced(function*(content: Files) {
  const directory = yield* directoryOf(content)
  return yield* refusedIn(directory)
})

const refusedIn = Effect.fnUntraced(function*(directory: string) {
  const error = yield* Effect.flip(TemplateDirectory.load(directory))
  return error.message.replaceAll(`${directory}/`, "").split("\n")
})

/** A template.json of this content, and what is said of it. */
const problem = (template: unknown) =>
  Effect.map(
    refused({ "a/template.json": template }),
    (lines) => lines.map((line) => line.replace("a/template.json: ", ""))
  )

const parameter = (fields: object) => ({ ...process, parameters: [{ name: "p", type: "string", ...fields }] })

describe("TemplateDirectory", () => {
  it.effect("a template is its folder: what it does not say has a default", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf({ "node/template.json": process, "a-file": "", ".git/config": "" })
      const [template, ...others] = yield* TemplateDirectory.load(directory)
      assert.lengthOf(others, 0)
      assert.deepStrictEqual({ ...template }, {
        templateId: TemplateId.make("node"),
        name: "node",
        description: "",
        readme: null,
        parameters: [],
        agents: [{ name: "main", displayOrder: 0 }],
        provider: { type: "process", settings: {}, directory: `${directory}/node` },
        owners: null,
        startupScript: null,
        shutdownScript: null,
        connectionTimeout: Duration.seconds(120)
      })
    }).pipe(Effect.provide(layer)))

  it.effect("all that a template may say is taken over", () =>
    Effect.gen(function*() {
      const [template] = yield* loaded({
        "node/template.json": {
          name: "Node 24",
          description: "A Node project",
          parameters: [
            { name: "cpus", type: "number", default: 2, min: 1, max: 8 },
            { name: "region", type: "string", options: ["eu", "us"], default: "eu", description: "Where it runs" },
            { name: "branch", type: "string", pattern: "[a-z/-]+" },
            { name: "gpu", type: "boolean", default: false }
          ],
          agents: [{ name: "side" }, { name: "dev-chat", displayOrder: -1 }],
          provider: { type: "picky", size: 3, zones: ["a"] },
          owners: ["ann"],
          startup: "scripts/startup.sh",
          shutdown: { text: "echo bye" },
          connectionTimeout: "3 minutes"
        },
        "node/README.md": "# Node",
        "node/scripts/startup.sh": "npm ci\n"
      })
      assert.isDefined(template)
      assert.strictEqual(template.name, "Node 24")
      assert.strictEqual(template.readme, "# Node")
      assert.deepStrictEqual(template.parameters.map(({ name }) => name), ["cpus", "region", "branch", "gpu"])
      assert.deepStrictEqual(template.agents, [{ name: "side", displayOrder: 0 }, {
        name: "dev-chat",
        displayOrder: -1
      }])
      assert.deepStrictEqual(template.provider.settings, { size: 3, zones: ["a"] })
      assert.strictEqual(template.startupScript, "npm ci\n")
      assert.strictEqual(template.shutdownScript, "echo bye")
      assert.strictEqual(Duration.toSeconds(template.connectionTimeout), 180)
      assert.isTrue(isAllowed(template, OwnerId.make("ann")))
      assert.isFalse(isAllowed(template, OwnerId.make("bob")))
    }).pipe(Effect.provide(layer)))

  it.effect("the layer is the port", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf({
        "b/template.json": { ...process, name: "alpha" },
        "a/template.json": { ...process, name: "beta" }
      })
      yield* Effect.gen(function*() {
        const templates = yield* Templates
        assert.deepStrictEqual((yield* templates.list).map(({ name }) => name), ["alpha", "beta"])
        assert.isTrue(Option.isSome(yield* templates.get(TemplateId.make("a"))))
        assert.isTrue(Option.isNone(yield* templates.get(TemplateId.make("alpha"))))
      }).pipe(Effect.provide(TemplateDirectory.layer(directory)))
    }).pipe(Effect.provide(layer)))

  it.effect("of a long README 8,000 characters are kept, and none is cut in two", () =>
    Effect.gen(function*() {
      const readme = (text: string) =>
        Effect.map(loaded({ "a/template.json": process, "a/README.md": text }), ([template]) => template?.readme)
      assert.strictEqual(yield* readme("x".repeat(8000)), "x".repeat(8000))
      assert.strictEqual(yield* readme("x".repeat(8001)), `${"x".repeat(7999)}…`)
      assert.strictEqual(yield* readme(`${"x".repeat(7998)}😀😀`), `${"x".repeat(7998)}…`)
    }).pipe(Effect.provide(layer)))

  it.effect("every problem of every template is named, with its file and field", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf({
        "a/template.json": { ...process, parameters: [{ name: "x", type: "text" }], agent: [] },
        "b/template.json": "{ \"provider\": ",
        "c/README.md": "no template",
        "d/template.json": { provider: { type: "kubernetes" }, startup: "gone.sh", shutdown: "../a/template.json" },
        "e/template.json": { provider: { type: "picky" } },
        "f/template.json": process
      })
      const { problems } = yield* Effect.flip(TemplateDirectory.load(directory))
      assert.deepStrictEqual(problems.map(({ field, file }) => [file.replace(`${directory}/`, ""), field]), [
        ["a/template.json", "agent"],
        ["a/template.json", "parameters[0].type"],
        ["b/template.json", null],
        ["c/template.json", null],
        ["d/template.json", "startup"],
        ["d/template.json", "shutdown"],
        ["d/template.json", "provider.type"],
        ["e/template.json", "provider.size"]
      ])
      assert.deepStrictEqual((yield* refusedIn(directory)).slice(2), [
        "b/template.json: is not JSON: SyntaxError: Unexpected end of JSON input",
        "c/template.json: does not exist",
        "d/template.json: startup: gone.sh does not exist",
        "d/template.json: shutdown: ../a/template.json leads out of the template's folder",
        "d/template.json: provider.type: there is no provider \"kubernetes\"; known are: process, picky",
        "e/template.json: provider.size: is required"
      ])
    }).pipe(Effect.provide(layer)))

  const wrong: ReadonlyArray<readonly [unknown, string]> = [
    [{}, "provider: is missing"],
    [{ provider: {} }, "provider.type: is missing"],
    [{ ...process, Startup: "x" }, "Startup: is not a field that is known here"],
    [{ ...process, name: 3 }, "name: Expected string"],
    [{ ...process, connectionTimeout: "soon" }, "connectionTimeout: "],
    [
      { ...process, connectionTimeout: "Infinity" },
      "connectionTimeout: must be a span of time; 0 seconds waits for ever"
    ],
    [{ ...process, connectionTimeout: "-1 seconds" }, "connectionTimeout: must be a span"],
    [{ ...process, agents: [{ name: "a b" }] }, "agents[0].name: "],
    [{ ...process, agents: [{ name: "a" }, { name: "A" }] }, "agents[1].name: \"A\" is there twice"],
    [{ ...process, startup: { text: "a\0b" } }, "startup: is not a text"],
    [{ ...process, startup: { text: "x".repeat(65_537) } }, "startup: is too large"],
    [{ ...process, shutdown: { text: "é".repeat(32_769) } }, "shutdown: is too large"],
    [parameter({ name: "1" }), "parameters[0].name: "],
    [parameter({ pattern: "[", default: "x" }), "parameters[0].pattern: [ is not a regular expression"],
    [parameter({ type: "number", pattern: "1" }), "parameters[0].pattern: is for strings only"],
    [parameter({ max: 1 }), "parameters[0].max: is for numbers only"],
    [parameter({ type: "number", min: 2, max: 1 }), "parameters[0].min: is larger than max"],
    [parameter({ options: ["a", "b"], default: "c" }), "parameters[0].default: must be one of: a, b"],
    [parameter({ options: [] }), "parameters[0].options"],
    [parameter({ type: "number", options: [1, "two"] }), "parameters[0].options[1]: must be a number"],
    [parameter({ type: "number", options: [1, 9], max: 8 }), "parameters[0].options[1]: must be at most 8"],
    [parameter({ default: 3 }), "parameters[0].default: must be a string"],
    [parameter({ pattern: "[a-z]", default: "ab" }), "parameters[0].default: must match [a-z]"],
    [parameter({ default: "x".repeat(8193) }), "parameters[0].default: must not be longer than 8192 bytes"],
    [
      { ...process, parameters: [{ name: "size", type: "string" }, { name: "Size", type: "string" }] },
      "parameters[1].name: \"Size\" is there twice"
    ],
    [
      { ...process, parameters: Array.from({ length: 65 }, (_, index) => ({ name: `p${index}`, type: "string" })) },
      "parameters: are 65, and at most 64 are allowed"
    ]
  ]

  it.effect.each(wrong)("%j is refused: %s", ([template, expected]) =>
    Effect.gen(function*() {
      const lines = yield* problem(template)
      assert.lengthOf(lines, 1)
      assert.include(lines[0], expected)
    }).pipe(Effect.provide(layer)))

  it.effect("the limits of parameters are the configured ones", () =>
    Effect.gen(function*() {
      const lines = yield* problem(parameter({ default: "abc" })).pipe(
        Effect.provide(ProvisionerConfig.layer({ parameterBytes: 2 }))
      )
      assert.deepStrictEqual(lines, ["parameters[0].default: must not be longer than 2 bytes"])
    }).pipe(Effect.provide(layer)))

  it.effect("a link may lead to a file of the template, and nowhere else", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* directoryOf({
        "a/template.json": { ...process, startup: "linked.sh" },
        "a/real.sh": "echo a",
        "secret": "token"
      })
      yield* files.symlink(`${directory}/a/real.sh`, `${directory}/a/linked.sh`)
      assert.strictEqual((yield* TemplateDirectory.load(directory))[0]?.startupScript, "echo a")
      yield* files.remove(`${directory}/a/linked.sh`)
      yield* files.symlink(`${directory}/secret`, `${directory}/a/linked.sh`)
      yield* files.symlink(`${directory}/secret`, `${directory}/a/README.md`)
      assert.deepStrictEqual(yield* refusedIn(directory), [
        "a/README.md: leads out of the template's folder",
        "a/template.json: startup: linked.sh leads out of the template's folder"
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("a folder that is a link is a template", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* directoryOf({ "..data/node/template.json": process, "..data/node/README.md": "linked" })
      yield* files.symlink("..data/node", `${directory}/node`)
      assert.deepStrictEqual((yield* TemplateDirectory.load(directory)).map(({ name, readme }) => [name, readme]), [
        ["node", "linked"]
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("what is no file is not opened, and what is too large is not read", () =>
    Effect.gen(function*() {
      const directory = yield* directoryOf({
        "a/template.json": { ...process, startup: "folder", shutdown: "large.sh" },
        "a/folder/x": "",
        "a/large.sh": "x".repeat(65_537)
      })
      assert.deepStrictEqual(yield* refusedIn(directory), [
        "a/template.json: startup: folder is not a regular file",
        "a/template.json: shutdown: large.sh is too large"
      ])
    }).pipe(Effect.provide(layer)))

  it.effect("a directory that is not there is said", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(TemplateDirectory.load("/no/such/directory"))
      assert.strictEqual(error.message, "/no/such/directory: does not exist")
    }).pipe(Effect.provide(layer)))
})
