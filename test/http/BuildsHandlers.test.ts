import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Stream } from "effect"
import { HttpApi, HttpApiTest } from "effect/http-api"
import { TestClock } from "effect/testing"
import { BuildsApi } from "../../src/http/BuildsApi.ts"
import * as BuildsHandlers from "../../src/http/BuildsHandlers.ts"
import * as EventStream from "../../src/http/EventStream.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { Readiness } from "../../src/provisioner/Readiness.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { eventually } from "../tool/program/support/Program.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, layerClient, listening, type Routes, serve } from "./support/requests.ts"
import { ask, listen } from "./support/streams.ts"

const routes = serve(Layer.provide(BuildsHandlers.layerRoutes, EventStream.layer))

/** A build that was asked for, and its address. */
const asked = Effect.fnUntraced(function*(script: TestBuilds.BuildScript = {}, agent: TestBuilds.AgentScript = {}) {
  const world = yield* TestBuilds.TestBuilds
  yield* world.onBuild(script)
  yield* world.onAgent(agent)
  const workspaces = yield* Workspaces
  const created = yield* workspaces.create({ owner: ann, chat: null, templateId: TestWorkspaces.templateId })
  const { build } = created._tag === "Created" ? created : assert.fail("superseded")
  return { ...build, path: `/builds/${build.buildId}` }
})

/** One that has ended. */
const ended = Effect.fnUntraced(function*(script: TestBuilds.BuildScript = {}, agent: TestBuilds.AgentScript = {}) {
  const build = yield* asked(script, agent)
  const readiness = yield* Readiness
  yield* readiness.of(build.buildId)
  return build
})

const follow = Effect.fnUntraced(function*({ fetch }: Routes, path: string, headers: Record<string, string> = {}) {
  return yield* listen(yield* fetch(`GET ${path}`, { headers }))
})

interface Told {
  readonly _tag: string
  readonly number?: number
  readonly text?: string
  readonly progress?: { readonly _tag: string }
  readonly failure?: string | null
}

/** What was told, in short. */
const short = (events: ReadonlyArray<{ readonly id: string; readonly data: unknown }>) =>
  events.map(({ data, id }) => {
    // What a stream tells is asserted on.
    const told = data as Told
    return [id, told._tag, told.text ?? told.progress?._tag ?? told.failure].filter((part) => part != null).join(" ")
  })

const prints = ["one", "two", "three"]

describe("BuildsHandlers: get, log", () => {
  it.effect("reads what became of a build", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { buildId, path } = yield* ended({ fails: "out of disks", prints })
      const { body, status } = yield* send(`GET ${path}`)
      assert.strictEqual(status, 200)
      assert.include(body.build, { buildId, number: 1, transition: "start", status: "failed" })
      assert.deepInclude(body, { attempt: 1, failure: { code: "provider_failed", message: "out of disks" } })
    }).pipe(TestBuilds.provide))

  it.effect("reads the log behind a line, to the end of the build", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { path } = yield* ended({ prints })
      const first = yield* send(`GET ${path}/log`)
      assert.strictEqual(first.status, 200)
      assert.deepStrictEqual(first.body.lines.map(({ text }: Told) => text), prints)
      assert.strictEqual(first.body.next, 3)
      assert.deepStrictEqual((yield* send(`GET ${path}/log?after=2`)).body.lines[0].text, "three")
      assert.deepStrictEqual((yield* send(`GET ${path}/log?after=3`)).body, { lines: [], next: null })
    }).pipe(TestBuilds.provide))

  it.effect("a log that may go on is asked for again", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { path } = yield* asked({ hangs: true })
      assert.deepStrictEqual((yield* send(`GET ${path}/log?after=7`)).body, { lines: [], next: 7 })
    }).pipe(TestBuilds.provide))

  it.effect("a long log comes in pages", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { path } = yield* ended({ prints: Array.from({ length: 1_001 }, (_, index) => `line ${index + 1}`) })
      const first = yield* send(`GET ${path}/log`)
      assert.deepStrictEqual([first.body.lines.length, first.body.next], [1_000, 1_000])
      const second = yield* send(`GET ${path}/log?after=1000`)
      assert.deepStrictEqual([second.body.lines.length, second.body.next], [1, 1_001])
    }).pipe(TestBuilds.provide))
})

