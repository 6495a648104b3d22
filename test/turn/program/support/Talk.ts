/** Turns of a chat with a model that plays a script, and what the model saw. */
import { assert } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Schema, Stream } from "effect"
import type * as Prompt from "effect/ai/Prompt"
import { ChatWorkspaces } from "../../../../src/dial/index.ts"
import { type ChatId, MessageId } from "../../../../src/domain/Ids.ts"
import { TurnStore } from "../../../../src/store/index.ts"
import { ScriptedModel } from "../../../../src/testing/index.ts"
import { TurnLimits, Turns } from "../../../../src/turn/index.ts"
import { fresh } from "../../../tool/program/support/Backends.ts"
import { assertAcceptable } from "../../support/turns.ts"
import * as Observed from "./Observed.ts"
import { owner } from "./World.ts"

/**
 * A turn from the message to its end, on a node of its own. `spent` is what was asked before each request to the model: at
 * first by the setup, then by the calls of each step.
 */
export const turn = Effect.fnUntraced(function*(
  chatId: ChatId,
  script: ReadonlyArray<ScriptedModel.Step>,
  limits: TurnLimits.Options = {}
) {
  const chats = yield* ChatWorkspaces.ChatWorkspaces
  const observed = yield* Observed.Observed
  const store = yield* TurnStore.TurnStore
  const spent: Array<Observed.Cost> = []
  const beganAt = yield* Clock.currentTimeMillis
  let modelAt = Infinity
  let before = observed.seen()
  const dialed = observed.dialed().length
  const flights = () => chats.describe(chatId).recent.filter(({ path }) => path !== "hit").toReversed()
  const flown = flights().length

  const watched = (step: ScriptedModel.Step): ScriptedModel.Step => (request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      modelAt = Math.min(modelAt, now)
      const after = observed.seen()
      spent.push(Observed.difference(after, before))
      before = after
      return step(request)
    })

  const context = yield* Turns.layer({ system: "Be brief." }).pipe(
    Layer.provideMerge(ScriptedModel.layer(script.map(watched))),
    Layer.provide(TurnLimits.layer(limits)),
    Layer.build
  )
  const sent = yield* Context.get(context, Turns.Turns).send({
    chatId,
    owner,
    messageId: MessageId.make(fresh("message")),
    text: "Go on."
  })
  const events = (yield* Stream.runCollect(sent.events)).map(({ event }) => event)
  const history = yield* store.history({ chatId, owner })
  assertAcceptable(history.map(({ message }) => message))
  const last = events.at(-1)
  return {
    spent,
    /** Milliseconds from the message to the model. */
    modelAfter: modelAt - beganAt,
    requests: Context.get(context, ScriptedModel.ScriptedModel).requests(),
    dialed: observed.dialed().slice(dialed),
    /** How the flights of the turn came to an agent, in order; null where one did not. */
    paths: flights().slice(flown).map(({ path }) => path),
    notices: events.flatMap((event) => event._tag === "Notice" ? [event.message] : []),
    end: last?._tag === "End" ? last : assert.fail("a turn ends")
  }
}, Effect.scoped)

export const done = { _tag: "End", status: "done", reason: null } as const

const decodeResult = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Json))

/** The system prompt of a request. */
export const systemOf = ({ prompt }: ScriptedModel.Request): string =>
  prompt.content.flatMap(({ content, role }: Prompt.Message) => role === "system" ? [content] : []).join("\n")

export const toolsOf = ({ tools }: ScriptedModel.Request): ReadonlyArray<string> => tools.map(({ name }) => name)

/** The results that a request ended with, as the model reads them. */
export const resultsOf = (request: ScriptedModel.Request) =>
  ScriptedModel.results(request).map(({ result }) => decodeResult(result))
