/** The files of examples/many-nodes say what the programs that they start understand. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { existsSync, globSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as GatewayConfig from "../../src/agent/GatewayConfig.ts"
import * as ProgramConfig from "../../src/agent/program/ProgramConfig.ts"
import * as ClusterConfig from "../../src/cluster/ClusterConfig.ts"
import * as DialConfig from "../../src/dial/DialConfig.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import * as TurnLimits from "../../src/turn/TurnLimits.ts"
import { metrics } from "../docs/operating.ts"
import { tables } from "../docs/tables.ts"
import * as files from "./support/manyNodes.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

const source = (path: string): string => readFileSync(Path.join(root, path), "utf8")

const keysOf = (modules: ReadonlyArray<string>): ReadonlyArray<string> =>
  modules.flatMap((module) => tables[module]?.list.flatMap(({ key }) => key ?? []) ?? [])

/** What `serve` reads: its bounds, what its parts name in quotation marks, and the standard's variables of telemetry. */
const servesKeys = new Set([
  ...keysOf(Object.keys(tables).filter((module) => !module.startsWith("src/agent/program/"))),
  ...globSync("src/{cli,openai}/**/*.ts", { cwd: root }).flatMap((file) =>
    Array.from(source(file).matchAll(/"([A-Z]+(?:_[A-Z]+)*)"/g), ([, key = ""]) => key)
  ),
  ...Array.from(source("src/cli/Telemetry.ts").matchAll(/`(OTEL_[A-Z_]+)`/g), ([, key = ""]) => key)
])

const agentsKeys = new Set([
  ...ProgramConfig.bounds.list.flatMap(({ key }) => key ?? []),
  ...Array.from(source("src/agent/program/Settings.ts").matchAll(/`(CW_AGENT_[A-Z_]+)`/g), ([, key = ""]) => key)
])

const commands = globSync("src/cli/commands/*.ts", { cwd: root }).map((file) =>
  Path.basename(file, ".ts").toLowerCase()
)

/** What a node may take to end by its own bounds, in seconds. */
const drains = [
  TurnLimits.defaults.drain,
  GatewayConfig.defaults.moveWithin,
  GatewayConfig.defaults.closeGrace,
  GatewayConfig.defaults.shutdownDrain,
  ProvisionerConfig.defaults.drain,
  DialConfig.defaults.drain,
  // The server, the pools, and NATS: constants of docs/bounds.md.
  Duration.millis(300),
  Duration.seconds(3),
  Duration.seconds(1)
].reduce((sum, each) => sum + Duration.toSeconds(each), 0)

/** On a busy machine everything takes longer than its bounds. */
const spare = 10

const port = Number(/export const port = (\d+)/.exec(source("src/cli/ApiAddress.ts"))?.[1])

const health = Array.from(
  source("src/cli/Routes.ts").matchAll(/HttpRouter\.add\("GET", "(\/\w+z)"/g),
  ([, path = ""]) => path
)

describe("the compose file", () => {
  const { nats, postgres, workspace, ...nodes } = files.compose.services
  const { migrate, ...backends } = nodes
  const networksOf = ({ networks }: files.Service) => Array.isArray(networks) ? networks : Object.keys(networks)

  it.each(Object.entries(nodes))("%s is given what the command line reads, and nothing else", (_, service) => {
    for (const key of Object.keys(service.environment)) assert.isTrue(servesKeys.has(key), key)
    assert.include(commands, service.command?.[0])
    const { context, dockerfile } = service.build ?? assert.fail()
    assert.isTrue(existsSync(Path.join(root, "examples/many-nodes", context, dockerfile)))
  })

  it("its workspace is given what the agent reads", () => {
    for (const key of Object.keys(workspace.environment)) assert.isTrue(agentsKeys.has(key), key)
    assert.deepStrictEqual(new URL(workspace.environment["CW_AGENT_URL"] ?? "").pathname, "/agent")
  })

  it.each(Object.entries(backends))("%s is called where it listens, and lives as long as its drains", (_, service) => {
    assert.match(service.ports?.join() ?? "", new RegExp(`^127\\.0\\.0\\.1:\\d+:${port}$`))
    const asked = /http:\/\/127\.0\.0\.1:(\d+)(\/\w+)/.exec(service.healthcheck?.test?.join(" ") ?? "")
    assert.strictEqual(Number(asked?.[1]), port)
    assert.include(health, asked?.[2])
    assert.isAtLeast(files.secondsOf(service.stop_grace_period), drains + spare)
    // The name that agents call is that of every node.
    const gateway = new URL(service.environment["AGENT_URL"] ?? "")
    const aliases = Array.isArray(service.networks) ?
      [] :
      Object.values(service.networks).flatMap(({ aliases }) => aliases ?? [])
    assert.include(aliases, gateway.hostname)
    assert.deepStrictEqual([gateway.port, gateway.pathname], [String(port), "/agent"])
  })

  it("names services by their hosts, on a network that both are in", () => {
    for (const service of Object.values(backends)) {
      for (const [key, other] of [["DATABASE_URL", postgres], ["NATS_URL", nats]] as const) {
        const url = new URL((service.environment[key] ?? "").replaceAll(/\$\{[^}]*\}/g, "x"))
        assert.strictEqual(Object.entries(files.compose.services).find(([, each]) => each === other)?.[0], url.hostname)
        assert.include(networksOf(service), networksOf(other)[0])
      }
    }
  })

  it("keeps broker and database from the workspaces and from the outside", () => {
    for (const service of [nats, postgres]) {
      assert.isUndefined(service.ports)
      assert.isEmpty(networksOf(service).filter((name) => networksOf(workspace).includes(name)))
      assert.isTrue(networksOf(service).every((name) => files.compose.networks[name]?.internal === true))
    }
  })

  it("has no secret in it, and asks for each by a variable that .env.example names", () => {
    const text = files.read("compose.yaml")
    const named = Array.from(files.read(".env.example").matchAll(/^(\w+)=/gm), ([, name]) => name)
    assert.deepStrictEqual(Array.from(new Set(files.variables(text))).sort(), named.sort())
    for (const service of Object.values(files.compose.services)) {
      for (const [key, value] of Object.entries(service.environment)) {
        if (/PASSWORD|TOKEN|API_KEY/.test(key)) assert.match(value, /^"?\$\{\w+(:[-?][^}]*)?\}"?$/, key)
      }
    }
    for (const name of ["POSTGRES_PASSWORD", "NATS_PASSWORD", "API_TOKEN"]) assert.include(text, `\${${name}:?`)
  })

  it("brings the tables up to date before the nodes start", () => {
    assert.deepStrictEqual(migrate.command, ["migrate"])
    for (const { depends_on } of Object.values(backends)) {
      assert.strictEqual(depends_on?.["migrate"]?.condition, "service_completed_successfully")
    }
  })
})

