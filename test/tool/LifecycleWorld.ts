/**
 * The lifecycle tools of chats in a world that builds, called as a loop of a model calls them: by name, with plain
 * arguments, through the schemas.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import { ChatId, OwnerId, TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import { BuildPolicy } from "../../src/provisioner/BuildPolicy.ts"
import * as TestBuilds from "../../src/testing/TestBuilds.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"
import * as LifecycleHandlers from "../../src/tool/LifecycleHandlers.ts"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"
import * as ToolCalls from "../../src/tool/ToolCalls.ts"
import type { ToolContext } from "../../src/tool/ToolContext.ts"

export const chat = ChatId.make("chat")

/** A result of a tool, as a model reads it. */
export type Json = Readonly<Record<string, unknown>>

/** What a call of a tool came to, after what it said meanwhile. */
export interface Answer {
  readonly isFailure: boolean
  readonly result: Json
  readonly progress: ReadonlyArray<Json>
}

/** One turn of a chat. */
export interface Turn {
  readonly workspace: ChatWorkspace
  readonly call: (name: string, params?: Json) => Effect.Effect<Answer>
  /**
   * The call in a fiber of its own, which has come as far as it can at this instant. It begins a millisecond from now: a
   * test clock waits only for what it has woken.
   */
  readonly fork: (name: string, params?: Json) => Effect.Effect<Fiber.Fiber<Answer>>
}

class Handlers extends Context.Service<Handlers, (context: ToolContext) => LifecycleHandlers.LifecycleHandlers>()(
  "test/tool/LifecycleWorld/Handlers"
) {}

export type Services = TestBuilds.Services | Handlers

const templateWith = (id: string, fields: Partial<Template>): Template =>
  new Template({ ...TestBuilds.template, templateId: TemplateId.make(id), name: id, ...fields })

/** Beside the template of all workspaces here: some that only few tests want. */
export const templates: ReadonlyArray<Template> = [
  TestBuilds.template,
  templateWith("two-agents", {
    agents: [{ name: "a-chat", displayOrder: 0 }, { name: "b-chat", displayOrder: 1 }]
  }),
  templateWith("no-agent", { agents: [] }),
  templateWith("of-others", { owners: [OwnerId.make("somebody else")] }),
  templateWith("strict", {
    parameters: [
      { name: "region", type: "string", options: ["eu", "us"] },
      { name: "memory", type: "number", default: 2, min: 1, max: 8 }
    ]
  })
]

/** The world, under bounds that a test gives. */
export const layer = (bounds: Layer.Layer<never> = Layer.empty): Layer.Layer<Services> =>
  Layer.effect(Handlers, LifecycleHandlers.make).pipe(
    Layer.provideMerge(TestBuilds.layerWith({ templates })),
    Layer.provide(bounds)
  )

/** What a test has in hand: the verbs, and turns of the one chat. */
export interface Hands {
  readonly world: TestWorkspaces.TestWorkspaces["Service"]
  readonly builds: TestBuilds.TestBuilds["Service"]
  readonly turn: (chatId?: ChatId) => Effect.Effect<Turn>
}

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null

const json = (value: unknown): Json => {
  assert.isTrue(isJson(value), "not an object")
  return isJson(value) ? value : {}
}

const hands: Effect.Effect<Hands, never, Services> = Effect.gen(function*() {
  const handlers = yield* Handlers
  const workspaces = yield* ChatWorkspaces
  const turn = Effect.fnUntraced(function*(chatId: ChatId = chat) {
    const workspace = yield* Effect.orDie(workspaces.open(chatId))
    const tools = Object.values(LifecycleTools.tools)
    const toolNames = tools.map(({ name }) => name)
    const context = yield* LifecycleTools.toHandlers(
      handlers({ chatId, owner: TestWorkspaces.owner, workspace, audience: { toolNames } })
    )
    const kit = yield* ToolCalls.make(tools, context)
    const call: Turn["call"] = Effect.fnUntraced(function*(name, params = {}) {
      const results = yield* kit.handle(name, params).pipe(Effect.flatMap(Stream.runCollect), Effect.orDie)
      const progress = results.filter((result) => result.preliminary).map(({ encodedResult }) => json(encodedResult))
      const last = results.at(-1)
      return { isFailure: last?.isFailure === true, result: json(last?.encodedResult), progress }
    })
    const fork: Turn["fork"] = (name, params) =>
      Effect.tap(
        Effect.forkChild(Effect.delay(call(name, params), 1), { startImmediately: true }),
        () => TestClock.adjust(1)
      )
    return { workspace, call, fork }
  })
  return {
    world: yield* TestWorkspaces.TestWorkspaces,
    builds: yield* TestBuilds.TestBuilds,
    turn
  }
})

/** 64 calls at one instant, each in a turn of its own: nobody knows of the others but by the store. */
export const crowd = Effect.fnUntraced(function*({ turn }: Hands, name: string, params?: Json) {
  const turns = yield* Effect.forEach(Array.from({ length: 64 }), () => turn())
  const calls = yield* Effect.forEach(
    turns,
    ({ call }) => Effect.forkChild(Effect.delay(call(name, params), 1), { startImmediately: true })
  )
  yield* TestClock.adjust(1)
  return calls
})

/** The answer that all of them got. */
export const same = Effect.fnUntraced(function*(calls: ReadonlyArray<Fiber.Fiber<Answer>>) {
  const answers = yield* Effect.forEach(calls, now)
  const [first] = answers
  assert.isDefined(first)
  for (const { isFailure, result } of answers) {
    assert.deepStrictEqual([isFailure, result], [first?.isFailure, first?.result])
  }
  return first?.result ?? {}
})

export const test = (
  name: string,
  body: (hands: Hands) => Effect.Effect<void, unknown, Services>,
  bounds?: Layer.Layer<never>
) =>
  it.effect(
    name,
    () => Effect.flatMap(hands, body).pipe(TestWorkspaces.provideWith(layer(bounds), { drain: "10 seconds" }))
  )

/** The answer of a call that needs no time. */
export const now = (fiber: Fiber.Fiber<Answer>): Effect.Effect<Answer> =>
  Effect.suspend(() => {
    assert.isTrue(fiber.pollUnsafe() !== undefined, "came to nothing in time")
    return Fiber.join(fiber)
  })

/** The answer of a call that takes exactly so many milliseconds from now. */
export const after = (fiber: Fiber.Fiber<Answer>, millis: number): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    yield* TestClock.adjust(millis - 1)
    assert.isTrue(fiber.pollUnsafe() === undefined, "came to something too early")
    yield* TestClock.adjust(1)
    return yield* now(fiber)
  })

/** What a result says beside which workspace and build it is about. */
export const told = (result: Json): Json =>
  Object.fromEntries(
    Object.entries(result).filter(([key]) => !["workspace_id", "workspace_name", "build_id"].includes(key))
  )

/** The phases that were reported, each once. */
export const tags = (progress: ReadonlyArray<Json>): ReadonlyArray<unknown> =>
  Array.from(new Set(progress.map((report) => json(report["progress"])["_tag"])))

/** A policy that allows everything, and lets somebody else act each time it is asked: just before a build is written. */
export const meddler = () => {
  let meddle: Effect.Effect<void> = Effect.void
  return {
    does: (effect: Effect.Effect<void>) =>
      Effect.sync(() => {
        meddle = effect
      }),
    layer: Layer.succeed(BuildPolicy, { check: () => Effect.suspend(() => meddle) })
  }
}
