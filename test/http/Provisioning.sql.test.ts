import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as ScriptedProvider from "../../src/testing/ScriptedProvider.ts"
import * as TestBuilds from "../../src/testing/TestBuilds.ts"
import { emptyDatabase } from "../postgres.ts"
import type { Routes } from "./support/requests.ts"
import { agentsCome, api as routes, world } from "./support/sql.ts"
import { listen } from "./support/streams.ts"

const followed = Effect.fnUntraced(function*({ fetch }: Routes, buildId: string, after = 0) {
  const stream = yield* listen(yield* fetch(`GET /builds/${buildId}/events?after=${after}`))
  return yield* stream.rest
})

const sent = Effect.fnUntraced(function*({ send }: Routes, status: number, request: string, body?: unknown) {
  const answer = yield* send(request, body === undefined ? {} : { body })
  assert.strictEqual(answer.status, status, `${request}: ${JSON.stringify(answer.body)}`)
  return answer.body
})

const template = TestBuilds.template.templateId

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("over PostgreSQL", (it) => {
  it.effect("a workspace is made, followed, stopped, started and deleted", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const provider = yield* ScriptedProvider.ScriptedProvider
      yield* agentsCome
      yield* provider.print(["one", "two"], "start")
      const { build, workspace } = yield* sent(api, 202, "POST /workspaces", {
        templateId: template,
        name: "web",
        chatId: "chat"
      })
      const told = yield* followed(api, build.buildId)
      assert.deepInclude(told.at(-1), { id: "2" })
      assert.deepInclude(told.at(-1)?.data, { _tag: "End", failure: null, agentStatus: null, startupScripts: null })
      const again = (yield* followed(api, build.buildId, 1)).filter(({ id }) => id === "2")
      assert.deepInclude(again[0]?.data, { _tag: "Line", text: "two" })
      const path = `/workspaces/${workspace.workspaceId}`
      const { agents } = yield* sent(api, 200, `GET ${path}/agents`)
      assert.deepInclude(agents[0], { name: "main", status: "connected", rule: 5, connectionTimeout: 120_000 })
      yield* sent(api, 200, `POST ${path}/start`)
      yield* sent(api, 409, "POST /workspaces", { templateId: template, name: "WEB" })
      const stop = yield* sent(api, 202, `POST ${path}/stop`)
      yield* followed(api, stop.build.buildId)
      const start = yield* sent(api, 202, `POST ${path}/start`, { parameters: { size: 2 } })
      yield* followed(api, start.build.buildId)
      const { latest } = yield* sent(api, 200, `GET ${path}`)
      assert.deepInclude(latest, { parameters: { size: "2" } })
      const gone = yield* sent(api, 202, `DELETE ${path}`)
      yield* followed(api, gone.build.buildId)
      yield* sent(api, 404, `GET ${path}`)
      yield* sent(api, 404, `POST ${path}/start`)
      assert.deepStrictEqual(yield* sent(api, 200, "GET /workspaces"), { workspaces: [], next: null })
    }).pipe(Effect.provide(world)), 60_000)
})
