/**
 * A node in a process of its own, so that it can be killed, frozen and deployed: what `serve` is composed of, in its order,
 * and beside its servers a line to the fleet. It reads requests as lines of JSON, writes what comes of them in the same
 * way, and tells which agents it holds. It ends when nobody writes to it any more.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Deferred, Effect, FiberSet, Layer, Logger, Redacted, Result, Schema, Stream } from "effect"
import { createInterface } from "node:readline"
import { AgentGateway } from "../../src/agent/AgentGateway.ts"
import { layerDrain } from "../../src/agent/AgentGateway.ts"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import type { ProcessOutput } from "../../src/agent/Protocol.ts"
import * as Application from "../../src/cli/Application.ts"
import * as Bounds from "../../src/cli/Bounds.ts"
import * as Provisioning from "../../src/cli/Provisioning.ts"
import * as Servers from "../../src/cli/Servers.ts"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import type { WorkspaceError } from "../../src/domain/Errors.ts"
import { AgentId, ChatId, MessageId, NodeId, OperationId, OwnerId } from "../../src/domain/Ids.ts"
import * as Authentication from "../../src/http/Authentication.ts"
import * as BuildRunner from "../../src/provisioner/BuildRunner.ts"
import * as Turns from "../../src/turn/Turns.ts"

export const Options = Schema.Struct({
  schema: Schema.String,
  owner: OwnerId,
  templates: Schema.String,
  workspaces: Schema.String
})

export const Request = Schema.Union([
  /** A command under an id that the caller made. */
  Schema.TaggedStruct("Run", {
    id: Schema.String,
    chat: ChatId,
    operation: OperationId,
    command: Schema.String,
    timeoutMillis: Schema.Finite
  }),
  /** A message, which the model of `serve` runs as a command. */
  Schema.TaggedStruct("Turn", { id: Schema.String, chat: ChatId, message: MessageId, text: Schema.String }),
  /** How much of all this is still under way. */
  Schema.TaggedStruct("Rest", { id: Schema.String })
])

/** Times are those of the machine's clock, in milliseconds. */
export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { address: Schema.String, nodeId: NodeId }),
  /** It hears nobody any more. */
  Schema.TaggedStruct("Gone", {}),
  Schema.TaggedStruct("Lent", { agent: AgentId, epoch: Schema.Int, at: Schema.Finite }),
  Schema.TaggedStruct("Left", { agent: AgentId, epoch: Schema.Int, at: Schema.Finite, reason: Schema.String }),
  /** `lost` says when the connection of the call ended under it. */
  Schema.TaggedStruct("Answer", {
    id: Schema.String,
    began: Schema.Finite,
    lost: Schema.NullOr(Schema.Finite),
    ended: Schema.Finite,
    result: Schema.Json
  })
])

type RequestOf<Tag extends typeof Request.Type["_tag"]> = Extract<typeof Request.Type, { readonly _tag: Tag }>

const write = Schema.encodeSync(Schema.fromJsonString(Event))
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Request))

const tell = (event: typeof Event.Type): void => {
  process.stdout.write(`${write(event)}\n`)
}

const failure = (error: WorkspaceError): Schema.Json => ({
  error: error.code,
  retry: error.recovery.retry,
  sent: "sent" in error ? error.sent : null
})

const outputOf = ({ pieces }: ProcessOutput): string =>
  Buffer.concat(pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])).toString()

const now = (): number => Date.now()

