/**
 * A node in a process of its own, so that it can be killed and frozen: the gateway over PostgreSQL, and NATS. Started as a
 * program with the url of the database, the schema and the port of NATS.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, Redacted } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { AgentGateway, GatewayConfig } from "../../../src/agent/index.ts"
import * as NatsServerLink from "../../../src/cli/NatsServerLink.ts"
import { NatsTransport } from "../../../src/cluster/index.ts"
import * as SqlStore from "../../../src/store/SqlStore.ts"

const main = Effect.fnUntraced(function*(url: string, schema: string, natsPort: string) {
  const announced = Layer.effectDiscard(Effect.map(HttpServer.HttpServer, ({ address }) => {
    process.stdout.write(`ready ${"port" in address ? address.port : 0}\n`)
  }))
  return yield* Layer.launch(
    Layer.mergeAll(HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true }), announced, NatsTransport.layer)
      .pipe(
        Layer.provide(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })),
        Layer.provide(AgentGateway.layerTransport()),
        Layer.provide(NatsServerLink.layer({ servers: [`127.0.0.1:${natsPort}`] })),
        Layer.provide(SqlStore.layer({ schema })),
        Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })),
        Layer.provide([
          NodeServices.layer,
          GatewayConfig.layer({ heartbeat: "300 millis", pingInterval: "250 millis", pingTimeout: "1 second" }),
          Logger.layer([])
        ])
      )
  )
})

const [url = "", schema = "", natsPort = ""] = process.argv.slice(2)
NodeRuntime.runMain(main(url, schema, natsPort))
