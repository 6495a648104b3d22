/**
 * A whole backend over the database of the block, with real agents: gateway on a socket, builds, tools, and what turns
 * have before their model runs. Workspaces are started and stopped from outside of any chat, as by a user in another
 * window.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { AgentGateway, AgentTransport, GatewayConfig } from "../../../../src/agent/index.ts"
import * as GatewayServer from "../../../../src/cli/GatewayServer.ts"
import * as Provisioning from "../../../../src/cli/Provisioning.ts"
import { ChatWorkspaces } from "../../../../src/dial/index.ts"
import type { Binding } from "../../../../src/domain/Binding.ts"
import type { Transition } from "../../../../src/domain/Build.ts"
import { ChatId, OwnerId } from "../../../../src/domain/Ids.ts"
import type { AgentId, WorkspaceId } from "../../../../src/domain/Ids.ts"
import { BuildRunner, ProvisionerConfig, Readiness, Workspaces } from "../../../../src/provisioner/index.ts"
import * as WorkspaceFolder from "../../../../src/provisioner/process/WorkspaceFolder.ts"
import {
  ChatBindings,
  Migrations,
  Signals,
  SqlStore,
  StoreConfig,
  WorkspaceAgents
} from "../../../../src/store/index.ts"
import { ChatTools } from "../../../../src/tool/index.ts"
import { TurnConfig, TurnSetup } from "../../../../src/turn/index.ts"
import { cuttable } from "../../../agent/support/proxy.ts"
import { eventually, fresh } from "../../../tool/program/support/Backends.ts"
import * as Place from "../../../tool/program/support/Place.ts"
import * as Observed from "./Observed.ts"

export const owner = OwnerId.make("ann")

/** The files of a workspace: instructions, and servers of the fixture by their names, each with its manners. */
export interface Content {
  readonly instructions?: string
  readonly servers?: Readonly<Record<string, string>>
}

/** The verbs. What they ask is not counted. */
export class World extends Context.Service<World, {
  /** A new workspace, whose agent is there. */
  readonly running: (
    content?: Content
  ) => Effect.Effect<{ readonly workspaceId: WorkspaceId; readonly agentId: AgentId }>
  readonly write: (workspaceId: WorkspaceId, content: Content) => Effect.Effect<void>
  /** How often a server of a workspace was called. */
  readonly called: (workspaceId: WorkspaceId, server: string) => number
  /** Stops a workspace, and waits until the gateway has seen its agent go. */
  readonly stop: (workspaceId: WorkspaceId) => Effect.Effect<void>
  /** Starts a workspace again, and waits for its new agent. */
  readonly start: (workspaceId: WorkspaceId) => Effect.Effect<AgentId>
  /** A new chat that is bound to a workspace, and has no agent yet. */
  readonly chat: (workspaceId: WorkspaceId) => Effect.Effect<ChatId>
  /** The dials that wait for an agent. */
  readonly waiting: (agentId: AgentId) => Effect.Effect<number>
  /** The row of a chat, as it is stored. */
  readonly row: (chatId: ChatId) => Effect.Effect<Binding>
  /** Cuts the links of all agents, and lets none come back until it is healed. */
  readonly cut: (agentId: AgentId) => Effect.Effect<void>
  readonly heal: Effect.Effect<void>
}>()("test/turn/program/World") {}

/** The proxy between agents and gateway. */
class Link extends Context.Service<Link, Effect.Success<ReturnType<typeof cuttable>>>()("test/turn/program/Link") {}

const layerLink = Layer.effect(
  Link,
  Effect.flatMap(HttpServer.HttpServer, ({ address }) => cuttable("port" in address ? address.port : 0))
)