describe("BuildsHandlers: events", () => {
  it.effect("tells each line with its number, and in the end that the workspace can be used", () =>
    Effect.gen(function*() {
      const { path } = yield* ended({ prints })
      const stream = yield* follow(yield* routes, `${path}/events`)
      const told = yield* stream.rest
      assert.deepStrictEqual(short(told.slice(0, 3)), ["1 Line one", "2 Line two", "3 Line three"])
      assert.deepStrictEqual(short(told.slice(-1)), ["3 End"])
      assert.deepInclude(told.at(-1)?.data, { failure: null, agentStatus: null, startupScripts: null })
    }).pipe(TestBuilds.provide))

  it.effect("tells why a build failed", () =>
    Effect.gen(function*() {
      const { path } = yield* ended({ prints, fails: "out of disks" })
      const stream = yield* follow(yield* routes, `${path}/events`)
      assert.deepStrictEqual(short((yield* stream.rest).slice(-1)), ["3 End out of disks"])
    }).pipe(TestBuilds.provide))

  it.effect("tells how far the wait is: the build, its agent, the start-up scripts", () =>
    Effect.gen(function*() {
      const { path } = yield* asked({ takes: "10 seconds" }, { comesAfter: "10 seconds", scriptsTake: "10 seconds" })
      const stream = yield* follow(yield* routes, `${path}/events`)
      yield* TestClock.adjust("40 seconds")
      const told = short(yield* stream.rest)
      const phases = told.filter((text, index) => text !== told[index - 1])
      assert.deepStrictEqual(phases.slice(phases.indexOf("0 Progress Building")), [
        "0 Progress Building",
        "0 Progress AwaitingAgent",
        "0 Progress AwaitingScripts",
        "0 End"
      ])
    }).pipe(TestBuilds.provide))

  it.effect("an agent that does not come is told in the end", () =>
    Effect.gen(function*() {
      const { path } = yield* asked({}, { comesAfter: "never" })
      const stream = yield* follow(yield* routes, `${path}/events`)
      yield* TestClock.adjust("2 minutes")
      const told = yield* stream.rest
      assert.deepInclude(told.at(-1)?.data, { _tag: "End", failure: null, agentStatus: "not_ready" })
    }).pipe(TestBuilds.provide))

  const resumed: ReadonlyArray<readonly [string, Record<string, string>]> = [
    ["", { "last-event-id": "2" }],
    ["?after=2", {}],
    ["?after=1", { "last-event-id": "2" }]
  ]
  it.effect.each(resumed)("goes on behind the last event: %j %j", ([query, headers]) =>
    Effect.gen(function*() {
      const { path } = yield* ended({ prints })
      const stream = yield* follow(yield* routes, `${path}/events${query}`, headers)
      assert.deepStrictEqual(short(yield* stream.rest).filter((text) => !text.includes("Progress")), [
        "3 Line three",
        "3 End"
      ])
    }).pipe(TestBuilds.provide))

  it.effect("a client that goes away ends its stream, and nothing else; another node goes on for it", () =>
    Effect.gen(function*() {
      const world = yield* TestBuilds.TestBuilds
      const one = yield* serve(
        BuildsHandlers.layerRoutes.pipe(
          Layer.provide(EventStream.layer),
          Layer.provide(HttpConfig.layer({ streamsPerOwner: 1 }))
        )
      )
      const { path } = yield* asked({ prints, hangs: true })
      const first = yield* follow(one, `${path}/events`)
      assertProblem(yield* one.send(`GET ${path}/events`), 429, "too_many_streams", { limit: 1 })
      yield* first.close
      const second = yield* follow(one, `${path}/events`)
      yield* second.close
      const other = yield* follow(yield* routes, `${path}/events`, { "last-event-id": "1" })
      yield* world.onBuild({})
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(short(yield* other.rest).filter((text) => !text.includes("Progress")), [
        "2 Line two",
        "3 Line three",
        "3 End"
      ])
    }).pipe(TestBuilds.provide))

  it.live(
    "over a socket events come as they are, and a client that goes away leaves its place",
    () =>
      Effect.gen(function*() {
        const world = yield* TestBuilds.TestBuilds
        const { path } = yield* asked({ prints, hangs: true })
        const base = yield* listening(
          BuildsHandlers.layerRoutes.pipe(
            Layer.provide(EventStream.layer),
            Layer.provide(HttpConfig.layer({ streamsPerOwner: 1 }))
          )
        )
        const open = (headers: Record<string, string> = {}) => ask(`${base}${path}/events`, { headers })
        const first = yield* open()
        const stream = yield* listen(first.response)
        let text = ""
        // While the build goes on.
        while (!text.includes("three")) text += yield* stream.next
        assert.strictEqual((yield* open()).response.status, 429)
        yield* first.leave
        const again = yield* eventually(
          "the place is free",
          open({ "last-event-id": "3" }),
          ({ response }) => response.status === 200
        )
        yield* world.onBuild({})
        const rest = yield* Effect.flatMap(listen(again.response), ({ rest }) => rest)
        assert.strictEqual(short(rest).at(-1), "3 End")
        assert.isFalse(short(rest).some((text) => text.includes("Line")))
      }).pipe(TestBuilds.provide, Effect.scoped),
    30_000
  )

  it.effect("the derived client reads them", () =>
    Effect.gen(function*() {
      const { buildId } = yield* ended({ prints })
      const client = yield* HttpApiTest.groups(HttpApi.make("chat-workspace").add(BuildsApi), ["builds"])
      const events = yield* client.builds.events({ params: { buildId }, headers: {}, query: {} })
      const told = yield* Stream.runCollect(events)
      const [first] = told
      assert.strictEqual(first?.id, 1)
      assert.isTrue(first?.data._tag === "Line" && DateTime.isDateTime(first.data.at))
      const last = told.at(-1)?.data
      assert.isTrue(last?._tag === "End" && last.record.build.buildId === buildId)
    }).pipe(
      Effect.provide(Layer.provideMerge(BuildsHandlers.layer, Layer.merge(layerClient, EventStream.layer))),
      TestBuilds.provide
    ))
})

describe("BuildsHandlers: requests", () => {
  const bad: ReadonlyArray<readonly [string, Record<string, string>, string]> = [
    ["/builds/none/log?after=-1", {}, "after"],
    ["/builds/none/log?after=1.5", {}, "after"],
    ["/builds/none/log?after=2147483648", {}, "after"],
    ["/builds/none/events?after=x", {}, "after"],
    ["/builds/none/events", { "last-event-id": "x" }, "last-event-id"],
    [`/builds/${"x".repeat(129)}`, {}, "buildId"]
  ]
  it.effect.each(bad)("%s with %j is a bad request that names %s", ([path, headers, field]) =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const answer = yield* send(`GET ${path}`, { headers })
      assertProblem(answer, 400, "bad_request")
      assert.strictEqual(answer.body.problems[0].field, field)
    }).pipe(TestBuilds.provide))
})
