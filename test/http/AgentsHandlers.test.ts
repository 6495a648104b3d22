import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Option, Redacted } from "effect"
import { HttpApi, HttpApiTest } from "effect/http-api"
import { TestClock } from "effect/testing"
import { ChatId, WorkspaceId } from "../../src/domain/Ids.ts"
import { AgentToken } from "../../src/domain/index.ts"
import { AgentsApi } from "../../src/http/AgentsApi.ts"
import * as AgentsHandlers from "../../src/http/AgentsHandlers.ts"
import * as Enrollment from "../../src/provisioner/Enrollment.ts"
import * as AgentPresence from "../../src/store/AgentPresence.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { assertProblem } from "./support/problems.ts"
import { layerClient, serve } from "./support/requests.ts"
import * as World from "./support/world.ts"

const provide = TestWorkspaces.provideWith(
  Layer.merge(Layer.provide(Enrollment.layer, World.layerEnrollments), AgentPresence.layerMemory).pipe(
    Layer.provideMerge(TestBuilds.layer)
  )
)

const routes = serve(AgentsHandlers.layerRoutes)

const world = TestWorkspaces.TestWorkspaces
const chatId = ChatId.make("chat")

const pathsOf = ({ agentId, workspaceId }: TestWorkspaces.Place) => ({
  agent: `/agents/${encodeURIComponent(agentId)}`,
  workspace: `/workspaces/${encodeURIComponent(workspaceId)}`
})

/** Whether the gateway would take the token. */
const opens = Effect.fnUntraced(function*(token: string) {
  const presence = yield* AgentPresence.AgentPresence
  const parsed = Option.getOrThrow(AgentToken.parse(Redacted.make(token)))
  return yield* Effect.match(presence.verify(parsed), { onFailure: () => false, onSuccess: () => true })
})

describe("AgentsHandlers: list, get", () => {
  const states: ReadonlyArray<
    readonly [string, (hands: typeof world.Service) => Effect.Effect<TestWorkspaces.Place>, object]
  > = [
    ["one that is there", (hands) => hands.running(chatId), {
      status: "connected",
      rule: 5,
      unreachableFor: null,
      presence: "live"
    }],
    ["one that was seen to go", (hands) => hands.agentDead(chatId, { for: "50 seconds" }), {
      status: "disconnected",
      rule: 3,
      since: "1969-12-31T23:59:10.000Z",
      unreachableFor: 50_000,
      presence: "absent"
    }],
    ["one that did not come in time", (hands) => hands.neverConnects(chatId), {
      status: "timeout",
      rule: 1,
      firstConnectedAt: null,
      presence: "absent"
    }],
    ["one that says nothing any more", (hands) => hands.agentFrozen(chatId, { for: "31 seconds" }), {
      status: "disconnected",
      rule: 4,
      presence: "unknown"
    }]
  ]
  it.effect.each(states)("%s: its status, and what decided it", ([, verb, expected]) =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const place = yield* Effect.flatMap(world, verb)
      const one = yield* send(`GET ${pathsOf(place).agent}`)
      assert.strictEqual(one.status, 200)
      assert.deepInclude(one.body, { ...expected, agentId: place.agentId, name: "main", connectionTimeout: 120_000 })
      const all = yield* send(`GET ${pathsOf(place).workspace}/agents`)
      assert.strictEqual(all.status, 200)
      assert.strictEqual(all.body.build.buildId, place.buildId)
      assert.deepStrictEqual(all.body.agents, [one.body])
    }).pipe(provide))

  it.effect("how long it is unreachable counts only while that would have been noticed", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const hands = yield* world
      const place = yield* hands.agentDead(chatId, { for: "50 seconds" })
      yield* hands.heartbeatsLost
      yield* TestClock.adjust("31 seconds")
      const { body } = yield* send(`GET ${pathsOf(place).agent}`)
      assert.strictEqual(body.unreachableFor, 0)
    }).pipe(provide))

  it.effect("a workspace that was stopped has no agents, and those it had are read by their ids", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const hands = yield* world
      const place = yield* hands.stopped(chatId)
      const all = yield* send(`GET ${pathsOf(place).workspace}/agents`)
      assert.deepInclude(all.body.build, { transition: "stop", status: "succeeded" })
      assert.deepStrictEqual(all.body.agents, [])
      assert.strictEqual((yield* send(`GET ${pathsOf(place).agent}`)).body.status, "disconnected")
    }).pipe(provide))
})

