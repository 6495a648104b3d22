/**
 * A chat with all the tools that a model gets, over builds of our own: its workspaces are folders of this machine.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import type { AgentTransport } from "../../agent/AgentTransport.ts"
import type { ChatWorkspaces } from "../../dial/ChatWorkspaces.ts"
import type { StoreError } from "../../domain/Errors.ts"
import { ChatId, OwnerId, TemplateId } from "../../domain/Ids.ts"
import { Template } from "../../domain/Template.ts"
import * as BuildRunner from "../../provisioner/BuildRunner.ts"
import * as ProcessProvider from "../../provisioner/process/ProcessProvider.ts"
import * as Provider from "../../provisioner/Provider.ts"
import * as Readiness from "../../provisioner/Readiness.ts"
import * as Workspaces from "../../provisioner/Workspaces.ts"
import type { Builds } from "../../store/Builds.ts"
import type { ChatBindings } from "../../store/ChatBindings.ts"
import * as Signals from "../../store/Signals.ts"
import * as Templates from "../../store/Templates.ts"
import type { WorkspaceAgents } from "../../store/WorkspaceAgents.ts"
import * as ChatTools from "../../tool/ChatTools.ts"
import { Backend, layerSettings } from "./Backend.ts"
import { Journal } from "./Journal.ts"

const Answer = Schema.Struct({
  output: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  created: Schema.optionalKey(Schema.Boolean),
  stopped: Schema.optionalKey(Schema.Boolean),
  started: Schema.optionalKey(Schema.Boolean),
  agent_status: Schema.optionalKey(Schema.String)
})

/**
 * What the demo looks at in the answer of a tool.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = typeof Answer.Type

/**
 * Calls a tool with arguments as a model would write them.
 *
 * @since 0.1.0
 * @category models
 */
export type Call = (tool: string, args: unknown) => Effect.Effect<Answer>

/**
 * @since 0.1.0
 * @category services
 */
export class Model extends Context.Service<Model, {
  /** A new chat, and its tools for one turn. Each call is written down. Its workspace stops with the scope. */
  readonly chat: Effect.Effect<Call, StoreError, Scope.Scope>
}>()("chat-workspace/cli/demo/Model") {}

const owner = OwnerId.make("demo")

/**
 * The id of the one template.
 *
 * @since 0.1.0
 * @category constants
 */
export const template = TemplateId.make("local")

const make = Effect.gen(function*() {
  const chats = yield* ChatTools.ChatTools
  const journal = yield* Journal

  const open = Effect.fnUntraced(function*(): Effect.fn.Return<Call, StoreError> {
    const { plain } = yield* chats.open({ chatId: ChatId.make(`chat-${randomUUID()}`), owner })
    const tools = new Map(plain.map((tool) => [tool.name, tool]))
    return Effect.fnUntraced(function*(name, args) {
      const tool = tools.get(name)
      if (tool === undefined) return yield* Effect.die(new Error(`This chat has no tool ${name}`))
      yield* journal.write("news", `the model calls ${name} ${JSON.stringify(args)}`)
      const answer = yield* Effect.promise((signal) => tool.execute(args, { signal }))
      yield* journal.write("news", `  and reads ${JSON.stringify(answer)}`)
      return yield* Effect.orDie(decode(answer))
    })
  })

  return Model.of({
    // Agents outlive their backend, and would outlive the demo.
    chat: Effect.acquireRelease(open(), (call) => call("stop_workspace", {}))
  })
})

const decode = Schema.decodeUnknownEffect(Answer)

const layerTemplates = Templates.layerMemory([
  new Template({
    templateId: template,
    name: "local",
    description: "A folder of this machine.",
    readme: null,
    parameters: [],
    agents: [{ name: "main", displayOrder: 0 }],
    provider: { type: "process", settings: {}, directory: null },
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120)
  })
])

const layerProviders: Layer.Layer<Provider.Providers> = Layer.effect(
  Provider.Providers,
  Effect.gen(function*() {
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(Path.join(tmpdir(), "chat-workspace-demo-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
    return Provider.make([yield* ProcessProvider.make({ root })])
  })
)

const layerRunner = Layer.unwrap(
  Effect.map(Backend, ({ agentUrl }) => BuildRunner.layer({ gatewayUrl: agentUrl }))
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  Model,
  never,
  Backend | Journal | ChatWorkspaces | AgentTransport | Builds | ChatBindings | WorkspaceAgents
> = Layer.effect(Model, make).pipe(
  Layer.provide(ChatTools.layer),
  Layer.provide([Workspaces.layer, Readiness.layer, layerRunner]),
  Layer.provide([Signals.layer, layerTemplates, layerProviders, layerSettings])
)
