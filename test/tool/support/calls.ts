/** The tools of one chat in a world of its own, called as a model loop calls them. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import type { AgentConnection } from "../../../src/agent/index.ts"
import { Binding, Ids } from "../../../src/domain/index.ts"
import { TestWorkspaces } from "../../../src/testing/index.ts"
import { ChatTools, ToolConfig } from "../../../src/tool/index.ts"
import type { ToolCalls } from "../../../src/tool/index.ts"
import type { ToolContext } from "../../../src/tool/ToolContext.ts"

export const chatId = Ids.ChatId.make("chat-1")

/** The world, with the tools that need no builds. */
export const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) => inWorldWith({})(effect)

export const inWorldWith = (options: ToolConfig.Options) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.provide(Layer.provide(ChatTools.layerWithoutBuilds, ToolConfig.layer(options))),
    TestWorkspaces.provide
  )

/** What a call came to, as the model reads it. */
export const call = Effect.fnUntraced(function*(toolkit: ToolCalls.ChatToolkit, name: string, args: unknown) {
  const answers = yield* Stream.runCollect(Stream.unwrap(toolkit.handle(name, args)))
  const last = answers.at(-1)
  assert.isDefined(last, "a call has one result")
  assert.deepStrictEqual(answers.filter(({ preliminary }) => !preliminary).length, 1)
  // As it goes over a wire.
  return { isFailure: last?.isFailure === true, result: JSON.parse(JSON.stringify(last?.encodedResult)) }
})

/** A running workspace, its tools, and the hands on it. */
export const running = Effect.gen(function*() {
  const world = yield* TestWorkspaces.TestWorkspaces
  const place = yield* world.running(chatId)
  const { toolkit, plain } = yield* opened()
  return { world, place, toolkit, plain, call: (name: string, args: unknown) => call(toolkit, name, args) }
})

export const opened = (child?: boolean) =>
  Effect.flatMap(ChatTools.ChatTools, (tools) => tools.open({ chatId, owner: TestWorkspaces.owner, child }))

/** The chat of a connection that answers as a test says. */
export const contextOf = (
  connection: AgentConnection.AgentConnection,
  toolNames: ReadonlyArray<string>
): ToolContext => ({
  chatId,
  owner: TestWorkspaces.owner,
  audience: { toolNames },
  workspace: {
    connect: Effect.succeed(connection),
    use: (f) => f(connection),
    binding: Effect.succeed(Binding.unbound(chatId)),
    currentAgent: Effect.never,
    select: () => Effect.void
  }
})
