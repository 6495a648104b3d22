/** Nodes over one store and one NATS server, in one process: each with a gateway, a server and a transport of its own. */
import { Context, Effect, Layer } from "effect"
import { AgentGateway, AgentTransport, GatewayConfig } from "../../../src/agent/index.ts"
import { ClusterConfig, Nats, NatsTransport } from "../../../src/cluster/index.ts"
import { NodeId } from "../../../src/domain/Ids.ts"
import type { AgentPresence } from "../../../src/store/index.ts"
import * as h from "../../agent/support/harness.ts"
import * as server from "./server.ts"

/** Short times for real ones; each is far above what a step takes. */
export const quick: ClusterConfig.Options = { seek: "500 millis", idle: "2 seconds" }

export const layerNode = (
  nats: Nats.Nats["Service"],
  options?: {
    readonly gateway?: GatewayConfig.Options | undefined
    readonly cluster?: ClusterConfig.Options | undefined
    readonly nodeId?: NodeId | undefined
  }
): Layer.Layer<AgentGateway.AgentGateway | AgentTransport.AgentTransport, never, AgentPresence.AgentPresence> =>
  NatsTransport.layer.pipe(
    Layer.provideMerge(AgentGateway.layerTransport({ nodeId: options?.nodeId })),
    Layer.provide(Layer.succeed(Nats.Nats, nats)),
    Layer.provide(GatewayConfig.layer({ ...h.quick, settle: 0, ...options?.gateway })),
    Layer.provide(ClusterConfig.layer({ ...quick, ...options?.cluster }))
  )

/** A node on a port of its own, connected to the NATS server at this one; closed with the scope. */
export const start = Effect.fnUntraced(function*(natsPort: number, options?: Parameters<typeof layerNode>[1]) {
  const connection = yield* server.link(natsPort)
  const nodeId = options?.nodeId ?? NodeId.make(h.fresh("node"))
  const context = yield* Layer.build(
    Layer.fresh(layerNode(Nats.fromConnection(connection), { ...options, nodeId }))
  )
  return {
    nodeId,
    connection,
    context,
    port: yield* h.listen(context),
    gateway: Context.get(context, AgentGateway.AgentGateway),
    transport: Context.get(context, AgentTransport.AgentTransport)
  }
})
