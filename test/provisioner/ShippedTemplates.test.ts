import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, DateTime, Effect, FileSystem, Layer, Path, Redacted } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as AgentToken from "../../src/domain/AgentToken.ts"
import { AgentId, BuildId, OwnerId, TemplateId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as TemplateParameters from "../../src/domain/TemplateParameters.ts"
import { Workspace } from "../../src/domain/Workspace.ts"
import * as CommandProvider from "../../src/provisioner/process/CommandProvider.ts"
import * as ProcessProvider from "../../src/provisioner/process/ProcessProvider.ts"
import * as Provider from "../../src/provisioner/Provider.ts"
import * as TemplateDirectory from "../../src/provisioner/TemplateDirectory.ts"

const directories = ["templates", "examples/templates"] as const

const absolute = (directory: string): string => fileURLToPath(new URL(`../../${directory}`, import.meta.url))

const filesOf = (directory: string): ReadonlyArray<string> =>
  readdirSync(absolute(directory), { recursive: true, encoding: "utf8" }).map((name) => `${directory}/${name}`)

const scripts = directories.flatMap(filesOf).filter((name) => name.endsWith(".sh"))

const providers = Layer.effect(
  Provider.Providers,
  Effect.map(
    Effect.all([CommandProvider.make(), ProcessProvider.make({ root: "/nowhere" })]),
    (all) => Provider.make(all)
  )
)

const layer = Layer.provideMerge(providers, NodeServices.layer)

const template = Effect.fnUntraced(function*(directory: typeof directories[number], id: string) {
  const found = (yield* TemplateDirectory.load(absolute(directory))).find(({ templateId }) => templateId === id)
  return found ?? assert.fail(`there is no ${id}`)
})

describe("Templates that come with the package", () => {
  it.effect("those to use as they are, and the examples, are read and checked as any others", () =>
    Effect.gen(function*() {
      const ids = (directory: string) =>
        Effect.map(TemplateDirectory.load(absolute(directory)), (all) => all.map(({ templateId }) => templateId))
      assert.deepStrictEqual(yield* ids("templates"), ["local", "shell"].map((id) => TemplateId.make(id)))
      assert.deepStrictEqual(
        yield* ids("examples/templates"),
        ["docker", "kubernetes"].map((id) => TemplateId.make(id))
      )
    }).pipe(Effect.provide(layer)))

  it.effect("each says what it is, has a description to read, and values for all parameters", () =>
    Effect.gen(function*() {
      for (const directory of directories) {
        for (const shipped of yield* TemplateDirectory.load(absolute(directory))) {
          assert.isNotEmpty(shipped.description)
          assert.match(shipped.readme ?? "", new RegExp(`^# ${shipped.name}\n`))
          yield* Effect.fromResult(TemplateParameters.resolve(shipped, {}))
        }
      }
    }).pipe(Effect.provide(layer)))

  it.each(scripts)("%s is a shell script", (script) => {
    execFileSync("sh", ["-n", absolute(script)])
  })

  it.each(scripts)("%s uses no variable that nobody sets", (script) => {
    const known = /^CW_(WORKSPACE_ID|WORKSPACE_NAME|OWNER|BUILD_ID|TRANSITION|GATEWAY_URL|PARAM_[A-Z0-9_]+)$|^CW_AGENT_/
    for (const [name] of readFileSync(absolute(script), "utf8").matchAll(/CW_[A-Z_]+/g)) assert.match(name, known)
  })

  it.each(directories.flatMap(filesOf).filter((name) => name.endsWith(".yaml")))("%s is YAML of an object", (name) => {
    const parsed = Yaml.parse(readFileSync(absolute(name), "utf8"))
    assert.containsAllKeys(parsed, ["apiVersion", "kind", "metadata", "spec"])
  })
})

const secret = "the-token-of-the-agent"

const requestOf = Effect.fnUntraced(function*(
  template: Provider.ProviderRequest["template"],
  options?: { readonly workspaceId?: string; readonly token?: Redacted.Redacted<string> }
) {
  const log: Array<string> = []
  const workspaceId = WorkspaceId.make(options?.workspaceId ?? "0198-abc")
  const owner = OwnerId.make("ann")
  const { templateId } = template
  const request: Provider.ProviderRequest = {
    buildId: BuildId.make("build"),
    workspace: new Workspace({ workspaceId, owner, name: null, templateId, createdAt: yield* DateTime.now }),
    template,
    parameters: yield* Effect.fromResult(TemplateParameters.resolve(template, {})),
    agents: [{ agentId: AgentId.make("agent"), name: "main", token: options?.token ?? Redacted.make(secret) }],
    gatewayUrl: "ws://127.0.0.1:9/agent",
    log: (line) => Effect.sync(() => log.push(line))
  }
  return { log, request }
})

/** The node of these tests, also where another one is the first in the path. */
const path = (...first: ReadonlyArray<string>): string =>
  [...first, fileURLToPath(new URL("../../node_modules/.bin", import.meta.url)), "/usr/bin", "/bin"].join(":")

const commands = (variables: Readonly<Record<string, string>>) =>
  Effect.provideService(
    CommandProvider.make(),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env: { ...variables } })
  )

