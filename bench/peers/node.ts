/** Another node: a gateway with a store of its own, and NATS. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as AgentGateway from "../../src/agent/AgentGateway.ts"
import * as NatsServerLink from "../../src/cli/NatsServerLink.ts"
import * as NatsTransport from "../../src/cluster/NatsTransport.ts"
import * as b from "../backend.ts"
import * as Lines from "./lines.ts"

export type Command =
  | { readonly _tag: "Enroll"; readonly count: number }
  | { readonly _tag: "Attached" }

export interface Enrolled {
  readonly url: string
  readonly agents: ReadonlyArray<b.Enrolled>
}

const [port = ""] = process.argv.slice(2)

const main = Effect.gen(function*() {
  const { attached, url } = yield* b.serve(
    NatsTransport.layer.pipe(
      Layer.provideMerge(AgentGateway.layerTransport()),
      Layer.provide(NatsServerLink.layer({ servers: [`127.0.0.1:${port}`] }))
    )
  )
  const run = Effect.runPromiseWith(yield* Effect.context<b.Stores>())
  Lines.serve<Command>(async (command) =>
    command._tag === "Attached"
      ? attached()
      : { url, agents: await run(b.enroll(command.count)) } satisfies Enrolled
  )
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provide([b.layerStores, NodeServices.layer, Logger.layer([])]))

await Effect.runPromise(main)