const make = Effect.gen(function*() {
  const workspaces = yield* Workspaces.Workspaces
  const agents = yield* WorkspaceAgents.WorkspaceAgents
  const bindings = yield* ChatBindings.ChatBindings
  const { describe, presence } = yield* AgentTransport.AgentTransport
  const link = yield* Link
  const place = yield* Place.Place

  const latest = (workspaceId: WorkspaceId) => Effect.map(agents.latestBuild(workspaceId), Option.getOrThrow)

  const built = (workspaceId: WorkspaceId, transition: Transition) =>
    eventually(
      `the ${transition} has succeeded`,
      latest(workspaceId),
      ({ build }) => build.transition === transition && build.status === "succeeded"
    )

  const gone = (agentId: AgentId) =>
    eventually("the agent is gone", Effect.sync(() => presence(agentId)), (seen) => seen !== "live")

  /** The agent of the start, once it is there. */
  const attached = Effect.fnUntraced(function*(workspaceId: WorkspaceId) {
    const { agents } = yield* built(workspaceId, "start")
    const agentId = agents[0]?.agentId ?? assert.fail("a start without an agent")
    yield* eventually("the agent is there", Effect.sync(() => presence(agentId)), (seen) => seen === "live")
    return agentId
  })

  const ask = (workspaceId: WorkspaceId, transition: Transition) =>
    workspaces.request({ owner, workspaceId, transition, chat: null })

  const folder = (workspaceId: WorkspaceId): string => WorkspaceFolder.make(place.workspaces, workspaceId).files
  const notes = (workspaceId: WorkspaceId, server: string): string => Path.join(folder(workspaceId), `${server}.notes`)

  const write = (workspaceId: WorkspaceId, { instructions, servers = {} }: Content) =>
    Effect.sync(() => {
      const files = folder(workspaceId)
      const entries = Object.entries(servers).map(([name, manners]) => [
        name,
        { command: process.execPath, args: [server, manners, notes(workspaceId, name)] }
      ])
      Fs.writeFileSync(Path.join(files, ".mcp.json"), JSON.stringify({ mcpServers: Object.fromEntries(entries) }))
      if (instructions !== undefined) Fs.writeFileSync(Path.join(files, "AGENTS.md"), instructions)
    })

  return World.of({
    running: Effect.fnUntraced(function*(content: Content = {}) {
      const created = yield* workspaces.create({ owner, chat: null, templateId: "local" })
      if (created._tag !== "Created") return assert.fail("no workspace was made")
      const { workspaceId } = created.workspace
      const agentId = yield* attached(workspaceId)
      yield* write(workspaceId, content)
      return { workspaceId, agentId }
    }, Effect.orDie),
    write,
    called: (workspaceId, server) =>
      Fs.readFileSync(notes(workspaceId, server), "utf8").split("\n").filter((line) => line === "tools/call").length,
    stop: Effect.fnUntraced(function*(workspaceId) {
      const { agents } = yield* latest(workspaceId)
      yield* ask(workspaceId, "stop")
      yield* built(workspaceId, "stop")
      yield* Effect.forEach(agents, ({ agentId }) => gone(agentId))
    }, Effect.orDie),
    start: (workspaceId) => Effect.orDie(Effect.andThen(ask(workspaceId, "start"), attached(workspaceId))),
    chat: (workspaceId) =>
      Effect.suspend(() => {
        const chatId = ChatId.make(fresh("chat"))
        return Effect.orDie(Effect.as(bindings.bindWorkspace({ chatId, owner, workspaceId }), chatId))
      }),
    waiting: (agentId) =>
      Effect.sync(() => describe?.(agentId).waiters.length ?? assert.fail("the gateway keeps them")),
    row: (chatId) => Effect.orDie(bindings.get(chatId)),
    cut: (agentId) => link.block(true).pipe(Effect.andThen(link.cut(true)), Effect.andThen(gone(agentId))),
    heal: link.block(false)
  })
})

const server = fileURLToPath(new URL("../../../agent/fixtures/mcp/server.mjs", import.meta.url))

const layerRunner = Layer.unwrap(
  Effect.map(Link, ({ port }) => BuildRunner.layer({ gatewayUrl: `ws://127.0.0.1:${port}/agent` }))
)

const layerTemplates = Layer.unwrap(
  Effect.map(Place.Place, ({ templates, workspaces }) => Provisioning.layerTemplates({ templates, workspaces }))
)

/** What turns are made of, counted; builds and their waits ask beside it. */
const layerChats = Layer.mergeAll(ChatTools.layer, TurnSetup.layer).pipe(
  Layer.provideMerge(ChatWorkspaces.layer),
  Layer.provideMerge(Observed.layer)
)

/** Far above what a step takes on a machine with much else to do. */
const bounds = Layer.mergeAll(
  GatewayConfig.layer({ shutdownDrain: "100 millis", settle: "100 millis" }),
  ProvisionerConfig.layer({ poll: "100 millis", agentPoll: "100 millis", scriptsPoll: "100 millis" }),
  StoreConfig.layer({ callTimeout: "20 seconds" })
)

/** Over the database of the block. All servers of a workspace give tools. */
export const layer = (config: TurnConfig.Options) =>
  Layer.merge(layerChats, Layer.effect(World, make)).pipe(
    Layer.provide([
      layerRunner,
      HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true })
    ]),
    Layer.provide([Workspaces.layer, Readiness.layer, layerLink]),
    Layer.provide([layerTemplates, AgentGateway.layerTransport(), GatewayServer.layer({ host: "127.0.0.1", port: 0 })]),
    Layer.provideMerge(Layer.merge(SqlStore.layer(), Signals.layer)),
    Layer.provide([Place.layer, NodeServices.layer, Migrations.layerMigrations()]),
    Layer.provide([TurnConfig.layer({ workspaceMcp: "all", ...config }), bounds]),
    // What breaks on purpose would be logged as broken.
    Layer.provideMerge(Logger.layer([]))
  )