describe("AgentsHandlers: enroll, retire, rotate", () => {
  it.effect("a workspace that runs elsewhere is enrolled, and its token opens the gateway", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const enrolled = yield* send("POST /workspaces/box/enrollment")
      assert.strictEqual(enrolled.status, 201)
      assert.isTrue(yield* opens(enrolled.body.token))
      const { body } = yield* send("GET /workspaces/box/agents")
      assert.strictEqual(body.build.buildId, enrolled.body.buildId)
      assert.lengthOf(body.agents, 1)
      assert.deepInclude(body.agents[0], {
        agentId: enrolled.body.agentId,
        workspaceId: "box",
        name: "main",
        connectionTimeout: 120_000,
        status: "connecting",
        rule: 2
      })
    }).pipe(provide))

  it.effect("the agent has the name and the time that are given", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      yield* send("POST /workspaces/box/enrollment", { body: { name: "gpu", connectionTimeout: 0 } })
      const { body } = yield* send("GET /workspaces/box/agents")
      assert.deepInclude(body.agents[0], { name: "gpu", connectionTimeout: 0 })
    }).pipe(provide))

  it.effect("a new start revokes the agent of the one before, and retiring the last", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const first = yield* send("POST /workspaces/box/enrollment")
      const second = yield* send("POST /workspaces/box/enrollment", { body: {} })
      assert.deepStrictEqual([yield* opens(first.body.token), yield* opens(second.body.token)], [false, true])
      const retired = yield* send("DELETE /workspaces/box/enrollment")
      assert.deepStrictEqual([retired.status, retired.body], [204, ""])
      assert.isFalse(yield* opens(second.body.token))
      const { body } = yield* send("GET /workspaces/box/agents")
      assert.deepStrictEqual([body.build.transition, body.agents], ["stop", []])
    }).pipe(provide))

  it.effect("a token is replaced by another", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { body: { agentId, token } } = yield* send("POST /workspaces/box/enrollment")
      const rotated = yield* send(`POST /agents/${agentId}/token`)
      assert.strictEqual(rotated.status, 200)
      assert.deepStrictEqual([yield* opens(token), yield* opens(rotated.body.token)], [false, true])
    }).pipe(provide))
})

describe("AgentsHandlers: requests", () => {
  const bad: ReadonlyArray<readonly [string, unknown, string]> = [
    ["POST /workspaces/box/enrollment", { name: "" }, "name"],
    ["POST /workspaces/box/enrollment", { name: "a\0b" }, "name"],
    ["POST /workspaces/box/enrollment", { connectionTimeout: -1 }, "connectionTimeout"],
    ["POST /workspaces/box/enrollment", { connectionTimeout: 86_400_001 }, "connectionTimeout"],
    ["POST /workspaces/box/enrollment", { connectionTimeout: "Infinity" }, "connectionTimeout"],
    ["POST /workspaces/box/enrollment", "[", ""],
    [`GET /agents/${"x".repeat(129)}`, undefined, "agentId"]
  ]
  it.effect.each(bad)("%s with %j is a bad request that names %j", ([request, body, field]) =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const answer = yield* send(request, body === undefined ? {} : { body })
      assertProblem(answer, 400, "bad_request")
      assert.strictEqual(answer.body.problems[0].field, field)
      assert.strictEqual((yield* send("GET /workspaces/box/agents")).status, 404)
    }).pipe(provide))

  it.effect("the derived client reads instants, durations and tokens as such", () =>
    Effect.gen(function*() {
      const client = yield* HttpApiTest.groups(HttpApi.make("chat-workspace").add(AgentsApi), ["agents"])
      const params = { workspaceId: WorkspaceId.make("box") }
      const { agentId, token } = yield* client.agents.enroll({
        params,
        payload: { connectionTimeout: Duration.minutes(1) }
      })
      assert.isTrue(yield* opens(Redacted.value(token)))
      const { agents: [agent] } = yield* client.agents.list({ params })
      assert.isTrue(agent !== undefined && DateTime.isDateTime(agent.asOf))
      assert.deepStrictEqual(agent?.connectionTimeout, Duration.minutes(1))
      yield* client.agents.retire({ params })
      assert.strictEqual((yield* client.agents.get({ params: { agentId } })).agentId, agentId)
      const refused = yield* Effect.flip(client.agents.list({ params: { workspaceId: WorkspaceId.make("none") } }))
      assert.strictEqual(refused._tag, "NotFound")
    }).pipe(Effect.provide(Layer.provideMerge(AgentsHandlers.layer, layerClient)), provide))
})