describe("Example templates with an engine that notes what it is told", () => {
  /** Stands for `docker` or `kubectl`: writes down its arguments, and what it gets as input. */
  const engine = Effect.fnUntraced(function*(name: string) {
    const files = yield* FileSystem.FileSystem
    const { join } = yield* Path.Path
    const folder = yield* files.makeTempDirectoryScoped()
    const notes = join(folder, "notes")
    const script = join(folder, name)
    yield* files.writeFileString(notes, "")
    yield* files.writeFileString(
      script,
      `#!/bin/sh\necho "$*" >> "${notes}"\ncase "$*" in "cp - "*) tar --numeric-owner -tvf - >> "${notes}" ;; ` +
        `*"--filename -"*) cat >> "${notes}" ;; esac\ncase "$*" in "ps "*) [ ! -f "${folder}/runs" ] || echo id ;; esac\n`
    )
    yield* files.chmod(script, 0o755)
    return {
      folder,
      runs: files.writeFileString(join(folder, "runs"), ""),
      notes: Effect.tap(files.readFileString(notes), () => files.writeFileString(notes, ""))
    }
  })

  it.effect(
    "docker: a fresh container over the volume, with a token that only its user can read",
    () =>
      Effect.gen(function*() {
        const { folder, notes, runs } = yield* engine("docker")
        const provider = yield* commands({ PATH: path(folder), HOME: folder })
        const { log, request } = yield* requestOf(yield* template("examples/templates", "docker"))
        yield* provider.start(request)
        const started = yield* notes
        const name = "chat-workspace-0198-abc"
        assert.include(started, `volume create --label chat-workspace=0198-abc ${name}`)
        assert.match(
          started,
          /create --name chat-workspace-0198-abc .*--cpus 2 --memory 4g .* chat-workspace\/node:24\n/
        )
        assert.match(started, /-rw------- 1000\/1000 .* token\n/)
        assert.include(started, `start ${name}\n`)
        assert.notInclude(started + log.join(), secret)
        yield* runs
        yield* provider.stop({ ...request, agents: [] })
        assert.match(yield* notes, new RegExp(`stop ${name}\n(.*\n)*rm --force --volumes ${name}\n`))
        yield* provider.delete({ ...request, agents: [] })
        assert.include(yield* notes, `volume rm --force ${name}\n`)
      }).pipe(Effect.scoped, Effect.provide(layer)),
    30_000
  )

  it.live("kubernetes: a secret, a claim and a pod, in the namespace that is named", () =>
    Effect.gen(function*() {
      const { folder, notes } = yield* engine("kubectl")
      const provider = yield* commands({ PATH: path(folder), HOME: folder, WORKSPACES_NAMESPACE: "chats" })
      const { log, request } = yield* requestOf(yield* template("examples/templates", "kubernetes"))
      yield* provider.start(request)
      const started = yield* notes
      assert.include(started, "--namespace chats create secret generic workspace-0198-abc --from-file token=")
      assert.include(started, "name: \"workspace-0198-abc\"")
      assert.include(started, "image: \"registry.example.com/chat-workspace/node:24\"")
      assert.include(started, "storage: \"10Gi\"")
      assert.notMatch(started, /@[A-Z]+@/)
      assert.include(started, "wait --for condition=Ready --timeout 10m pod/workspace-0198-abc")
      assert.notInclude(started + log.join(), secret)
      yield* provider.stop({ ...request, agents: [] })
      assert.notInclude(yield* notes, "persistentvolumeclaim")
      yield* provider.delete({ ...request, agents: [] })
      assert.include(yield* notes, "delete persistentvolumeclaim workspace-0198-abc")
    }).pipe(Effect.scoped, Effect.provide(layer)), 30_000)

  it.live.each(["docker", "kubernetes"])("%s: an id that is no name builds nothing", (id) =>
    Effect.gen(function*() {
      const { folder, notes } = yield* engine(id === "docker" ? "docker" : "kubectl")
      const provider = yield* commands({ PATH: path(folder), HOME: folder })
      const { request } = yield* requestOf(yield* template("examples/templates", id), { workspaceId: "a; rm -rf /" })
      const error = yield* Effect.flip(provider.start(request))
      assert.include(error.detail, "a; rm -rf /")
      assert.strictEqual(yield* notes, "")
    }).pipe(Effect.scoped, Effect.provide(layer)), 30_000)

  it.live("docker: an engine that does not answer fails a stop", () =>
    Effect.gen(function*() {
      const provider = yield* commands({ PATH: path(), HOME: "/", DOCKER_HOST: "unix:///nowhere/docker.sock" })
      const { request } = yield* requestOf(yield* template("examples/templates", "docker"))
      const error = yield* Effect.flip(provider.stop({ ...request, agents: [] }))
      assert.match(error.detail, /^The stop command exited with code/)
    }).pipe(Effect.scoped, Effect.provide(layer)), 30_000)
})

