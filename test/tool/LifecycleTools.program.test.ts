import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { AgentGateway, GatewayConfig } from "../../src/agent/index.ts"
import { ChatWorkspaces } from "../../src/dial/index.ts"
import { ChatId, OwnerId, WorkspaceId } from "../../src/domain/Ids.ts"
import { BuildRunner, Provider, ProvisionerConfig, Readiness, Workspaces } from "../../src/provisioner/index.ts"
import { ProcessProvider } from "../../src/provisioner/process/index.ts"
import * as WorkspaceFolder from "../../src/provisioner/process/WorkspaceFolder.ts"
import { ChatBindings, Migrations, Signals, SqlStore, Templates } from "../../src/store/index.ts"
import { ChatTools } from "../../src/tool/index.ts"
import * as h from "../agent/support/harness.ts"
import { emptyDatabase } from "../postgres.ts"
import * as s from "../provisioner/support/providing.ts"
import * as t from "./support/calls.ts"

const owner = OwnerId.make("owner")
const chat = ChatId.make("chat")

const template = s.template({ type: "process", settings: {}, directory: null }, {
  startupScript: "echo prepared > prepared.txt; echo all is well"
})

/** All of a backend: the gateway on a port, a runner, and the process provider with its folders in `root`. */
const backend = (root: string) =>
  Layer.mergeAll(
    HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true }),
    ChatTools.layer,
    Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) => {
      const port = "port" in address ? address.port : 0
      return BuildRunner.layer({ gatewayUrl: `ws://127.0.0.1:${port}/agent` })
    }))
  ).pipe(
    Layer.provide([Workspaces.layer, Readiness.layer, ChatWorkspaces.layer]),
    Layer.provide([
      Signals.layer,
      Templates.layerMemory([template]),
      Layer.effect(Provider.Providers, Effect.map(ProcessProvider.make({ root }), (made) => Provider.make([made]))),
      AgentGateway.layerTransport(),
      NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "100 millis" })
    ]),
    Layer.provideMerge(SqlStore.layer()),
    Layer.provide([
      GatewayConfig.layer(h.quick),
      ProvisionerConfig.layer({ poll: "100 millis", agentPoll: "100 millis", scriptsPoll: "100 millis" })
    ]),
    Layer.provide(Migrations.layerMigrations()),
    Layer.provideMerge(Logger.layer([]))
  )

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("real agents, on a database", (it) => {
  it.effect(
    "a chat makes a workspace, loses its agent, stops and starts, and goes on with the same files",
    () =>
      Effect.gen(function*() {
        const root = yield* s.folder
        const context = yield* Layer.build(backend(root))
        const bindings = Context.get(context, ChatBindings.ChatBindings)
        const { toolkit } = yield* Context.get(context, ChatTools.ChatTools).open({ chatId: chat, owner })
        const call = (name: string, args: object = {}) =>
          Effect.map(t.call(toolkit, name, args), ({ result }) => result)
        const agentPid = (workspaceId: string) =>
          WorkspaceFolder.load(WorkspaceFolder.make(root, WorkspaceId.make(workspaceId))).pipe(
            Option.flatMap(({ agents }) => Option.fromUndefinedOr(agents[0]?.pid)),
            Option.getOrThrow
          )
        yield* Effect.addFinalizer(() => Effect.ignoreCause(call("stop_workspace")))

        const created = yield* call("create_workspace", { template_id: template.templateId, name: "mine" })
        assert.deepStrictEqual(Object.keys(created), ["created", "workspace_name", "workspace_id", "build_id"])
        assert.include(created, { created: true, workspace_name: "mine" })
        assert.include(yield* call("execute", { command: "cat prepared.txt" }), { output: "prepared\n" })
        assert.include(yield* call("process_output", { process_id: "startup" }), { output: "all is well\n" })
        yield* call("write_file", { path: "notes.txt", content: "kept" })
        const first = yield* bindings.get(chat)

        process.kill(agentPid(created.workspace_id), "SIGKILL")
        assert.include(yield* call("stop_workspace"), { stopped: true })
        assert.include(yield* call("execute", { command: "true" }), { error: "no_workspace_agent" })
        assert.include(yield* call("create_workspace", { template_id: template.templateId }), { status: "stopped" })

        const started = yield* call("start_workspace")
        assert.deepStrictEqual(Object.keys(started), ["started", "workspace_name", "workspace_id", "build_id"])
        assert.include(yield* call("execute", { command: "cat notes.txt" }), { output: "kept" })
        const second = yield* bindings.get(chat)
        assert.strictEqual(second.workspaceId, first.workspaceId)
        assert.notStrictEqual(second.agentId, first.agentId)
        assert.include(yield* call("start_workspace"), { started: true, no_build: true })
      }).pipe(Effect.scoped),
    60_000
  )
})