describe("the configuration of NATS", () => {
  const text = files.read("nats.conf")

  it("lets nodes say and hear all of their prefix, and nothing else", () => {
    const prefix = ClusterConfig.defaults.subjectPrefix
    const allowed = Array.from(text.matchAll(/(publish|subscribe): "([^"]*)"/g), ([, what, subject]) => [what, subject])
    assert.deepStrictEqual(allowed, [["publish", `${prefix}.>`], ["subscribe", `${prefix}.>`]])
    assert.include(text, `user: ${files.compose.services["backend-1"].environment["NATS_USER"]}\n`)
  })

  it("has room for the pieces of a tunnel", () => {
    const piece = 256 * 1024
    assert.include(source("src/cluster/Tunnel.ts"), "pieceLimit = 256 * 1024")
    assert.isAtLeast(Number(/max_payload: (\d+)MB/.exec(text)?.[1]) * 1_000_000, 2 * piece)
    assert.isAtLeast(Number(/max_pending: (\d+)MB/.exec(text)?.[1]) * 1_000_000, ClusterConfig.defaults.tunnelBuffer)
  })

  it("is mounted where the server reads it, with its password", () => {
    const { command, environment, volumes } = files.compose.services.nats
    assert.include(volumes?.[0], `./nats.conf:${command?.at(-1)}:`)
    for (const [, name = ""] of text.matchAll(/\$(\w+)/g)) assert.property(environment, name)
  })
})

