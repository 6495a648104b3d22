/** A gateway on a server like that of `serve`, agents enrolled for it, and the agent program as it is shipped. */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { bundle } from "../scripts/bundle-agent.ts"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import { AgentTransport } from "../src/agent/AgentTransport.ts"
import * as GatewayServer from "../src/cli/GatewayServer.ts"
import * as AgentToken from "../src/domain/AgentToken.ts"
import { AgentId, BuildId, OperationId, OwnerId, WorkspaceId } from "../src/domain/Ids.ts"
import * as AgentEnrollments from "../src/store/AgentEnrollments.ts"
import * as AgentPresence from "../src/store/AgentPresence.ts"
import * as MemoryStore from "../src/store/MemoryStore.ts"
import * as SecretHash from "../src/store/SecretHash.ts"

export const owner = OwnerId.make("owner")

export const operation = (): OperationId => OperationId.make(randomUUID())

export type Stores = AgentPresence.AgentPresence | AgentEnrollments.AgentEnrollments

export const layerStores: Layer.Layer<Stores> = Layer.mergeAll(
  AgentPresence.layerMemory,
  AgentEnrollments.layerMemory
).pipe(Layer.provide(MemoryStore.layer))

export interface Enrolled {
  readonly workspaceId: WorkspaceId
  readonly agentId: AgentId
  readonly token: string
}

const agentsPerBuild = 100

/** So many agents that may connect, in workspaces of a hundred. */
export const enroll = Effect.fnUntraced(function*(count: number) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  const random = yield* SecureRandom.SecureRandom
  const { hash } = yield* SecretHash.make
  const enrolled: Array<Enrolled> = []
  while (enrolled.length < count) {
    const workspaceId = WorkspaceId.make(randomUUID())
    const many = Math.min(agentsPerBuild, count - enrolled.length)
    const agents = yield* Effect.forEach(
      Array.from({ length: many }),
      Effect.fnUntraced(function*(_, index) {
        const agentId = AgentId.make(randomUUID())
        const secret = Redacted.make(yield* random.randomBytes(AgentToken.secretLength))
        enrolled.push({ workspaceId, agentId, token: Redacted.value(AgentToken.format({ agentId, secret })) })
        return {
          agentId,
          parentId: null,
          name: `agent-${index}`,
          displayOrder: index,
          connectionTimeout: Duration.seconds(120),
          secretHash: yield* hash(secret)
        }
      })
    )
    yield* enrollments.recordStart({ workspaceId, owner, buildId: BuildId.make(randomUUID()), agents })
  }
  return enrolled
}, Effect.provide(Layer.merge(SecureRandom.layerWebCrypto, Digest.layerWebCrypto)))

export interface Backend {
  readonly context: Context.Context<AgentGateway.AgentGateway | AgentTransport>
  readonly transport: AgentTransport["Service"]
  readonly url: string
  /** Agents that are attached to this node now. */
  readonly attached: () => number
}

/** A node with what the layer gives as its gateway; closed with the scope. */
export const serve = Effect.fnUntraced(function*<E, R>(
  gateway: Layer.Layer<AgentGateway.AgentGateway | AgentTransport, E, R>
): Effect.fn.Return<Backend, unknown, R | Scope.Scope> {
  const context = yield* Layer.build(Layer.fresh(gateway))
  const server = yield* Layer.build(
    HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(GatewayServer.layer({ host: "127.0.0.1", port: 0 })),
      Layer.provide(Layer.succeedContext(context)),
      Layer.fresh
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  const { overview } = Context.get(context, AgentTransport)
  return {
    context,
    transport: Context.get(context, AgentTransport),
    url: `ws://127.0.0.1:${"port" in address ? address.port : 0}/agent`,
    attached: () => overview?.(0).sessions ?? 0
  }
})

/** A folder that goes with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(Path.join(tmpdir(), "cw-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export interface Program {
  readonly directory: string
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

/** The agent program in one file, as it is shipped. */
export const programFile: Effect.Effect<string, never, Scope.Scope> = Effect.tap(
  Effect.map(folder, (path) => Path.join(path, "agent.mjs")),
  (file) => Effect.promise(() => bundle(file))
)

/** That program under this identity, in a folder of its own; ended with the scope. */
export const startProgram = Effect.fnUntraced(function*(file: string, url: string, token: string) {
  const directory = yield* folder
  const state = yield* folder
  let child: ChildProcess | undefined
  const kill: Effect.Effect<void> = Effect.callback((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
  const start = Effect.sync(() => {
    child = spawn(process.execPath, [file], {
      stdio: "ignore",
      env: {
        PATH: process.env["PATH"],
        CW_AGENT_URL: url,
        CW_AGENT_TOKEN: token,
        CW_AGENT_DIR: directory,
        CW_AGENT_STATE_DIR: state
      }
    })
  })
  yield* Effect.acquireRelease(start, () => kill)
  return { directory, kill, start } satisfies Program
})
