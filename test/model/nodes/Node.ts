/**
 * One backend process: the gateway, the connecting of chats and the turns, as an application composes them, on a machine
 * and a way to the database of its own.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as AgentGateway from "../../../src/agent/AgentGateway.ts"
import type * as AgentTransport from "../../../src/agent/AgentTransport.ts"
import * as Protocol from "../../../src/agent/Protocol.ts"
import type { Session } from "../../../src/agent/Sessions.ts"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import * as AgentToken from "../../../src/domain/AgentToken.ts"
import { NodeId } from "../../../src/domain/Ids.ts"
import type { AgentId, TurnId } from "../../../src/domain/Ids.ts"
import * as Signals from "../../../src/store/Signals.ts"
import * as TurnLimits from "../../../src/turn/TurnLimits.ts"
import * as Turns from "../../../src/turn/Turns.ts"
import type { Connection, Database } from "./Database.ts"
import * as Loop from "./Loop.ts"
import type { Machine, Machines } from "./Machines.ts"
import type { Door } from "./Program.ts"
import type { Wire } from "./Wire.ts"

type Services =
  | AgentGateway.AgentGateway
  | AgentTransport.AgentTransport
  | ChatWorkspaces.ChatWorkspaces
  | Turns.Turns

const layer = (options: {
  readonly nodeId: NodeId
  readonly connection: Connection
  readonly lent: (session: Session) => void
  readonly began: (wish: string) => void
}): Layer.Layer<Services> =>
  Turns.layerWithoutSetup({ nodeId: options.nodeId }).pipe(
    // So few calls at once, and so short, that some of a step begin when others have ended.
    Layer.provide(TurnLimits.layer({ calls: 2, callTime: "20 seconds" })),
    Layer.provide([Loop.layerTools(options.nodeId, options.began), Loop.layerModel, Signals.layer]),
    Layer.provideMerge(ChatWorkspaces.layer),
    Layer.provideMerge(layerWatch(options.lent)),
    Layer.provideMerge(AgentGateway.layerTransport({ nodeId: options.nodeId })),
    Layer.provide(options.connection.layer)
  )

const layerWatch = (lent: (session: Session) => void): Layer.Layer<never, never, AgentGateway.AgentGateway> =>
  Layer.effectDiscard(
    Effect.flatMap(AgentGateway.AgentGateway, ({ watch }) => watch({ lent, incompatible: () => undefined }))
  )

export class Node implements Door {
  readonly machine: Machine
  readonly connection: Connection
  readonly name: string
  private readonly machines: Machines
  private readonly scope = Scope.makeUnsafe()
  private readonly wires = new Set<Wire>()
  private readonly started: Fiber.Fiber<Context.Context<Services>>
  /** When it was told to end. */
  closingSince: number | undefined
  private closed: Fiber.Fiber<void> | undefined

  constructor(options: {
    readonly name: string
    readonly machines: Machines
    readonly database: Database
    readonly violate: (text: string) => void
    /** A call of a turn begins on this machine. */
    readonly began: (wish: string, machine: Machine) => void
  }) {
    const { database, machines, name, violate } = options
    const newest = new Map<AgentId, number>()
    const lent = ({ agentId, epoch }: Session): void => {
      if (epoch < (newest.get(agentId) ?? 0)) violate("a session was lent after a newer one")
      newest.set(agentId, epoch)
    }
    this.name = name
    this.machines = machines
    this.machine = machines.make()
    this.connection = database.connect(this.machine)
    const { connection, machine } = this
    const whole = layer({
      nodeId: NodeId.make(name),
      connection,
      lent,
      began: (wish) => options.began(wish, machine)
    })
    this.started = machine.fork(Layer.buildWithMemoMap(whole, Layer.makeMemoMapUnsafe(), this.scope))
  }

  /** Takes calls. */
  get isUp(): boolean {
    return !this.machine.gone && this.closingSince === undefined
  }

  now(): number {
    return this.machines.now
  }

  get services(): Context.Context<Services> | undefined {
    const exit = this.started.pollUnsafe()
    return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
  }

  /** The turns that it works on. */
  get turns(): ReadonlyArray<TurnId> {
    const { services } = this
    return services === undefined ? [] : Context.get(services, Turns.Turns).running().map(({ turn }) => turn.turnId)
  }

  get hasClosed(): boolean {
    return this.closed?.pollUnsafe() !== undefined
  }

  readonly accept = (agentId: AgentId, wire: Wire): void => {
    const { services } = this
    if (services === undefined) return wire.closedByNode(undefined)
    this.wires.add(wire)
    const request = Object.create(requestOf(agentId), { upgrade: { value: Effect.succeed(wire.socket) } })
    this.machine.fork(
      Effect.provideService(
        Context.get(services, AgentGateway.AgentGateway).accept,
        HttpServerRequest.HttpServerRequest,
        request
      )
    ).addObserver((exit) => {
      this.wires.delete(wire)
      wire.closedByNode(Exit.isSuccess(exit) && exit.value.status >= 400 ? exit.value.status : undefined)
    })
  }

  /** Ends as by SIGTERM. */
  close(now: number): void {
    if (!this.isUp) return
    this.closingSince = now
    this.machine.post(() => {
      this.closed = this.machine.fork(Scope.close(this.scope, Exit.void))
    })
  }

  /** Ends as by SIGKILL: the kernel resets the sockets, unless the host is gone with it. */
  kill(silently: boolean): void {
    this.machine.kill()
    this.connection.cut()
    for (const wire of this.wires) {
      if (silently) wire.silent = true
      else wire.cut()
    }
  }
}

const requests = new Map<AgentId, HttpServerRequest.HttpServerRequest>()

const requestOf = (agentId: AgentId): HttpServerRequest.HttpServerRequest => {
  const known = requests.get(agentId)
  if (known !== undefined) return known
  const token = AgentToken.format({ agentId, secret: Redacted.make(new Uint8Array(32)) })
  const request = HttpServerRequest.fromWeb(
    new Request("http://gateway/agent", {
      headers: { "sec-websocket-protocol": Protocol.subprotocol, authorization: `Bearer ${Redacted.value(token)}` }
    })
  )
  requests.set(agentId, request)
  return request
}
