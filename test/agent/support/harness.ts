/** The gateway on a real server with memory stores, and agents for it: scripted ones and the real program. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { WebSocket } from "@effect/platform-node/NodeWS"
import { Context, Deferred, Duration, Effect, Exit, Layer, Redacted, Schema, Scope } from "effect"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { HttpRouter, HttpServer } from "effect/http"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { AgentGateway, AgentTransport, GatewayConfig, Protocol } from "../../../src/agent/index.ts"
import { StoreError } from "../../../src/domain/Errors.ts"
import { AgentId, BuildId, OperationId, OwnerId, WorkspaceId } from "../../../src/domain/Ids.ts"
import type { NodeId } from "../../../src/domain/Ids.ts"
import { AgentToken } from "../../../src/domain/index.ts"
import { AgentEnrollments, AgentPresence, MemoryStore } from "../../../src/store/index.ts"
import * as SecretHash from "../../../src/store/SecretHash.ts"

export type Stores =
  | MemoryStore.MemoryStore
  | AgentPresence.AgentPresence
  | AgentEnrollments.AgentEnrollments

export const layerStores = Layer.mergeAll(AgentPresence.layerMemory, AgentEnrollments.layerMemory).pipe(
  Layer.provideMerge(MemoryStore.layer)
)

/** Small bounds, so that real time is short; each is far above what a step takes. */
export const quick: GatewayConfig.Options = {
  heartbeat: "300 millis",
  pingInterval: "250 millis",
  pingTimeout: "1 second",
  shutdownDrain: "100 millis",
  closeGrace: "50 millis",
  storeTimeout: "1 second",
  settle: "1 second"
}

export const owner = OwnerId.make("owner")

let unique = 0

/** A name that no other test of this process uses. */
export const fresh = (name: string): string => `${name}-${process.pid}-${++unique}`

export const operation = (): OperationId => OperationId.make(fresh("op"))

export interface Enrolled {
  readonly workspaceId: WorkspaceId
  readonly agentId: AgentId
  readonly token: Redacted.Redacted<string>
}

/** A succeeded start of a workspace, new unless given, with one agent. */
export const enroll = (workspace?: WorkspaceId) => enrollIn(workspace)

const enrollIn = Effect.fnUntraced(function*(workspace: WorkspaceId | undefined) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  const secret = Redacted.make(yield* Effect.flatMap(SecureRandom.SecureRandom, (random) => random.randomBytes(32)))
  const { hash } = yield* SecretHash.make
  const agentId = AgentId.make(fresh("agent"))
  const workspaceId = workspace ?? WorkspaceId.make(fresh("workspace"))
  yield* enrollments.recordStart({
    workspaceId,
    owner,
    buildId: BuildId.make(fresh("build")),
    agents: [{
      agentId,
      parentId: null,
      name: "main",
      displayOrder: 0,
      connectionTimeout: Duration.seconds(120),
      secretHash: yield* hash(secret)
    }]
  })
  return { workspaceId, agentId, token: AgentToken.format({ agentId, secret }) } satisfies Enrolled
}, Effect.provide(Layer.merge(SecureRandom.layerWebCrypto, Digest.layerWebCrypto)))

/** An HTTP server with the gateway's route, closed with the scope; the port is taken again where one is given. */
export const listen = Effect.fnUntraced(function*(
  gateway: Context.Context<AgentGateway.AgentGateway>,
  port = 0
) {
  const server = yield* Layer.build(
    HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(() => createServer(), { port, host: "127.0.0.1", gracefulShutdownTimeout: "100 millis" })
      ),
      Layer.provide(Layer.succeedContext(gateway))
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  return "port" in address ? address.port : yield* Effect.die(new Error("no port"))
})

export const layerGateway = (
  options?: GatewayConfig.Options,
  nodeId?: NodeId
): Layer.Layer<AgentGateway.AgentGateway | AgentTransport.AgentTransport, never, AgentPresence.AgentPresence> =>
  AgentGateway.layerTransport({ nodeId }).pipe(Layer.provide(GatewayConfig.layer({ ...quick, ...options })))

/** Gateway and server in the scope of the test. */
export const start = Effect.fnUntraced(function*(options?: GatewayConfig.Options) {
  const gateway = yield* Layer.build(layerGateway(options))
  const port = yield* listen(gateway)
  return {
    port,
    context: gateway,
    gateway: Context.get(gateway, AgentGateway.AgentGateway),
    transport: Context.get(gateway, AgentTransport.AgentTransport)
  }
})

interface Request {
  readonly id: number
  readonly tag: string
  readonly payload: unknown
}

