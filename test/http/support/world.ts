/** The whole API over a world in memory, with a model that plays a script. */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { LanguageModel } from "effect/ai"
import { ChatId, NodeId, TemplateId } from "../../../src/domain/Ids.ts"
import { Template } from "../../../src/domain/Template.ts"
import * as ApiRoutes from "../../../src/http/ApiRoutes.ts"
import * as HttpConfig from "../../../src/http/HttpConfig.ts"
import { BuildPolicy } from "../../../src/provisioner/BuildPolicy.ts"
import * as Enrollment from "../../../src/provisioner/Enrollment.ts"
import * as AgentEnrollments from "../../../src/store/AgentEnrollments.ts"
import { Chats } from "../../../src/store/Chats.ts"
import * as Holders from "../../../src/store/Holders.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../../src/testing/index.ts"
import { ScriptedStores } from "../../../src/testing/ScriptedStores.ts"
import * as Explanation from "../../../src/turn/Explanation.ts"
import * as Turns from "../../../src/turn/Turns.ts"
import { ann, bob, serve } from "./requests.ts"

export const c = ChatId.make("c")

/** What only bob may use. */
export const bobsTemplate = new Template({
  ...TestBuilds.template,
  templateId: TemplateId.make("bobs-template"),
  owners: [bob]
})

export type Services =
  | TestBuilds.Services
  | Turns.Turns
  | Enrollment.Enrollment
  | Explanation.Explanations
  | LanguageModel.LanguageModel
  | ScriptedModel.ScriptedModel

/** Enrollment and the chats stand in the database that `databaseDown` is about. */
export const layerEnrollments = Layer.effect(
  AgentEnrollments.AgentEnrollments,
  Effect.gen(function*() {
    const store = yield* AgentEnrollments.AgentEnrollments
    const { behind } = yield* ScriptedStores
    return AgentEnrollments.AgentEnrollments.of({
      recordStart: (options) => behind(store.recordStart(options)),
      recordEnd: (options) => behind(store.recordEnd(options)),
      replaceSecret: (options) => behind(store.replaceSecret(options))
    })
  })
).pipe(Layer.provide(AgentEnrollments.layerMemory))

const layerChats = Layer.effect(
  Chats,
  Effect.gen(function*() {
    const chats = yield* Chats
    const { behind } = yield* ScriptedStores
    return Chats.of({
      create: (options) => behind(chats.create(options)),
      get: (options) => behind(chats.get(options)),
      list: (options) => behind(chats.list(options))
    })
  })
)

const layerBuilds = TestBuilds.layerWith({ templates: [TestBuilds.template, bobsTemplate] })

const layer = (script: ReadonlyArray<ScriptedModel.Step>, policy: BuildPolicy): Layer.Layer<Services> =>
  Layer.mergeAll(
    Layer.provideMerge(
      Explanation.layer.pipe(Layer.provide(Holders.layerMemory)),
      Turns.layerWithoutSetup({ nodeId: NodeId.make("n") })
    ),
    Enrollment.layer.pipe(Layer.provide(layerEnrollments)),
    layerChats
  ).pipe(
    Layer.provideMerge(ScriptedModel.layer(script)),
    Layer.provideMerge(Layer.provide(layerBuilds, Layer.succeed(BuildPolicy, policy)))
  )

const open: BuildPolicy = { check: () => Effect.void }

/** Runs in a world of its own in which there is the chat `c`. */
export const provide =
  (script: ReadonlyArray<ScriptedModel.Step>, policy: BuildPolicy = open) =>
  <A, E>(body: Effect.Effect<A, E, Services | Scope.Scope>): Effect.Effect<A, E> =>
    Effect.flatMap(Chats, (chats) => Effect.orDie(chats.create({ chatId: c, owner: ann }))).pipe(
      Effect.andThen(Effect.scoped(body)),
      TestWorkspaces.provideWith(layer(script, policy), { drain: "10 seconds" })
    )

/** Answers by the routes of the whole API. */
export const api = (config: HttpConfig.Options = {}, options?: ApiRoutes.Options) =>
  serve(Layer.provide(ApiRoutes.layer(options), HttpConfig.layer(config)))
