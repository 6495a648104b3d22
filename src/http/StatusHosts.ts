/**
 * Refuses requests that name another host than the one they have reached.
 *
 * An address that needs no token is safe on loopback, until a page of somebody else lets its own name point there: the
 * reader's browser then takes the answers for that page's. Such a request names the page's host.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"

/**
 * Names, without ports, by which an address is called beside those of loopback.
 *
 * @since 0.1.0
 * @category models
 */
export type Hosts = ReadonlyArray<string>

/**
 * Whether a `Host` header names loopback or one of these hosts.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isOwn = (header: string | undefined, hosts: Hosts): boolean => {
  const name = header === undefined ? undefined : URL.parse(`http://${header}`)?.hostname
  if (name === undefined) return false
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name) ||
    hosts.some((host) => host.toLowerCase() === name)
}

/**
 * Lets a handler answer only requests to its own hosts; others get 403.
 *
 * @since 0.1.0
 * @category combinators
 */
export const guard = (hosts: Hosts = []) =>
<E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
    isOwn(headers["host"], hosts)
      ? handler
      : Effect.succeed(HttpServerResponse.text("This host is not served here.\n", { status: 403 })))

/**
 * The same for all routes of a router.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (hosts: Hosts = []): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  HttpRouter.middleware(guard(hosts), { global: true })
