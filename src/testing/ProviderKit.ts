/**
 * What every provider has to keep, as cases to run against one's own.
 *
 * The kit knows no test framework: a case is a name and an Effect that fails with `KitFailure`. It looks at a provider from
 * where a chat does: agents come to a gateway, files are written and read through them. Cases that need a template which
 * the harness does not have are left out.
 *
 * **Example** (With any runner of tests)
 *
 * ```ts
 * import { ProviderKit } from "chat-workspace/testing"
 * import { Effect } from "effect"
 *
 * declare const harness: ProviderKit.Harness
 *
 * for (const { name, run } of ProviderKit.casesFor(harness)) {
 *   test(name, () => Effect.runPromise(Effect.scoped(run)))
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import * as AgentGateway from "../agent/AgentGateway.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { DialFailed } from "../domain/Errors.ts"
import { type AgentId, BuildId, OperationId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import type { Template } from "../domain/Template.ts"
import { Workspace, WorkspaceName } from "../domain/Workspace.ts"
import * as Enrollment from "../provisioner/Enrollment.ts"
import type { ProvidedAgent, Provider, ProviderFailed, ProviderRequest } from "../provisioner/Provider.ts"
import * as AgentEnrollments from "../store/AgentEnrollments.ts"
import * as AgentPresence from "../store/AgentPresence.ts"
import * as MemoryStore from "../store/MemoryStore.ts"
import { type Case, KitFailure, type Skipped } from "./Kit.ts"

/**
 * Where the agents that a provider starts come to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gateway {
  readonly url: string
  /** A new agent with this name, whose token stays good whatever other agents there are. */
  readonly enroll: (name: string) => Effect.Effect<ProvidedAgent, unknown>
  /** Waits for an agent that is not there. */
  readonly dial: (agentId: AgentId) => Effect.Effect<AgentConnection, DialFailed, Scope.Scope>
}

/**
 * A provider, templates for it, and where its agents come to. What a case needs is acquired into its scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness {
  readonly provider: Provider
  readonly gateway: Gateway
  /** A template that the provider can start, with values for its parameters. */
  readonly template: Template
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** One whose start fails. */
  readonly failing?: Template | undefined
  /** One whose start logs a line and then goes on for ever, with its agent running or about to. */
  readonly hanging?: Template | undefined
  /** One whose start prints a line of more than 1 MiB and 20,000 others, and comes to its end. */
  readonly noisy?: Template | undefined
  /** One with settings that make no sense. */
  readonly refused?: Template | undefined
  /** What a start, a stop, and an agent's way to the gateway may take (30 s). */
  readonly patience?: Duration.Input | undefined
}

/**
 * The templates that a case may need, and a provider that may be asked again for the same.
 *
 * @since 0.1.0
 * @category models
 */
export type Need = "failing" | "hanging" | "noisy" | "refused" | "repeatable"

/**
 * The cases whose templates the harness has. Each makes a workspace of its own, and deletes it in the end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = (harness: Harness): ReadonlyArray<Case> =>
  definitions.filter((definition) => missing(harness, definition).length === 0)
    .map(({ name, run }) => ({
      name,
      run: Effect.suspend(() => {
        const kit = makeKit(harness)
        return Effect.ensuring(
          Effect.timeout(run(kit), Duration.times(kit.patience, steps)),
          Effect.ignore(Effect.timeout(Effect.interruptible(kit.delete), kit.patience))
        )
      })
    }))

/**
 * The others, and what they lack.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = (harness: Harness): ReadonlyArray<Skipped> =>
  definitions.map((definition) => ({ name: definition.name, missing: missing(harness, definition) }))
    .filter(({ missing }) => missing.length > 0)

const missing = (harness: Harness, { needs }: Definition): ReadonlyArray<Need> =>
  needs.filter((need) =>
    need === "repeatable" ? !harness.provider.isRepeatable(harness.template) : harness[need] === undefined
  )

/**
 * A gateway on a free port of this host, over stores in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gateway: Effect.Effect<Gateway, ServeError, Scope.Scope> = Effect.gen(function*() {
  const context = yield* Layer.build(layerGateway)
  const { address } = Context.get(context, HttpServer.HttpServer)
  const { enroll } = Context.get(context, Enrollment.Enrollment)
  const { dial } = Context.get(context, AgentTransport)
  return {
    url: `ws://127.0.0.1:${"port" in address ? address.port : 0}/agent`,
    enroll: (name) =>
      Effect.gen(function*() {
        // A workspace for each agent: in one of theirs a new agent would revoke the one before.
        const workspaceId = WorkspaceId.make(yield* unique)
        const { agentId, token } = yield* enroll({ workspaceId, owner, name })
        return { agentId, name, token }
      }),
    dial
  }
})

const layerGateway = HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })),
  Layer.provideMerge(AgentGateway.layerTransport()),
  Layer.provideMerge(Enrollment.layer),
  Layer.provide(Layer.mergeAll(AgentPresence.layerMemory, AgentEnrollments.layerMemory)),
  Layer.provide(MemoryStore.layer)
)

/** Programs are started, on a machine that may be busy. */
const defaultPatience = Duration.seconds(30)

