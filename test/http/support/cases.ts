/**
 * For each endpoint a request that it answers, and one for each other answer that it may give but those that all
 * endpoints give: `Endpoints.test.ts` knows these, and misses every answer of the document that is neither.
 */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import { unbound } from "../../../src/domain/Binding.ts"
import { BuildRefused, StoreError, TurnRefused } from "../../../src/domain/Errors.ts"
import { BuildId } from "../../../src/domain/Ids.ts"
import type * as ApiRoutes from "../../../src/http/ApiRoutes.ts"
import type * as HttpConfig from "../../../src/http/HttpConfig.ts"
import { Readiness } from "../../../src/provisioner/Readiness.ts"
import { Workspaces } from "../../../src/provisioner/Workspaces.ts"
import { ChatBindings } from "../../../src/store/ChatBindings.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../../src/testing/index.ts"
import { Turns } from "../../../src/turn/Turns.ts"
import type { Status } from "./contract.ts"
import type { Ids, Place } from "./place.ts"
import type { Routes } from "./requests.ts"
import { listen } from "./streams.ts"
import type * as World from "./world.ts"

/** What a request has that is not in its endpoint: ids in the path in place of those of the place, and a body. */
export interface Asking {
  readonly ids?: Ids | undefined
  readonly body?: unknown
}

type Layers = ReturnType<typeof ApiRoutes.layer>

export interface Case {
  readonly answer: Status
  /** When it is given. */
  readonly when: string
  readonly asks?: Asking | undefined
  /** What comes to pass before. */
  readonly after?:
    | ((api: Routes, place: Place) => Effect.Effect<unknown, unknown, World.Services | Scope.Scope>)
    | undefined
  /** What the model says behind its first answer. */
  readonly script?: ReadonlyArray<ScriptedModel.Step> | undefined
  readonly config?: HttpConfig.Options | undefined
  /** Whether the application's policy still allows builds. */
  readonly closed?: boolean | undefined
  readonly over?: ((routes: Layers) => Layers) | undefined
}

export interface Endpoint {
  /** The body of a request that is answered. */
  readonly body?: object | undefined
  readonly cases: ReadonlyArray<Case>
}

const down = () => Effect.fail(new StoreError({ operation: "planted" }))

const withTurns = (meddle: (turns: Turns["Service"]) => Turns["Service"]) => (routes: Layers): Layers =>
  Layer.provide(routes, Layer.effect(Turns, Effect.map(Turns, meddle)))

/** The templates cannot be read. */
const withoutTemplates = (routes: Layers): Layers =>
  Layer.provide(
    routes,
    Layer.effect(Workspaces, Effect.map(Workspaces, (all) => ({ ...all, templates: down, template: down })))
  )

/** The chat's row is seen as it was before it had a workspace. */
const seenLate = (routes: Layers): Layers =>
  Layer.provide(
    routes,
    Layer.effect(
      ChatBindings,
      Effect.map(ChatBindings, (all) => ({
        ...all,
        get: (chatId) => Effect.succeed(unbound(chatId))
      }))
    )
  )

const hanging = Effect.flatMap(TestBuilds.TestBuilds, (world) => world.onBuild({ hangs: true }))

const ended = (buildId: string) => Effect.flatMap(Readiness, (readiness) => readiness.of(BuildId.make(buildId)))

const stopped = Effect.fnUntraced(function*({ send }: Routes, { ids }: Place) {
  yield* ended((yield* send(`POST /workspaces/${ids["workspaceId"]}/stop`)).body.build.buildId)
})

/** The workspace is being stopped, or, where it is stopped, started. */
const underWay = (transition: "start" | "stop") =>
  Effect.fnUntraced(function*(api: Routes, place: Place) {
    if (transition === "start") yield* stopped(api, place)
    yield* hanging
    yield* api.send(`POST /workspaces/${place.ids["workspaceId"]}/${transition}`)
  })

const elsewhere: Asking = { ids: { workspaceId: "elsewhere" } }
const enrolled = ({ send }: Routes) => send("POST /workspaces/elsewhere/enrollment")
const retired = (api: Routes) => Effect.andThen(enrolled(api), api.send("DELETE /workspaces/elsewhere/enrollment"))

const say = (messageId: string, text = "Hello") => ({ messageId, text })

/** A stream is open, of the turn of another message. */
const listening = ({ fetch: ask }: Routes) => Effect.flatMap(ask("POST /chats/c/messages", { body: say("m2") }), listen)

const tooManyStreams: Case = {
  answer: "429 too_many_streams",
  when: "its owner has as many open as one may",
  after: listening,
  script: [ScriptedModel.hang],
  config: { streamsPerOwner: 1 }
}

const storeFails: Case = {
  answer: "503 store_error",
  when: "the templates cannot be read",
  over: withoutTemplates
}

const policyRefuses: Case = { answer: "403 build_refused", when: "the application's policy refuses it", closed: true }

const madeElsewhere: Case = {
  answer: "404 template_not_found",
  when: "the workspace was made elsewhere",
  asks: elsewhere,
  after: enrolled
}

/** Each is answered as it is. */
const answered = (answer: Status, when = "asked for"): Endpoint => ({ cases: [{ answer, when }] })

