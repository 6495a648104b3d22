/**
 * How a group of the API comes into an `HttpRouter`: alone, or with the others.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Etag from "effect/http/Etag"
import type { HttpPlatform } from "effect/http/HttpPlatform"
import { HttpRouter } from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Authentication from "./Authentication.ts"
import * as Bodies from "./Bodies.ts"
import * as Requests from "./Requests.ts"

/**
 * What a server gives to all routes. `HttpServer.layerServices` has it too, but for the router.
 *
 * @since 0.1.0
 * @category models
 */
export type Server = Etag.Generator | FileSystem.FileSystem | HttpPlatform | HttpRouter | Path.Path

/**
 * What all groups stand behind, and those of their endpoints that take a body.
 *
 * @since 0.1.0
 * @category layers
 */
export const guards: Layer.Layer<
  Authentication.Authorization | Requests.Requests | Bodies.Bodies,
  never,
  Authentication.Authentication
> = Layer.mergeAll(Authentication.layer, Requests.layer, Bodies.layer)

/**
 * Puts a prefix before the paths of routes, whatever they are.
 *
 * @since 0.1.0
 * @category combinators
 */
export const prefixed =
  (prefix: `/${string}`) =>
  <E, R>(routes: Layer.Layer<never, E, R>): Layer.Layer<never, E, Exclude<R, HttpRouter> | HttpRouter> =>
    Layer.provide(routes, Layer.effect(HttpRouter, Effect.map(HttpRouter, (router) => router.prefixed(prefix))))
