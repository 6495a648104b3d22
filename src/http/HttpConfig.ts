/**
 * The bounds of the API.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Bounds from "../domain/Bounds.ts"

/**
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("HTTP", {
  /** The body of a request. */
  bodyBytes: Bounds.bytes(1024 * 1024),
  /** The text of a message to a chat, as UTF-8. */
  messageBytes: Bounds.bytes(256 * 1024),
  /** Streams of events that one owner has open on this node. */
  streamsPerOwner: Bounds.count(32),
  /** A stream that has nothing to tell says at least so, for proxies and for its client. */
  keepAlive: Bounds.duration("15 seconds"),
  /** What one page of a list has at most. */
  pageItems: Bounds.count(100)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface HttpConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: HttpConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const HttpConfig: Context.Reference<HttpConfig> = Context.Reference("chat-workspace/http/HttpConfig", {
  defaultValue: () => defaults
})

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<HttpConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => HttpConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(HttpConfig, make(options))

/**
 * Reads `HTTP_BODY_BYTES`, `HTTP_KEEP_ALIVE` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<HttpConfig> = bounds.config