describe("the manifests for Kubernetes", () => {
  const { backend, nats } = files.deployments
  if (backend === undefined || nats === undefined) return assert.fail("a deployment is missing")
  const { spec } = backend.spec.template
  const [container] = spec.containers

  it("give nodes what the command line reads", () => {
    for (const each of [...spec.initContainers ?? [], ...spec.containers]) {
      for (const { name } of each.env) assert.isTrue(servesKeys.has(name), name)
      assert.include(commands, each.args?.[0])
    }
    const values = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
    assert.strictEqual(values["NATS_URL"], `nats://nats:${files.services["nats"]?.spec.ports[0]?.port}`)
    assert.strictEqual(
      values["AGENT_URL"],
      `ws://agents.chat-workspace.svc:${files.services["agents"]?.spec.ports[0]?.port}/agent`
    )
  })

  it("say the same to the nodes as the compose file", () => {
    const shared = Object.entries(files.compose.services["backend-1"].environment).filter(([key]) => /NATS_U/.test(key))
    for (const [key, value] of shared) {
      assert.strictEqual(container.env.find(({ name }) => name === key)?.value, value, key)
    }
    assert.deepStrictEqual(container.args, files.compose.services["backend-1"].command)
    assert.deepStrictEqual(nats.spec.template.spec.containers[0].command, files.compose.services.nats.command)
  })

  it("ask for health where it is answered, restart for no database, and end no node before its drains", () => {
    assert.deepStrictEqual(container.ports, [{ name: "api", containerPort: port }])
    const asked = [container.startupProbe, container.livenessProbe, container.readinessProbe].map((probe) =>
      probe?.httpGet
    )
    assert.deepStrictEqual(asked, ["/healthz", "/healthz", "/readyz"].map((path) => ({ path, port: "api" })))
    assert.includeMembers(health, ["/healthz", "/readyz"])
    const [sleep, seconds] = container.lifecycle?.preStop.exec.command ?? []
    assert.strictEqual(sleep, "sleep")
    assert.isAtLeast(spec.terminationGracePeriodSeconds ?? 0, Number(seconds) + drains + spare)
  })

  it("lead services, budget and policy to pods that are there, by ports that they have", () => {
    for (const { spec } of [backend, nats]) {
      assert.deepStrictEqual(spec.selector.matchLabels, spec.template.metadata.labels)
    }
    const pods = [backend, nats].map(({ spec }) => spec.template)
    for (const { metadata, spec } of Object.values(files.services)) {
      const pod = pods.find(({ metadata: { labels } }) => labels["app"] === spec.selector["app"])
      const names = pod?.spec.containers.flatMap(({ ports }) => ports?.map(({ name }) => name) ?? []) ?? []
      for (const { targetPort } of spec.ports) assert.include(names, targetPort, metadata.name)
    }
    assert.deepStrictEqual(files.budgets.map(({ spec }) => spec.selector.matchLabels), [
      backend.spec.selector.matchLabels
    ])
    assert.deepStrictEqual(
      files.policies.map(({ spec }) => [
        spec.podSelector.matchLabels,
        spec.ingress.flatMap(({ from }) => from.map(({ podSelector }) => podSelector.matchLabels))
      ]),
      [[nats.spec.selector.matchLabels, [backend.spec.selector.matchLabels]]]
    )
  })

  it("take secrets and configuration from where the first lines put them", () => {
    const text = files.read("kubernetes.yaml")
    const made = Array.from(text.matchAll(/--from-literal ([\w-]+)=/g), ([, key]) => key)
    const used: ReadonlyArray<string | undefined> = [backend, nats].flatMap(({ spec: { template: { spec } } }) =>
      [...spec.initContainers ?? [], ...spec.containers].flatMap(({ env }) =>
        env.flatMap(({ valueFrom }) => valueFrom === undefined ? [] : [valueFrom.secretKeyRef.key])
      )
    )
    assert.deepStrictEqual(new Set(used), new Set(made))
    const { configMap, name } = nats.spec.template.spec.volumes[0] ?? assert.fail()
    assert.include(text, `create configmap ${configMap?.name} --from-file nats.conf`)
    const mounted = nats.spec.template.spec.containers[0].volumeMounts?.find((mount) => mount.name === name)
    assert.strictEqual(`${mounted?.mountPath}/nats.conf`, nats.spec.template.spec.containers[0].command?.at(-1))
  })
})

describe("docs/many-nodes.md", () => {
  const page = source("docs/many-nodes.md")

  it.effect("names metrics and causes that there are", () =>
    Effect.map(metrics, (all) => {
      const names = new Set(all.map(({ name }) => name))
      for (const [name] of page.matchAll(/chat_workspace_\w+/g)) assert.isTrue(names.has(name), name)
      const causes = Array.from(
        page.matchAll(/cause="(\w+)"|`cause` is ([^|]*)/g),
        ([, one, several = ""]) => one ?? Array.from(several.matchAll(/`(\w+)`/g), ([, cause]) => cause)
      ).flat()
      assert.isAbove(causes.length, 5)
      for (const cause of causes) assert.include(source("src/cluster/Tunnel.ts"), `| "${cause}"`)
    }))

  it("names keys that are read, and files that are there", () => {
    for (const [, key = ""] of page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)) {
      assert.isTrue(servesKeys.has(key) || files.variables(files.read("compose.yaml")).includes(key), key)
    }
    for (const [, path = ""] of page.matchAll(/\]\(([^)#:]+)\)/g)) {
      // That one is written from a run of the benchmarks.
      if (path !== "performance.md") assert.isTrue(existsSync(Path.join(root, "docs", path)), path)
    }
  })
})

it("the image has the versions that are tested", () => {
  const { devDependencies }: { readonly devDependencies: Readonly<Record<string, string>> } = JSON.parse(
    source("package.json")
  )
  const installed = Array.from(
    files.read("Dockerfile").matchAll(/ (@?[a-z-]+(?:\/[a-z-]+)?)@(\d[\d.]*)/g),
    ([, name = "", version]) => [name, version]
  )
  assert.deepStrictEqual(
    installed,
    ["effect", "@effect/platform-node", "@effect/sql-pg", "@nats-io/transport-node"].map((name) => [
      name,
      devDependencies[name]
    ])
  )
})