const newWorkspace = { templateId: TestWorkspaces.templateId }

export const endpoints: Readonly<Record<string, Endpoint>> = {
  "chats.list": answered("200"),
  "chats.create": { body: {}, cases: [{ answer: "201", when: "asked for" }] },
  "chats.get": answered("200"),
  "chats.bind": { body: { workspaceId: null }, cases: [{ answer: "200", when: "asked for" }] },
  "chats.children": answered("200"),
  "chats.createChild": { body: {}, cases: [{ answer: "201", when: "asked for" }] },
  "turns.history": answered("200"),
  "turns.send": {
    body: say("m2"),
    cases: [
      { answer: "200", when: "nothing runs in the chat", script: [ScriptedModel.say("Well.")] },
      {
        answer: "409 turn_running",
        when: "another message is answered",
        script: [ScriptedModel.hang],
        after: listening,
        asks: { body: say("m3") }
      },
      { answer: "413 message_too_large", when: "the text is larger than its limit", config: { messageBytes: 4 } },
      tooManyStreams,
      {
        answer: "503 turn_refused",
        when: "the node is about to end",
        over: withTurns((turns) => ({ ...turns, send: ({ chatId }) => Effect.fail(new TurnRefused({ chatId })) }))
      }
    ]
  },
  "turns.latest": answered("200"),
  "turns.interrupt": answered("202"),
  "turns.get": answered("200"),
  "turns.follow": { cases: [{ answer: "200", when: "the turn has ended" }, tooManyStreams] },
  "explanations.get": answered("200"),
  "templates.list": { cases: [{ answer: "200", when: "asked for" }, storeFails] },
  "templates.get": {
    cases: [
      { answer: "200", when: "asked for" },
      { answer: "404 template_not_found", when: "nobody has it", asks: { ids: { templateId: "none" } } },
      {
        answer: "404 template_not_found",
        when: "it is for others",
        asks: { ids: { templateId: "bobs-template" } }
      },
      storeFails
    ]
  },
  "workspaces.list": answered("200"),
  "workspaces.create": {
    body: newWorkspace,
    cases: [
      { answer: "202", when: "asked for" },
      policyRefuses,
      {
        answer: "404 template_not_found",
        when: "there is no such template",
        asks: { body: { templateId: "none" } }
      },
      {
        answer: "409 workspace_name_taken",
        when: "another has the name",
        asks: { body: { ...newWorkspace, name: "WEB" } }
      },
      {
        answer: "409 workspace_changed",
        when: "the chat was moved meanwhile",
        asks: { body: { ...newWorkspace, chatId: "c" } },
        over: seenLate
      },
      {
        answer: "422 parameters_refused",
        when: "a parameter is out of its bounds",
        asks: { body: { ...newWorkspace, parameters: { size: 9 } } }
      },
      {
        answer: "429 too_many_workspaces",
        when: "the chat made as many as it may",
        asks: { body: { ...newWorkspace, chatId: "c" } },
        after: ({ send }) =>
          Effect.repeat(send("POST /workspaces", { body: { ...newWorkspace, chatId: "c" } }), { times: 1 })
      }
    ]
  },
  "workspaces.get": answered("200"),
  "workspaces.start": {
    body: {},
    cases: [
      { answer: "200", when: "it runs" },
      { answer: "202", when: "it is stopped", after: stopped },
      { answer: "409 build_unfinished", when: "it is being stopped", after: underWay("stop") },
      {
        answer: "422 parameters_refused",
        when: "a parameter is out of its bounds",
        after: stopped,
        asks: { body: { parameters: { size: 9 } } }
      },
      { ...policyRefuses, after: stopped },
      { ...madeElsewhere, after: retired }
    ]
  },
  "workspaces.stop": {
    cases: [
      { answer: "202", when: "it runs" },
      { answer: "200", when: "it is stopped", after: stopped },
      { answer: "409 build_unfinished", when: "it is being started", after: underWay("start") },
      policyRefuses,
      madeElsewhere
    ]
  },
  "workspaces.delete": {
    cases: [
      { answer: "202", when: "it runs" },
      { answer: "409 build_unfinished", when: "it is being stopped", after: underWay("stop") },
      policyRefuses,
      madeElsewhere
    ]
  },
  "workspaces.cancel": {
    cases: [
      { answer: "200", when: "nothing is under way" },
      { answer: "202", when: "it is being stopped", after: underWay("stop") }
    ]
  },
  "builds.get": answered("200"),
  "builds.log": answered("200"),
  "builds.events": { cases: [{ answer: "200", when: "the build has ended" }, tooManyStreams] },
  "agents.list": answered("200"),
  "agents.get": answered("200"),
  "agents.enroll": { body: {}, cases: [{ answer: "201", when: "it is one's own" }] },
  "agents.retire": answered("204"),
  "agents.rotate": answered("200")
}

/** The policy of the application, until it is closed. */
export const policy = () => {
  let closed = false
  return {
    check: () => closed ? Effect.fail(new BuildRefused({ detail: "Not now." })) : Effect.void,
    close: Effect.sync(() => {
      closed = true
    })
  }
}