/** Answers requests by hand: what it sends is what the test says, well formed or not. */
export interface ScriptedAgent {
  readonly socket: WebSocket
  readonly requests: ReadonlyArray<Request>
  /** How the socket was closed; completes when it was. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  readonly send: (message: unknown) => void
  readonly answer: (id: number, value: unknown) => void
}

export type Handler = (request: Request, agent: ScriptedAgent) => void

export const helloAnswer = {
  protocol: Protocol.name,
  version: Protocol.version as number,
  incarnation: "incarnation-1",
  features: ["run", "processes", "files", "directories"] as ReadonlyArray<string>,
  program: "scripted"
}

/** Dials in; answers pings and, unless overridden, hellos. `refused` holds the status of a refused upgrade. */
export const connect = Effect.fnUntraced(function*(
  port: number,
  token: Redacted.Redacted<string> | undefined,
  options?: {
    readonly hello?: Partial<typeof helloAnswer> | "silent" | undefined
    readonly on?: Handler | undefined
    readonly protocols?: string | undefined
    readonly pong?: boolean | undefined
  }
) {
  const requests: Array<Request> = []
  const ended = Deferred.makeUnsafe<{ readonly code: number; readonly reason: string }>()
  const opened = Deferred.makeUnsafe<"open" | number>()
  const socket = new WebSocket(`ws://127.0.0.1:${port}/agent`, options?.protocols ?? Protocol.subprotocol, {
    headers: token === undefined ? {} : { authorization: `Bearer ${Redacted.value(token)}` }
  })
  const agent: ScriptedAgent = {
    socket,
    requests,
    closed: Deferred.await(ended),
    send: (message) => socket.send(typeof message === "string" ? message : `${JSON.stringify(message)}\n`),
    answer: (id, value) => agent.send({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value } })
  }
  socket.on("error", () => undefined)
  socket.on("open", () => Deferred.doneUnsafe(opened, Effect.succeed("open")))
  socket.on("unexpected-response", (_request, response) => {
    Deferred.doneUnsafe(opened, Effect.succeed(response.statusCode ?? 0))
    socket.terminate()
  })
  socket.on("close", (code: number, reason: Buffer) => {
    Deferred.doneUnsafe(ended, Effect.succeed({ code, reason: String(reason) }))
    Deferred.doneUnsafe(opened, Effect.succeed(0))
  })
  socket.on("message", (data: Buffer) => {
    for (const line of String(data).split("\n").filter((line) => line !== "")) {
      const message: { _tag: string; id: number; tag: string; payload: unknown } = JSON.parse(line)
      if (message._tag === "Ping" && options?.pong !== false) agent.send({ _tag: "Pong" })
      if (message._tag !== "Request") continue
      requests.push(message)
      if (message.tag === "Hello" && options?.hello !== "silent") {
        agent.answer(message.id, { ...helloAnswer, ...options?.hello })
      } else options?.on?.(message, agent)
    }
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.terminate()))
  const status = yield* Deferred.await(opened)
  return { agent, status }
})

/** The real program in a folder of its own; ended with the scope. */
export const startProgram = Effect.fnUntraced(function*(
  port: number,
  token: Redacted.Redacted<string>,
  env?: Readonly<Record<string, string>>
) {
  const directory = mkdtempSync(Path.join(tmpdir(), "chat-workspace-test-"))
  const spawnProgram = (): ChildProcess =>
    spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "src/agent/program/main.ts"], {
      cwd: process.cwd(),
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        PATH: process.env["PATH"],
        CW_AGENT_URL: `ws://127.0.0.1:${port}/agent`,
        CW_AGENT_TOKEN: Redacted.value(token),
        CW_AGENT_DIR: directory,
        CW_AGENT_STATE_DIR: Path.join(directory, ".state"),
        CW_AGENT_BACKOFF_CAP: "300 millis",
        ...env
      }
    })
  let child = spawnProgram()
  let log = ""
  const note = (): void => {
    child.stderr?.on("data", (data: Buffer) => {
      log += String(data)
    })
  }
  note()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      child.kill("SIGKILL")
      rmSync(directory, { recursive: true, force: true })
    })
  )
  return {
    directory,
    log: () => log,
    kill: (signal: NodeJS.Signals) => Effect.sync(() => child.kill(signal)),
    exited: Effect.callback<number | null>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.exitCode))
      child.on("exit", (code) => resume(Effect.succeed(code)))
    }),
    restart: Effect.sync(() => {
      child = spawnProgram()
      note()
    })
  }
})

/** Runs something in a scope of its own that the caller closes. */
export const inScope = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const value = yield* Scope.provide(effect, scope)
  return { value, close: Scope.close(scope, Exit.void) }
})

/** Waits for a state of the world that no event tells of. */
export const until = (condition: () => boolean, within: Duration.Input = "5 seconds"): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(condition))).pipe(
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.die(new Error("waited in vain")) })
  )

export const decodeText = (pieces: ReadonlyArray<{ readonly _tag: string; readonly bytes?: Uint8Array }>): string =>
  new TextDecoder().decode(Buffer.concat(pieces.flatMap((piece) => piece.bytes === undefined ? [] : [piece.bytes])))

export const isAgentId = Schema.is(AgentId)

/** The store of the test, with a hand on it: it can fail, or hang until it is thawed. */
export const switchable = Effect.gen(function*() {
  const inner = yield* AgentPresence.AgentPresence
  const control: {
    mode: "works" | "fails" | "hangs"
    verified: number
    attached: number
    detached: Array<{ readonly agentId: AgentId; readonly epoch: number }>
    beats: Array<AgentPresence.Beat>
    reported: Array<Parameters<AgentPresence.AgentPresence["Service"]["report"]>[0]>
    elsewhere: ReadonlyArray<AgentId>
  } = { mode: "works", verified: 0, attached: 0, detached: [], beats: [], reported: [], elsewhere: [] }
  const gated = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
    Effect.suspend((): Effect.Effect<A, E | StoreError> => {
      switch (control.mode) {
        case "works":
          return effect
        case "fails":
          return Effect.fail(new StoreError({ operation: "test" }))
        case "hangs":
          return Effect.never
      }
    })
  const presence = AgentPresence.AgentPresence.of({
    verify: (token) => {
      control.verified += 1
      return gated(inner.verify(token))
    },
    attach: (options) => {
      control.attached += 1
      return gated(inner.attach(options))
    },
    beat: (beat) => {
      control.beats.push(beat)
      return Effect.map(gated(inner.beat(beat)), (answer) => ({
        ...answer,
        elsewhere: [...answer.elsewhere, ...control.elsewhere]
      }))
    },
    report: (options) => {
      control.reported.push(options)
      return gated(inner.report(options))
    },
    detach: (options) => {
      control.detached.push(options)
      return gated(inner.detach(options))
    }
  })
  return { control, presence }
})
