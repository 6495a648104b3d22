import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Fiber, Layer, Logger, Redacted } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import { AgentTransport } from "../../src/agent/index.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import { Provider, ProvisionerConfig, TemplateDirectory } from "../../src/provisioner/index.ts"
import { CommandProvider, ProcessProvider } from "../../src/provisioner/process/index.ts"
import { ProviderKit, ScriptedProvider, ScriptedTransport } from "../../src/testing/index.ts"
import * as s from "./support/providing.ts"

/** The harness is made once for the names of its cases, and for each case anew. */
const suite = (
  name: string,
  make: Effect.Effect<ProviderKit.Harness, unknown, Scope.Scope>,
  expected: number
): void => {
  // Most of a case is waiting for what must not come.
  describe.concurrent(name, async () => {
    const first = await Effect.runPromise(Effect.scoped(make))
    const cases = ProviderKit.casesFor(first)
    it("runs every case that the harness has templates for, and names the others", () => {
      assert.strictEqual(cases.length, expected)
      assert.strictEqual(ProviderKit.skippedFor(first).length, 14 - expected)
    })
    for (const [index, { name }] of cases.entries()) {
      it.live(name, () =>
        Effect.gen(function*() {
          const harness = yield* make
          yield* ProviderKit.casesFor(harness)[index]?.run ?? Effect.die("no such case")
        }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))), 310_000)
    }
  })
}

const config = ProvisionerConfig.layer({ kill: "2 seconds" })

const process = Effect.gen(function*() {
  const root = yield* s.folder
  const settings = (settings: Provider.ProviderRequest["template"]["provider"]["settings"]) =>
    s.template({ type: "process", directory: null, settings })
  return {
    provider: yield* Effect.provide(ProcessProvider.make({ root }), config),
    gateway: yield* ProviderKit.gateway,
    template: settings({}),
    // Node refuses this before it runs the program.
    failing: settings({ environment: { NODE_OPTIONS: "--no-such-option" } }),
    refused: settings({ environmnet: {} })
  }
})

/** The template of shell scripts that is shipped, and what can go wrong with it. */
const command = Effect.gen(function*() {
  const place = yield* s.folder
  const provider = yield* CommandProvider.make({ outputDrain: "200 millis" }).pipe(
    Effect.provide([
      config,
      ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ...globalThis.process.env, WORKSPACES_DIR: place }))
    ])
  )
  const templates = yield* TemplateDirectory.load("templates").pipe(
    Effect.provide(NodeServices.layer),
    Effect.provideService(Provider.Providers, Provider.make([provider, yield* ProcessProvider.make({ root: place })]))
  )
  const template = templates.find(({ templateId }) => templateId === "shell") ?? assert.fail("no template")
  const settings = (settings: Partial<CommandProvider.Settings>) =>
    new Template({
      ...template,
      provider: { ...template.provider, settings: { ...template.provider.settings, ...settings } }
    })
  return {
    provider,
    gateway: yield* ProviderKit.gateway,
    template: settings({ start: "sh start.sh && cat \"$CW_AGENT_TOKEN_FILE\"" }),
    failing: settings({ start: "sh start.sh; cat \"$CW_AGENT_TOKEN_FILE\"; exit 3" }),
    hanging: settings({ start: "sh start.sh; sleep 600" }),
    noisy: settings({
      start: "head -c 2000000 /dev/zero | tr '\\0' x; echo; seq 1 20000; sh start.sh"
    }),
    refused: settings({ stop: " " })
  }
})

const scripted = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.merge(ScriptedProvider.layer, ScriptedTransport.layer))
  const provider = Context.get(context, Provider.Providers).get(ScriptedProvider.type) ?? assert.fail("no provider")
  const builds = Context.get(context, ScriptedProvider.ScriptedProvider)
  const agents = Context.get(context, ScriptedTransport.ScriptedTransport)
  const files = new Map<string, ReadonlyMap<string, string>>()
  const running = new Map<string, AgentId>()

  const end = (request: Provider.ProviderRequest) =>
    Effect.suspend(() => {
      const agentId = running.get(request.workspace.workspaceId)
      if (agentId === undefined) return Effect.void
      files.set(request.workspace.workspaceId, new Map(agents.files(agentId)))
      running.delete(request.workspace.workspaceId)
      return Effect.andThen(agents.stall(agentId), agents.drop(agentId))
    })
  yield* builds.onStart((request) =>
    Effect.andThen(
      end(request),
      Effect.forEach(request.agents, ({ agentId }) => {
        for (const [path, text] of files.get(request.workspace.workspaceId) ?? []) agents.files(agentId).set(path, text)
        running.set(request.workspace.workspaceId, agentId)
        return agents.accept(agentId)
      }, { discard: true })
    )
  )
  yield* builds.onEnd((request) =>
    Effect.andThen(
      end(request),
      Effect.sync(() => {
        const last = builds.requests().at(-1)
        if (last?.transition === "delete") files.delete(request.workspace.workspaceId)
      })
    )
  )
  return {
    provider,
    gateway: {
      url: "ws://127.0.0.1:1/agent",
      enroll: (name: string) => Effect.sync(() => s.agent(name)),
      dial: Context.get(context, AgentTransport.AgentTransport).dial
    },
    template: s.template({ type: ScriptedProvider.type, directory: null, settings: {} })
  }
})