describe("The template of shell scripts", () => {
  /** The processes whose environment names this folder. */
  const running = (place: string): number =>
    readdirSync("/proc").filter((name) => {
      if (!/^\d+$/.test(name)) return false
      try {
        return readFileSync(`/proc/${name}/environ`, "utf8").includes(`WORKSPACE_PLACE=${place}\0`)
      } catch {
        return false
      }
    }).length

  it.live(
    "starts a real agent, starts it again, stops and deletes it, and leaves nothing",
    () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const folder = yield* files.makeTempDirectoryScoped()
        const place = `${folder}/0198-abc`
        const provider = yield* commands({ PATH: path(), HOME: folder, WORKSPACES_DIR: folder })
        const token = AgentToken.format({
          agentId: AgentId.make("agent"),
          secret: Redacted.make(new Uint8Array(AgentToken.secretLength))
        })
        const { request } = yield* requestOf(yield* template("templates", "shell"), { token })
        const ended = { ...request, agents: [] }
        yield* Effect.gen(function*() {
          yield* provider.stop(ended)
          yield* provider.start(request)
          assert.isAbove(running(place), 0)
          assert.strictEqual((yield* files.stat(`${place}/token`)).mode & 0o777, 0o600)
          yield* files.writeFileString(`${place}/files/kept`, "kept")
          yield* provider.start(request)
          assert.isAbove(running(place), 0)
          yield* provider.stop(ended)
          assert.strictEqual(running(place), 0)
          assert.isFalse(yield* files.exists(`${place}/token`))
          assert.strictEqual(yield* files.readFileString(`${place}/files/kept`), "kept")
          yield* provider.delete(ended)
          assert.isFalse(yield* files.exists(place))
        }).pipe(Effect.ensuring(Effect.ignore(provider.delete(ended))))
      }).pipe(Effect.scoped, Effect.provide(layer)),
    120_000
  )

  it.live("an agent that cannot run is a build that failed, and says why", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      const provider = yield* commands({ PATH: path(), HOME: folder })
      const { request } = yield* requestOf(yield* template("templates", "shell"))
      const error = yield* Effect.flip(provider.start(request))
      assert.include(error.detail, "The agent did not start:")
      assert.include(error.detail, "holds no agent token")
      assert.strictEqual(running(`${folder}/.chat-workspace/workspaces/0198-abc`), 0)
    }).pipe(Effect.scoped, Effect.provide(layer)), 60_000)
})
