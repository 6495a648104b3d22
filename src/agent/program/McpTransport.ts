/**
 * The way to talk to one MCP server, and the words that travel on it: JSON-RPC 2.0, over whatever carries it.
 *
 * **Why not `effect/ai/McpClient`.** It would fit into the bundle, but it takes one line of print on stdout for the end of
 * a server, one odd tool for the failure of the whole list, and no server of an older revision. Servers in workspaces do
 * all of that.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Entry, Spec } from "./McpFile.ts"

/**
 * Why a server gave no answer: it ended or cannot be reached (`ended`: then the way to it is over), or it refused, or answered what cannot be
 * understood (`refused`). The detail is short and says nothing that the server printed.
 *
 * @since 0.1.0
 * @category errors
 */
export class McpFailed extends Data.TaggedError("McpFailed")<{
  readonly reason: "ended" | "refused"
  readonly detail: string
}> {}

/**
 * An open way to a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transport {
  /** The result of a request. Interrupted, it cancels the request at the server. */
  readonly request: (method: string, params: Schema.JsonObject) => Effect.Effect<unknown, McpFailed>
  readonly notify: (method: string) => Effect.Effect<void, McpFailed>
  /** The revision of the protocol that both sides agreed on. */
  readonly agree: (revision: string) => void
  /** Completes with the reason when the server cannot be used over this way any more. */
  readonly ended: Effect.Effect<string>
}

/**
 * A server that can be tried to be reached.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target extends Entry {
  readonly spec: Exclude<Spec, { readonly _tag: "Unusable" }>
}

/**
 * @since 0.1.0
 * @category services
 */
export class McpTransports extends Context.Service<McpTransports, {
  /** Opens a way to a server for the life of the scope: a program is started with it, and ended with it. */
  readonly open: (target: Target) => Effect.Effect<Transport, McpFailed, Scope.Scope>
}>()("chat-workspace/agent/program/McpTransports") {}

/**
 * A message of a server; what is none of these is passed over.
 *
 * @since 0.1.0
 * @category models
 */
export type Incoming =
  | { readonly _tag: "Result"; readonly id: number; readonly result: unknown }
  | { readonly _tag: "Error"; readonly id: number; readonly message: string }
  | { readonly _tag: "Request"; readonly id: string | number; readonly method: string }

/**
 * What a text says, if it is a message.
 *
 * @since 0.1.0
 * @category messages
 */
export const parse = (text: string): Incoming | undefined => {
  const message = Option.getOrUndefined(decodeMessage(text))
  if (message === undefined) return undefined
  if ("method" in message) return { _tag: "Request", id: message.id, method: message.method }
  return "error" in message
    ? { _tag: "Error", id: message.id, message: message.error.message }
    : { _tag: "Result", id: message.id, result: message.result }
}

/**
 * The failure that an error of a server is.
 *
 * @since 0.1.0
 * @category messages
 */
export const refusal = (message: string): McpFailed =>
  new McpFailed({
    reason: "refused",
    detail: message.length <= detailLimit ? message : `${message.slice(0, detailLimit)}…`
  })

/**
 * @since 0.1.0
 * @category messages
 */
export const request = (id: number, method: string, params: Schema.JsonObject): string =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params })

/**
 * @since 0.1.0
 * @category messages
 */
export const notification = (method: string, params?: Schema.JsonObject): string =>
  JSON.stringify({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) })

/**
 * Takes a request back. That of the handshake cannot be: then the whole way is given up.
 *
 * @since 0.1.0
 * @category messages
 */
export const cancellation = (id: number): string =>
  notification("notifications/cancelled", { requestId: id, reason: "nobody waits for it any more" })

/**
 * What a request of a server is answered: it may ask whether we are there, and nothing else.
 *
 * @since 0.1.0
 * @category messages
 */
export const reply = ({ id, method }: { readonly id: string | number; readonly method: string }): string =>
  JSON.stringify(
    method === "ping"
      ? { jsonrpc: "2.0", id, result: {} }
      : { jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } }
  )

const detailLimit = 2048

const decodeMessage = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([
  Schema.Struct({ id: Schema.Union([Schema.String, Schema.Finite]), method: Schema.String }),
  Schema.Struct({ id: Schema.Finite, error: Schema.Struct({ message: Schema.String }) }),
  Schema.Struct({ id: Schema.Finite, result: Schema.Unknown })
])))