suite("the process provider", process, 12)
suite("the command provider with the template of shell scripts", command, 14)
suite("the scripted provider", scripted, 10)

/** Ways to break a promise, and the case that finds it. */
const broken: ReadonlyArray<readonly [string, (provider: Provider.Provider) => Partial<Provider.Provider>]> = [
  ["a start brings up the agent under its token, in a workspace with files", () => ({ start: () => Effect.void })],
  ["a stop ends the agent, and stopping again is no failure", () => ({ stop: () => Effect.void })],
  ["what never ran is stopped and deleted without a failure", () => ({ stop: () => failed("it does not run") })],
  ["files are kept over a stop and a start, and the new agent comes under its own token", (provider) => ({
    stop: provider.delete
  })],
  ["a start over one that runs brings the new agent, ends the old one and keeps the files", (provider) => ({
    start: (request) => provider.start({ ...request, workspace: s.workspace() })
  })],
  ["a delete ends the agent and removes the files", (provider) => ({ delete: provider.stop })],
  ["a start that is interrupted early leaves no agent, and can be begun anew", (provider) => ({
    start: (request) => Effect.uninterruptible(Effect.andThen(provider.start(request), Effect.interrupt))
  })],
  ["a start whose answer was lost is repeated under its build, and a stop ends all that both began", (provider) => {
    const begun = new Set<string>()
    return {
      isRepeatable: () => true,
      start: (request) =>
        begun.has(request.buildId)
          ? failed("the container is there already")
          : Effect.andThen(Effect.sync(() => begun.add(request.buildId)), provider.start(request))
    }
  }],
  ["a stop that was interrupted is repeated, and ends the agent", (provider) => {
    const stopping = new Set<string>()
    return {
      // The second finds that one is on its way, which it is not any more.
      stop: (request) =>
        stopping.has(request.workspace.workspaceId)
          ? Effect.void
          : Effect.sync(() => stopping.add(request.workspace.workspaceId)).pipe(
            Effect.andThen(Effect.sleep("1 second")),
            Effect.andThen(provider.stop(request))
          )
    }
  }],
  ["a start that prints without measure comes to its end, and its lines are bounded", (provider) => ({
    start: (request) => Effect.andThen(request.log("x".repeat(2 ** 20)), provider.start(request))
  })],
  ["a start that hangs is ended with everything it began when it is interrupted", (provider) => ({
    start: (request) =>
      provider.start(request).pipe(Effect.andThen(request.log("it runs")), Effect.andThen(Effect.never))
  })],
  ["a start that fails says why, without a secret, and leaves no agent", () => ({
    start: ({ agents }) => failed(`no ${agents.map(({ token }) => Redacted.value(token)).join()}`)
  })],
  ["a start that fails says why, without a secret, and leaves no agent", (provider) => ({
    start: (request) => Effect.andThen(provider.start(request), failed("it failed afterwards"))
  })],
  ["no line of the log holds a token", () => ({
    start: ({ agents, log }) =>
      Effect.forEach(agents, ({ token }) => log(`token ${Redacted.value(token)}`), { discard: true })
  })],
  ["settings that make no sense are refused before they are used, with the field", () => ({
    check: () => Effect.void
  })]
]

const failed = (detail: string) => new Provider.ProviderFailed({ detail })

describe("The kit, given a provider that breaks a promise", () => {
  for (const [promise, change] of broken) {
    it.effect(`finds out: ${promise}`, () =>
      Effect.gen(function*() {
        const harness = yield* scripted
        const { template } = harness
        const sabotaged: ProviderKit.Harness = {
          ...harness,
          failing: template,
          hanging: template,
          noisy: template,
          refused: template,
          provider: { ...harness.provider, ...change(harness.provider) }
        }
        const found = ProviderKit.casesFor(sabotaged).find(({ name }) => name === promise) ?? assert.fail("no case")
        const run = yield* Effect.forkChild(Effect.exit(Effect.scoped(found.run)))
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual((yield* Fiber.join(run))._tag, "Failure")
      }))
  }
})
