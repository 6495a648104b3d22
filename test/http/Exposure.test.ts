/** What a user of the API says and hears is in nothing that is exported, on neither side. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpMiddleware } from "effect/http"
import { MessageId, TemplateId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import * as Client from "../../src/http/Client.ts"
import { TurnStore } from "../../src/store/TurnStore.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { collecting, secret } from "../cli/support/collecting.ts"
import { anns, listening } from "./support/requests.ts"
import * as World from "./support/world.ts"

const script = [
  ScriptedModel.calls(
    ["execute", { command: secret("command") }],
    ["write_file", { path: `/${secret("path")}`, content: secret("content") }],
    ["read_file", { path: `/${secret("missing")}` }]
  ),
  ScriptedModel.say(secret("answer"))
]

/** The answer to this fits no contract, and says too much. */
const overBroken = Layer.effect(
  TurnStore,
  Effect.map(TurnStore, (store) => ({
    ...store,
    history: () =>
      Effect.succeed(
        [{ epoch: secret("epoch"), number: 1, message: { role: "user" as const, content: secret("history") } }] as never
      )
  }))
)

describe("spans, metrics and logs of the API and its client", () => {
  it.live("hold no token, and nothing of what requests and answers say", () => {
    const collected = collecting()
    return Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      const builds = yield* TestBuilds.TestBuilds
      yield* builds.onBuild({ prints: [secret("log")] })
      yield* world.onExecute(() => Effect.succeed({ code: 1, stdout: secret("stdout"), stderr: secret("stderr") }))
      const baseUrl = yield* listening(Layer.provide(ApiRoutes.layer(), overBroken))
      const { api, follow, send } = yield* Client.make({ baseUrl, token: Redacted.make(anns) })

      const { build, workspace } = yield* api.workspaces.create({
        payload: { templateId: TestWorkspaces.templateId, chatId: World.c, parameters: { size: 2 } }
      })
      const told = yield* Effect.flatMap(
        api.builds.events({ params: { buildId: build.buildId }, headers: {}, query: {} }),
        Stream.runCollect
      )
      assert.include(JSON.stringify(told), secret("log"))
      yield* api.builds.log({ params: { buildId: build.buildId }, query: {} })
      const said = yield* Stream.runCollect(
        send({ chatId: World.c, messageId: MessageId.make("m"), text: secret("message") })
      )
      for (const place of ["command", "content", "stdout", "answer"]) {
        assert.include(JSON.stringify(said), secret(place))
      }
      const latest = yield* api.turns.latest({ params: { chatId: World.c } })
      if (latest !== null) yield* Stream.runDrain(follow({ turnId: latest.turnId }))
      yield* api.explanations.get({ params: { chatId: World.c }, headers: {} })

      const enrolled = yield* api.agents.enroll({ params: { workspaceId: WorkspaceId.make("box") }, payload: {} })
      const rotated = yield* api.agents.rotate({ params: { agentId: enrolled.agentId } })
      const tokens = [enrolled.token, rotated.token].map(Redacted.value)

      const params = { workspaceId: workspace.workspaceId }
      yield* api.workspaces.stop({ params })
      const refused = yield* Effect.all([
        Effect.flip(api.workspaces.create({
          payload: { templateId: TestWorkspaces.templateId, parameters: { [secret("key")]: secret("value") } }
        })),
        Effect.flip(api.workspaces.create({ payload: { templateId: TemplateId.make(secret("template")) } })),
        Effect.flip(api.turns.history({ params: { chatId: World.c }, query: {} }))
      ])
      const codes = refused.map(({ _tag }) => _tag)
      assert.deepStrictEqual(codes, ["ParametersRefused", "TemplateNotFound", "InternalError"])
      const raw = (body: string, token = anns) =>
        Effect.promise(() =>
          fetch(`${baseUrl}/chats`, {
            method: "POST",
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
            body
          })
        )
      assert.strictEqual((yield* raw(JSON.stringify({ chatId: [secret("body")] }))).status, 400)
      assert.strictEqual((yield* raw(`{"${secret("json")}`)).status, 400)
      assert.strictEqual((yield* raw("{}", secret("unknown"))).status, 401)

      const all = yield* collected.all
      // Of the server and of the client, and each with its headers.
      assert.isAbove(all.filter((text) => text.includes("authorization', '<redacted>'")).length, 20)
      const found = all.filter((text) => /PLANTED/.test(text) || tokens.some((one) => text.includes(one)))
      assert.deepStrictEqual(found, [])
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeHttpClient.layerUndici),
      World.provide(script),
      Effect.provideService(HttpMiddleware.TracerHeaderFilter, () => true),
      Effect.provideService(HttpClient.TracerHeaderFilter, () => true),
      collected.exported
    )
  }, 60_000)
})
