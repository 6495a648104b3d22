/** Answers a subject of NATS with what it is told to, and nothing else: what a request costs that is no call. */
import { connect } from "@nats-io/transport-node"
import * as Lines from "./lines.ts"

export interface Command {
  readonly subject: string
  readonly answer: string
}

const [port = ""] = process.argv.slice(2)
const connection = await connect({ servers: `127.0.0.1:${port}` })

Lines.serve<Command>(async ({ answer, subject }) => {
  const bytes = new TextEncoder().encode(answer)
  connection.subscribe(subject, { callback: (_error, message) => void message.respond(bytes) })
  await connection.flush()
  return "ready"
})
