/**
 * The other side of the raw WebSocket: it dials in like an agent, answers requests with the same payload, and sends bytes
 * as fast as they are taken.
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import { open } from "node:fs/promises"
import * as Lines from "./lines.ts"

export interface Command {
  readonly url: string
}

/** `answer` is what a request gets; a `file` is sent whole, in binary frames of `chunk` bytes. */
export type Message =
  | { readonly id: number; readonly payload: unknown; readonly answer: unknown }
  | { readonly file: string; readonly chunk: number }

const written = (socket: WebSocket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => socket.send(bytes, () => resolve()))

const sendFile = async (socket: WebSocket, path: string, chunk: number): Promise<void> => {
  const file = await open(path)
  while (true) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunk), 0, chunk)
    if (bytesRead === 0) break
    await written(socket, buffer.subarray(0, bytesRead))
  }
  await file.close()
}

Lines.serve<Command>(({ url }) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.on("open", () => resolve("open"))
    socket.on("message", (data: Buffer) => {
      const message: Message = JSON.parse(data.toString())
      if ("file" in message) void sendFile(socket, message.file, message.chunk)
      else socket.send(JSON.stringify({ id: message.id, payload: message.answer }))
    })
  })
)
