/**
 * How a socket to the gateway is opened: `ws`, since it can send the token and tells the status of an answer other than
 * 101.
 *
 * @since 0.1.0
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import * as Context from "effect/Context"
import * as Redacted from "effect/Redacted"
import type * as Socket from "effect/socket/Socket"
import { frameLimit, subprotocol } from "../Protocol.ts"

/**
 * An answer to the handshake that is no WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  readonly status: number
  readonly retryAfter: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type OutboundSocket = (options: {
  readonly url: string
  readonly token: Redacted.Redacted<string>
  readonly refused: (refusal: Refusal) => void
}) => Socket.WebSocketLike

/** How long the gateway may take to answer the close of a link that is over anyway. */
const closeMillis = 2_000

const open: OutboundSocket = ({ refused, token, url }) => {
  const options = {
    headers: { authorization: `Bearer ${Redacted.value(token)}` },
    maxPayload: frameLimit,
    perMessageDeflate: false,
    // Known to ws, not to its types.
    closeTimeout: closeMillis
  }
  const socket = new WebSocket(url, subprotocol, options)
  socket.on("unexpected-response", (_, response) => {
    refused({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] })
    socket.terminate()
  })
  return socket
}

/**
 * The way sockets are opened.
 *
 * @since 0.1.0
 * @category references
 */
export const OutboundSocket = Context.Reference<OutboundSocket>(
  "chat-workspace/agent/program/OutboundSocket",
  { defaultValue: () => open }
)