/** How long one is looked for that must not come. */
const settle = Duration.seconds(2)

/** No case waits for more steps than this. */
const steps = 10

const owner = OwnerId.make("provider-kit")

const unique: Effect.Effect<string> = Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4()).pipe(
  Effect.provide(SecureRandom.layerWebCrypto)
)

const expect = (expectation: string, actual: unknown, expected: unknown): Effect.Effect<void, KitFailure> =>
  actual === expected ? Effect.void : Effect.fail(new KitFailure({ expectation, actual }))

/** One workspace of the provider, with the verbs of the cases. */
interface Kit extends Harness {
  readonly patience: Duration.Duration
  readonly request: (template?: Template) => Effect.Effect<ProviderRequest, unknown>
  /** Starts the workspace with a new agent, which has come. */
  readonly started: Effect.Effect<AgentId, unknown>
  readonly stop: Effect.Effect<void, unknown>
  readonly delete: Effect.Effect<void, unknown>
  readonly comes: (agentId: AgentId) => Effect.Effect<void, unknown>
  readonly goes: (agentId: AgentId) => Effect.Effect<void, unknown>
  readonly staysAway: (agentId: AgentId) => Effect.Effect<void, unknown>
  readonly write: (agentId: AgentId, path: string, text: string) => Effect.Effect<void, unknown>
  /** The text of a file, null when there is none. */
  readonly read: (agentId: AgentId, path: string) => Effect.Effect<string | null, unknown>
  readonly lines: ReadonlyArray<string>
}

const makeKit = (harness: Harness): Kit => {
  const { gateway, provider } = harness
  const patience = Duration.fromInputUnsafe(harness.patience ?? defaultPatience)
  const lines: Array<string> = []
  let workspace: Workspace | undefined

  const request = Effect.fnUntraced(function*(template: Template = harness.template, isStart = true) {
    workspace ??= new Workspace({
      workspaceId: WorkspaceId.make(yield* unique),
      owner,
      name: WorkspaceName.make("kit"),
      templateId: template.templateId,
      createdAt: yield* DateTime.now
    })
    const agents = yield* Effect.forEach(isStart ? template.agents : [], ({ name }) => gateway.enroll(name))
    return {
      buildId: BuildId.make(yield* unique),
      workspace,
      template,
      parameters: harness.parameters ?? {},
      agents,
      gatewayUrl: gateway.url,
      log: (line: string) => Effect.sync(() => void lines.push(line))
    }
  })
  const ended = (end: (request: ProviderRequest) => Effect.Effect<void, ProviderFailed>) =>
    Effect.flatMap(request(harness.template, false), end)
  const connected = <A, E>(agentId: AgentId, use: (connection: AgentConnection) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(Effect.timeout(gateway.dial(agentId), patience), use))
  const answers = (agentId: AgentId, within: Duration.Input) =>
    Effect.isSuccess(Effect.timeout(Effect.scoped(gateway.dial(agentId)), within))
  const comes = (agentId: AgentId) => connected(agentId, () => Effect.void)

  return {
    ...harness,
    patience,
    request,
    started: Effect.gen(function*() {
      const asked = yield* request()
      yield* provider.start(asked)
      yield* Effect.forEach(asked.agents, ({ agentId }) => comes(agentId))
      return asked.agents[0]?.agentId ?? (yield* Effect.die(new Error("The template of the harness has no agent.")))
    }),
    stop: ended(provider.stop),
    delete: ended(provider.delete),
    comes,
    goes: (agentId) =>
      answers(agentId, "500 millis").pipe(Effect.repeat({ until: (there) => !there }), Effect.timeout(patience)),
    staysAway: (agentId) =>
      Effect.flatMap(answers(agentId, settle), (there) => expect("the agent does not come", there, false)),
    write: (agentId, path, text) =>
      connected(
        agentId,
        ({ files }) =>
          Effect.flatMap(unique, (id) =>
            files.write({ id: OperationId.make(id), path, bytes: new TextEncoder().encode(text) }))
      ),
    read: (agentId, path) =>
      connected(agentId, ({ files }) =>
        files.read(path).pipe(
          Effect.map(({ bytes }) => new TextDecoder().decode(bytes)),
          Effect.catchTag("FileError", () => Effect.succeed(null))
        )),
    lines
  }
}

