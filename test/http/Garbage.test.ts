/** Whatever is sent to the API, the answer is one, and is no fault of the server's. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { ScriptedModel, TestBuilds } from "../../src/testing/index.ts"
import { emptyDatabase } from "../postgres.ts"
import { operations } from "./support/contract.ts"
import type { Operation } from "./support/contract.ts"
import * as Garbage from "./support/garbage.ts"
import * as Place from "./support/place.ts"
import type { Routes } from "./support/requests.ts"
import * as Sql from "./support/sql.ts"
import { listen } from "./support/streams.ts"
import * as World from "./support/world.ts"

const seed = 20261124

/** What no answer says: where it happened, and with what. */
const traces = /\n\s+at |node_modules|\.ts:\d|"cause"|"stack"/

/** Sends garbage to an endpoint: each kind of it, and so much of what is generated. */
const attack = Effect.fnUntraced(function*({ fetch }: Routes, operation: Operation, ids: Place.Ids, runs: number) {
  const isFine = Effect.fnUntraced(function*({ request, sending }: Garbage.Garbage) {
    const response = yield* fetch(request, sending)
    if (response.headers.get("content-type") === "text/event-stream") {
      yield* Effect.promise(() => response.body?.cancel() ?? Promise.resolve())
      return true
    }
    const text = yield* Effect.promise(() => response.text())
    return response.status < 500 && !traces.test(text)
  })
  for (const garbage of Garbage.each(operation, ids)) {
    assert.isTrue(yield* isFine(garbage), JSON.stringify(garbage).slice(0, 5000))
  }
  const result = yield* Arbitrary.checkEffect(Garbage.requests(operation, ids), isFine, { runs, seed, maxShrinks: 50 })
  assert.isUndefined(Arbitrary.formatCheckFailure(result)?.slice(0, 5000))
})

const silent = Array.from({ length: 1000 }, () => ScriptedModel.say("Yes"))

describe("garbage", () => {
  it.effect.each(operations.map((operation) => [operation.id, operation] as const))(
    "%s answers it, and never with a fault of its own",
    ([, operation]) =>
      Effect.gen(function*() {
        const api = yield* World.api()
        const { ids } = yield* Place.make(api)
        yield* attack(api, operation, ids, 60)
      }).pipe(World.provide(silent))
  )
})

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("garbage over PostgreSQL", (it) => {
  it.effect("is answered by every endpoint, and never with a fault of its own", () =>
    Effect.gen(function*() {
      const api = yield* Sql.api
      yield* Sql.agentsCome
      const ids = yield* made(api)
      for (const operation of operations) yield* attack(api, operation, ids, 25)
    }).pipe(Effect.provide(Sql.world)), 120_000)
})

/** One of everything. */
const made = Effect.fnUntraced(function*({ fetch: ask, send }: Routes) {
  const chat = yield* send("POST /chats", { body: { chatId: "c" } })
  const { body: { build, workspace } } = yield* send("POST /workspaces", {
    body: { templateId: TestBuilds.template.templateId, chatId: "c" }
  })
  yield* Effect.flatMap(ask(`GET /builds/${build.buildId}/events`), listen).pipe(Effect.flatMap(({ rest }) => rest))
  const { body: { agents: [agent] } } = yield* send(`GET /workspaces/${workspace.workspaceId}/agents`)
  const said = yield* ask("POST /chats/c/messages", { body: { messageId: "m", text: "Hello" } })
  yield* Effect.flatMap(listen(said), ({ rest }) => rest)
  return {
    chatId: chat.body.chatId,
    turnId: said.headers.get("chat-workspace-turn") ?? "",
    templateId: TestBuilds.template.templateId,
    workspaceId: workspace.workspaceId,
    buildId: build.buildId,
    agentId: agent.agentId
  }
})
