/**
 * An HTTP server for routes, with the limits that only a server can set: headers, handshakes and the largest frame.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as NodeServices from "@effect/platform-node/NodeServices"
import type * as Etag from "effect/http/Etag"
import type { HttpPlatform } from "effect/http/HttpPlatform"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import type * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { frameLimit } from "../agent/Protocol.ts"

/**
 * Where to listen. Port 0 takes any free one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly host: string
  readonly port: number
}

/**
 * Listens for the life of the layer. Its end waits a moment for requests, then lets go of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ host, port }: Options): Layer.Layer<
  HttpServer.HttpServer | HttpPlatform | Etag.Generator | NodeServices.NodeServices,
  ServeError
> =>
  NodeHttpServer.layer(
    () =>
      createServer({
        maxHeaderSize: 16 * 1024,
        headersTimeout: 5000,
        requestTimeout: 30_000,
        connectionsCheckingInterval: 1000
      }),
    { host, port, gracefulShutdownTimeout: "300 millis", websocket: { maxPayload: frameLimit } }
  )