const serve = Effect.fnUntraced(function*(owner: OwnerId) {
  const gateway = yield* AgentGateway
  const turns = yield* Turns.Turns
  const workspaces = yield* ChatWorkspaces
  const transport = yield* AgentTransport
  yield* Effect.addFinalizer(() => Effect.sync(() => tell({ _tag: "Gone" })))
  const run = yield* FiberSet.makeRuntime()

  yield* gateway.watch({
    lent: ({ agentId, closed, epoch }) => {
      tell({ _tag: "Lent", agent: agentId, epoch, at: now() })
      run(
        Effect.map(Deferred.await(closed), (reason) => tell({ _tag: "Left", agent: agentId, epoch, at: now(), reason }))
      )
    },
    incompatible: () => undefined
  })

  const command = Effect.fnUntraced(function*({ chat, command, id, operation, timeoutMillis }: RequestOf<"Run">) {
    const began = now()
    let lost: number | null = null
    const result = yield* workspaces.open(chat).pipe(
      Effect.flatMap(({ use }) =>
        use(({ closed, processes }) => {
          const noticed = Effect.andThen(
            closed,
            Effect.suspend(() => {
              lost ??= now()
              return Effect.never
            })
          )
          return processes.run({ id: operation, argv: ["sh", "-c", command] }, { timeout: timeoutMillis }).pipe(
            Effect.raceFirst(noticed)
          )
        })
      ),
      Effect.map(({ code, output }): Schema.Json => ({ success: code === 0, output: outputOf(output) })),
      Effect.catch((error) => Effect.succeed(failure(error)))
    )
    tell({ _tag: "Answer", id, began, lost, ended: now(), result })
  })

  const turn = Effect.fnUntraced(function*({ chat, id, message, text }: RequestOf<"Turn">) {
    const began = now()
    const results: Array<boolean> = []
    let end: string | null = null
    const sent = yield* Effect.result(Effect.flatMap(
      turns.send({ chatId: chat, owner, messageId: message, text }),
      ({ events }) =>
        Stream.runForEach(events, ({ event }) =>
          Effect.sync(() => {
            if (event._tag === "Result") results.push(!event.isFailure)
            if (event._tag === "End") end = event.status
          }))
    ))
    const error = Result.isFailure(sent) ? sent.failure.code : null
    tell({ _tag: "Answer", id, began, lost: null, ended: now(), result: { end, error, results } })
  })

  const rest = ({ id }: RequestOf<"Rest">) =>
    Effect.sync(() => {
      const { calls = 0, waiters = 0 } = transport.overview?.(0) ?? {}
      const at = now()
      const result = { turns: turns.running().length, calls, waiters }
      tell({ _tag: "Answer", id, began: at, lost: null, ended: at, result })
    })

  const answer = (request: typeof Request.Type): Effect.Effect<void> => {
    switch (request._tag) {
      case "Run":
        return command(request)
      case "Turn":
        return turn(request)
      case "Rest":
        return rest(request)
    }
  }

  createInterface({ input: process.stdin })
    .on("line", (line) => run(answer(read(line))))
    .on("close", () => process.exit(0))

  const { api } = yield* Servers.listen({ host: Servers.loopback, port: 0, operatorPort: 0 })
  yield* Layer.build(BuildRunner.layer({ gatewayUrl: `ws://${api}/agent`, nodeId: gateway.nodeId }))
  tell({ _tag: "Ready", address: api, nodeId: gateway.nodeId })
})

const main = Effect.fnUntraced(function*({ owner, schema, templates, workspaces }: typeof Options.Type) {
  const url = yield* Config.Redacted("DATABASE_URL")
  return yield* Layer.launch(
    Turns.layerDrain.pipe(
      Layer.provideMerge(layerDrain()),
      Layer.provideMerge(Layer.effectDiscard(serve(owner))),
      Layer.provide([
        Application.layer({ url, schema }),
        Authentication.layerToken({ token: Redacted.make("token of the fleet"), owner })
      ]),
      Layer.provide(Provisioning.layerTemplates({ templates, workspaces })),
      Layer.provide([Bounds.layer, NodeServices.layer, Logger.layer([])])
    )
  )
})

// Imported for its schemas it only declares, run as a program it serves.
if (process.argv[1] === import.meta.filename) {
  NodeRuntime.runMain(Effect.flatMap(
    Schema.decodeUnknownEffect(Schema.fromJsonString(Options))(process.argv[2]),
    main
  ))
}
