/** What a backend answers to requests, each a line of JSON, beside the servers that all others reach it by. */
import { Context, Effect, FiberSet, Layer, Option, Result, Schema, type Scope, Stream } from "effect"
import { createInterface } from "node:readline"
import { AgentTransport } from "../../src/agent/index.ts"
import type { AgentConnection, Protocol } from "../../src/agent/index.ts"
import type { Services } from "../../src/cli/Application.ts"
import * as Servers from "../../src/cli/Servers.ts"
import * as ChatWorkspaces from "../../src/dial/ChatWorkspaces.ts"
import type { WorkspaceError } from "../../src/domain/Errors.ts"
import type { ChatId, OwnerId } from "../../src/domain/Ids.ts"
import type { Authentication } from "../../src/http/Authentication.ts"
import * as BuildRunner from "../../src/provisioner/BuildRunner.ts"
import type { Providers } from "../../src/provisioner/Provider.ts"
import type { Templates } from "../../src/store/Templates.ts"
import * as ChatTools from "../../src/tool/ChatTools.ts"
import { Turns } from "../../src/turn/index.ts"
import { Event, Request } from "./Wire.ts"

type RequestOf<Tag extends typeof Request.Type["_tag"]> = Extract<typeof Request.Type, { readonly _tag: Tag }>

const write = Schema.encodeSync(Schema.fromJsonString(Event))
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Request))
const isJson = Schema.decodeUnknownSync(Schema.Json)

const tell = (event: typeof Event.Type): void => {
  process.stdout.write(`${write(event)}\n`)
}

const failure = (error: WorkspaceError): Schema.Json => ({
  error: error.code,
  retry: error.recovery.retry,
  sent: "sent" in error ? error.sent : null
})

const outputOf = ({ pieces }: Protocol.ProcessOutput): string =>
  Buffer.concat(pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])).toString()

/** Listens, builds what is asked for if agents have somewhere to call, and answers until nobody writes any more. */
export const serve = Effect.fnUntraced(function*({ agentUrl, owner }: {
  readonly owner: OwnerId
  readonly agentUrl: string | undefined
}): Effect.fn.Return<
  void,
  Effect.Error<ReturnType<typeof Servers.listen>>,
  Services | Templates | Providers | Authentication | Scope.Scope
> {
  const turns = yield* Turns.Turns
  const tools = yield* ChatTools.ChatTools
  const workspaces = yield* ChatWorkspaces.ChatWorkspaces
  const transport = yield* AgentTransport.AgentTransport
  const { nodeId } = turns
  const { api } = yield* Servers.listen({ host: Servers.loopback, port: 0, operatorPort: 0 })
  const runner = agentUrl === undefined
    ? undefined
    : Context.get(yield* Layer.build(BuildRunner.layer({ gatewayUrl: agentUrl, nodeId })), BuildRunner.BuildRunner)
  // After all that is under way has ended with the fibers below.
  yield* Effect.addFinalizer(() => Effect.sync(() => tell({ _tag: "Gone" })))
  const run = yield* FiberSet.makeRuntime()

  const using = (
    { chat, id }: { readonly chat: ChatId; readonly id: string },
    f: (connection: AgentConnection.AgentConnection) => Effect.Effect<Schema.Json, WorkspaceError>
  ) =>
    Effect.flatMap(workspaces.open(chat), ({ use }) => use(f)).pipe(
      Effect.catch((error) => Effect.succeed(failure(error))),
      Effect.map((result) => tell({ _tag: "Answer", id, result }))
    )

  const tool = Effect.fnUntraced(function*({ args, chat, id, tool }: RequestOf<"Tool">) {
    const opened = yield* Effect.result(tools.open({ chatId: chat, owner }))
    const result = Result.isFailure(opened)
      ? failure(opened.failure)
      : yield* Effect.promise(() =>
        opened.success.plain.find(({ name }) => name === tool)?.execute(args, {}) ??
          Promise.reject(new Error(`no tool ${tool}`))
      )
    tell({ _tag: "Answer", id, result: isJson(result) })
  })

  const send = Effect.fnUntraced(function*({ chat, id, message, text }: RequestOf<"Send">) {
    const sent = yield* Effect.result(turns.send({ chatId: chat, owner, messageId: message, text }))
    if (Result.isFailure(sent)) return tell({ _tag: "Answer", id, result: { error: sent.failure.code } })
    const { attached, events, turn } = sent.success
    tell({ _tag: "Answer", id, result: { turn: turn.turnId, attached } })
    const end = yield* Effect.result(
      Stream.runForEach(events, (told) => Effect.sync(() => tell({ _tag: "Told", id, told })))
    )
    tell({ _tag: "Over", id, error: Result.isFailure(end) ? end.failure.code : null })
  })

  const interrupt = Effect.fnUntraced(function*({ chat, id }: RequestOf<"Interrupt">) {
    const asked = yield* Effect.result(turns.interrupt({ chatId: chat, owner }))
    tell({
      _tag: "Answer",
      id,
      result: Result.isFailure(asked)
        ? { error: asked.failure.code }
        : { turn: Option.getOrNull(Option.map(asked.success, ({ turnId }) => turnId)) }
    })
  })

  const answer = (request: typeof Request.Type): Effect.Effect<void> => {
    switch (request._tag) {
      case "Tool":
        return tool(request)
      case "Run":
        return using(request, ({ processes }) =>
          Effect.map(
            processes.run({ id: request.operation, argv: ["sh", "-c", request.command] }, {
              timeout: request.timeoutMillis
            }),
            ({ code, output }) => ({ success: code === 0, output: outputOf(output) })
          ))
      case "Outcome":
        return using(request, ({ processes }) =>
          Effect.map(processes.output(request.operation), (output) => ({
            running: output.state._tag === "Running",
            success: output.state._tag === "Exited" && output.state.code === 0,
            output: outputOf(output)
          })))
      case "Send":
        return send(request)
      case "Interrupt":
        return interrupt(request)
      case "Rest":
        return Effect.sync(() => {
          const { calls = 0, waiters = 0 } = transport.overview?.(0) ?? {}
          const chats = workspaces.known(1000).filter((chat) => workspaces.describe(chat).waiters > 0).length
          tell({
            _tag: "Answer",
            id: request.id,
            result: {
              turns: turns.running().length,
              calls,
              dials: waiters,
              chats,
              builds: runner?.running().length ?? 0
            }
          })
        })
    }
  }

  createInterface({ input: process.stdin })
    .on("line", (line) => run(answer(read(line))))
    .on("close", () => process.exit(0))

  tell({ _tag: "Ready", port: Number(new URL(`http://${api}`).port), nodeId })
})
