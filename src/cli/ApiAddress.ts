/**
 * Where the API is: the path under which `serve` has all of it, and the flag by which other commands name it.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"

/**
 * What the paths of the API begin with, also those of its documents and of the MCP endpoint.
 *
 * @since 0.1.0
 * @category constants
 */
export const prefix = "/api"

/**
 * The port of `serve`, unless said otherwise.
 *
 * @since 0.1.0
 * @category constants
 */
export const port = 4170

/**
 * @since 0.1.0
 * @category flags
 */
export const flag = Flag.String("url").pipe(
  Flag.withDescription("Address of the API; also API_URL"),
  Flag.withFallbackConfig(Config.NonEmptyString("API_URL")),
  Flag.withDefault(`http://127.0.0.1:${port}${prefix}`),
  Flag.map((url) => url.replace(/\/+$/, ""))
)
