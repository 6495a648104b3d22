/**
 * A backend in a process of its own, so that it can be killed and frozen: the gateway over PostgreSQL, and a route through
 * which a test makes calls from it. Started as a program with the url of the database, the schema and the port.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { AgentGateway, AgentTransport, GatewayConfig } from "../../../src/agent/index.ts"
import { AgentId, OperationId } from "../../../src/domain/Ids.ts"
import * as SqlStore from "../../../src/store/SqlStore.ts"

export const RunRequest = Schema.Struct({
  agentId: AgentId,
  id: OperationId,
  script: Schema.String,
  timeoutMillis: Schema.Finite
})

export const RunAnswer = Schema.Union([
  Schema.TaggedStruct("Ran", { code: Schema.NullOr(Schema.Int), text: Schema.String }),
  Schema.TaggedStruct("Failed", { error: Schema.String, detail: Schema.NullOr(Schema.String) })
])

const decodeRequest = Schema.decodeUnknownEffect(RunRequest)

/** Dials as a chat would, and runs the command. */
const run = Effect.gen(function*() {
  const transport = yield* AgentTransport.AgentTransport
  const request = yield* HttpServerRequest.HttpServerRequest
  const { agentId, id, script, timeoutMillis } = yield* decodeRequest(yield* request.json)
  return yield* Effect.scoped(Effect.gen(function*() {
    const connection = yield* Effect.timeout(transport.dial(agentId), "10 seconds")
    const { code, output } = yield* connection.processes.run(
      { id, argv: ["sh", "-c", script] },
      { timeout: timeoutMillis }
    )
    const bytes = output.pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])
    return { _tag: "Ran" as const, code, text: Buffer.concat(bytes).toString() }
  })).pipe(
    Effect.catch((error) =>
      Effect.succeed({
        _tag: "Failed" as const,
        error: error._tag,
        detail: "sent" in error ? error.sent : "reason" in error ? String(error.reason) : null
      })
    )
  )
})

const main = Effect.fnUntraced(function*(url: string, schema: string, port: number) {
  const routes = Layer.mergeAll(
    AgentGateway.layerRoute(),
    HttpRouter.add("POST", "/run", Effect.map(Effect.orDie(run), HttpServerResponse.jsonUnsafe)),
    Layer.unwrap(Effect.map(
      AgentTransport.AgentTransport,
      (transport) =>
        HttpRouter.add(
          "GET",
          "/presence/:agent",
          Effect.map(
            HttpRouter.params,
            ({ agent }) => HttpServerResponse.text(transport.presence(AgentId.make(agent ?? "")))
          )
        )
    ))
  )
  const announced = Layer.effectDiscard(Effect.map(HttpServer.HttpServer, ({ address }) => {
    process.stdout.write(`ready ${"port" in address ? address.port : 0}\n`)
  }))
  return yield* Layer.launch(
    Layer.mergeAll(HttpRouter.serve(routes, { disableLogger: true }), announced).pipe(
      Layer.provide(NodeHttpServer.layer(() => createServer(), { port, host: "127.0.0.1" })),
      Layer.provide(AgentGateway.layerTransport()),
      Layer.provide(SqlStore.layer({ schema })),
      Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })),
      Layer.provide([
        GatewayConfig.layer({ heartbeat: "300 millis", pingInterval: "250 millis", pingTimeout: "1 second" }),
        Logger.layer([])
      ])
    )
  )
})

// Imported for its schemas it only declares, run as a program it serves.
if (process.argv[1] === import.meta.filename) {
  const [url = "", schema = "", port = "0"] = process.argv.slice(2)
  NodeRuntime.runMain(main(url, schema, Number(port)))
}