interface Definition {
  readonly name: string
  readonly needs: ReadonlyArray<Need>
  readonly run: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>
}

const definition = (name: string, needs: Definition["needs"], run: Definition["run"]): Definition => ({
  name,
  needs,
  run
})

const needed = (template: Template | undefined): Effect.Effect<Template> =>
  template === undefined
    ? Effect.die(new Error("The harness lacks the template that it declares."))
    : Effect.succeed(template)

const definitions: ReadonlyArray<Definition> = [
  definition(
    "a start brings up the agent under its token, in a workspace with files",
    [],
    Effect.fnUntraced(function*({ provider, read, started, template, write }) {
      yield* provider.check(template)
      const agentId = yield* started
      yield* write(agentId, "kit.txt", "written")
      yield* expect("a file can be written and read", yield* read(agentId, "kit.txt"), "written")
    })
  ),
  definition(
    "a stop ends the agent, and stopping again is no failure",
    [],
    Effect.fnUntraced(function*({ goes, started, stop }) {
      const agentId = yield* started
      yield* stop
      yield* goes(agentId)
      yield* stop
    })
  ),
  definition(
    "what never ran is stopped and deleted without a failure",
    [],
    Effect.fnUntraced(function*(kit) {
      yield* kit.stop
      yield* kit.delete
      yield* kit.delete
    })
  ),
  definition(
    "files are kept over a stop and a start, and the new agent comes under its own token",
    [],
    Effect.fnUntraced(function*({ goes, read, started, stop, write }) {
      const first = yield* started
      yield* write(first, "kept.txt", "kept")
      yield* stop
      yield* goes(first)
      const second = yield* started
      yield* expect("the file is as it was left", yield* read(second, "kept.txt"), "kept")
    })
  ),
  definition(
    "a start over one that runs brings the new agent, ends the old one and keeps the files",
    [],
    Effect.fnUntraced(function*({ comes, goes, read, started, write }) {
      const first = yield* started
      yield* write(first, "kept.txt", "kept")
      const second = yield* started
      yield* goes(first)
      yield* comes(second)
      yield* expect("the file is as it was left", yield* read(second, "kept.txt"), "kept")
    })
  ),
  definition(
    "a delete ends the agent and removes the files",
    [],
    Effect.fnUntraced(function*(kit) {
      const first = yield* kit.started
      yield* kit.write(first, "gone.txt", "gone")
      yield* kit.delete
      yield* kit.goes(first)
      const second = yield* kit.started
      yield* expect("the file is not there any more", yield* kit.read(second, "gone.txt"), null)
    })
  ),
  definition(
    "a start that is interrupted early leaves no agent, and can be begun anew",
    [],
    Effect.fnUntraced(function*({ goes, patience, provider, request, started, staysAway }) {
      for (const delay of ["0 millis", "100 millis"] as const) {
        const asked = yield* request()
        const start = yield* Effect.forkChild(provider.start(asked))
        yield* Effect.sleep(delay)
        yield* Effect.timeout(Fiber.interrupt(start), patience)
        // One that was quicker has succeeded, and its agent may be there.
        if (start.pollUnsafe()?._tag === "Success") continue
        for (const { agentId } of asked.agents) {
          yield* goes(agentId)
          yield* staysAway(agentId)
        }
      }
      yield* started
    })
  ),
  definition(
    "a start whose answer was lost is repeated under its build, and a stop ends all that both began",
    ["repeatable"],
    Effect.fnUntraced(function*({ comes, goes, provider, read, request, staysAway, stop, write }) {
      const asked = yield* request()
      yield* provider.start(asked)
      for (const { agentId } of asked.agents) yield* comes(agentId)
      const [{ agentId } = yield* Effect.die(new Error("The template of the harness has no agent."))] = asked.agents
      yield* write(agentId, "kept.txt", "kept")
      yield* provider.start(asked)
      yield* comes(agentId)
      yield* expect("the file is as it was left", yield* read(agentId, "kept.txt"), "kept")
      yield* stop
      // Of two that came under one token, one would be left.
      yield* goes(agentId)
      yield* staysAway(agentId)
    })
  ),
  definition(
    "a stop that was interrupted is repeated, and ends the agent",
    [],
    Effect.fnUntraced(function*({ goes, patience, started, staysAway, stop }) {
      for (const delay of ["0 millis", "50 millis"] as const) {
        const agentId = yield* started
        const first = yield* Effect.forkChild(stop)
        yield* Effect.sleep(delay)
        yield* Effect.timeout(Fiber.interrupt(first), patience)
        yield* stop
        yield* goes(agentId)
        yield* staysAway(agentId)
      }
    })
  ),
  definition(
    "a start that prints without measure comes to its end, and its lines are bounded",
    ["noisy"],
    Effect.fnUntraced(function*({ comes, lines, noisy, provider, request }) {
      const asked = yield* request(yield* needed(noisy))
      yield* provider.start(asked)
      for (const { agentId } of asked.agents) yield* comes(agentId)
      const longest = Math.max(0, ...lines.map((line) => line.length))
      yield* expect("no line is longer than 64 KiB", longest > 64 * 1024, false)
      yield* expect("something of it is logged", lines.length > 0, true)
      yield* expect("not more than 16 MiB", lines.reduce((sum, line) => sum + line.length, 0) > 16 * 2 ** 20, false)
    })
  ),
  definition(
    "a start that hangs is ended with everything it began when it is interrupted",
    ["hanging"],
    Effect.fnUntraced(function*({ goes, hanging, lines, patience, provider, request, staysAway }) {
      const asked = yield* request(yield* needed(hanging))
      const start = yield* Effect.forkChild(provider.start(asked))
      yield* Effect.sleep("20 millis").pipe(
        Effect.repeat({ until: () => lines.length > 0 || start.pollUnsafe() !== undefined }),
        Effect.timeout(patience)
      )
      yield* expect("it has not ended by itself", start.pollUnsafe()?._tag, undefined)
      yield* Effect.timeout(Fiber.interrupt(start), patience)
      for (const { agentId } of asked.agents) {
        yield* goes(agentId)
        yield* staysAway(agentId)
      }
    })
  ),
  definition(
    "a start that fails says why, without a secret, and leaves no agent",
    ["failing"],
    Effect.fnUntraced(function*({ failing, goes, provider, request, staysAway }) {
      const asked = yield* request(yield* needed(failing))
      const { _tag, detail } = yield* Effect.flip(provider.start(asked))
      yield* expect("the failure is ProviderFailed", _tag, "ProviderFailed")
      yield* expect("it says why", detail.trim() === "", false)
      yield* expect("in at most 64 KiB", detail.length > 64 * 1024, false)
      for (const { agentId, token } of asked.agents) {
        yield* expect("it holds no token", detail.includes(Redacted.value(token)), false)
        // One that came before it was ended is heard of for a moment.
        yield* goes(agentId)
        yield* staysAway(agentId)
      }
    })
  ),
  definition(
    "no line of the log holds a token",
    [],
    Effect.fnUntraced(function*({ lines, provider, request }) {
      const asked = yield* request()
      yield* provider.start(asked)
      for (const { token } of asked.agents) {
        const shown = lines.filter((line) => line.includes(Redacted.value(token))).length
        yield* expect("lines with the token are none", shown, 0)
      }
    })
  ),
  definition(
    "settings that make no sense are refused before they are used, with the field",
    ["refused"],
    Effect.fnUntraced(function*({ provider, refused }) {
      const error = yield* Effect.flip(provider.check(yield* needed(refused)))
      yield* expect("the failure is SettingsRefused", error._tag, "SettingsRefused")
      yield* expect("it names the field", error.field.trim() === "", false)
    })
  )
]
