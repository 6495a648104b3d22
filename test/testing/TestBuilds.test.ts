import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { unbound } from "../../src/domain/Binding.ts"
import { ChatId, MessageId, TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import { Readiness } from "../../src/provisioner/Readiness.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { MemoryStore } from "../../src/store/MemoryStore.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as TestBuilds from "../../src/testing/TestBuilds.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"
import * as Turns from "../../src/turn/Turns.ts"

const chat = ChatId.make("chat")
const { owner } = TestWorkspaces

interface Hands {
  readonly world: TestWorkspaces.TestWorkspaces["Service"]
  readonly builds: TestBuilds.TestBuilds["Service"]
}

const test = (name: string, body: (hands: Hands) => Effect.Effect<void, unknown, TestBuilds.Services>) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      yield* body({ world: yield* TestWorkspaces.TestWorkspaces, builds: yield* TestBuilds.TestBuilds })
    }).pipe(TestBuilds.provide))

/** A new workspace of the chat, which is being built. */
const create = Effect.gen(function*() {
  const workspaces = yield* Workspaces
  const templateId = TestBuilds.template.templateId
  const created = yield* workspaces.create({ owner, chat: unbound(chat), templateId })
  if (created._tag === "Superseded") return yield* Effect.die("another was faster")
  return created
})

const request = Effect.fnUntraced(function*(transition: "start" | "stop" | "delete") {
  const workspaces = yield* Workspaces
  const row = yield* Effect.flatMap(ChatBindings, ({ get }) => get(chat))
  const { workspaceId } = row
  if (workspaceId === null) return yield* Effect.die("the chat has no workspace")
  return (yield* workspaces.request({ owner, workspaceId, transition, chat: row })).build
})

const ready = (build: { readonly buildId: Parameters<Readiness["Service"]["of"]>[0] }) =>
  Effect.flatMap(Readiness, (readiness) => readiness.of(build.buildId))

/** A connection that is held until the scope closes. */
const held = Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(chat)).pipe(
  Effect.flatMap((workspace) => workspace.connect)
)

const connect = Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(chat)).pipe(
  Effect.flatMap((workspace) => workspace.use((connection) => Effect.succeed(connection.agentId)))
)

describe("TestBuilds", () => {
  test("a start brings its agent alive, in no time", ({ builds }) =>
    Effect.gen(function*() {
      const { build } = yield* create
      assert.deepInclude(yield* ready(build), { failure: null, agentStatus: null, startupScripts: null })
      yield* connect
      assert.deepStrictEqual([builds.built(), builds.built("start")], [1, 1])
    }))

  test("a stop ends the agent, and another start brings another", () =>
    Effect.gen(function*() {
      yield* ready((yield* create).build)
      const first = yield* connect
      yield* Effect.scoped(Effect.gen(function*() {
        const { closed } = yield* held
        yield* ready(yield* request("stop"))
        assert.strictEqual(yield* closed, "revoked")
      }))
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "NoWorkspaceAgent", reason: "stopped" })
      yield* ready(yield* request("start"))
      assert.notStrictEqual(yield* connect, first)
    }))

  test("a deleted workspace is gone", () =>
    Effect.gen(function*() {
      yield* ready((yield* create).build)
      yield* ready(yield* request("delete"))
      assert.strictEqual((yield* Effect.flip(connect))._tag, "NoWorkspace")
    }))

  test("what the verbs of workspaces made is built on, and never by itself", ({ builds, world }) =>
    Effect.gen(function*() {
      yield* world.slowStart(chat, { takes: "10 seconds" })
      yield* TestClock.adjust("10 seconds")
      yield* connect
      yield* world.stopped(chat)
      assert.strictEqual(builds.built(), 0)
      yield* ready(yield* request("start"))
      yield* connect
      assert.strictEqual(builds.built(), 1)
    }))

  test("a build prints, and takes its time", ({ builds }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ prints: ["one", "two"], takes: "1 minute" })
      const { build } = yield* create
      yield* builds.untilBuilding(1)
      yield* TestClock.adjust(59_999)
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "NoWorkspaceAgent", reason: "starting" })
      yield* TestClock.adjust(1)
      yield* ready(build)
      const { log } = yield* Workspaces
      assert.deepStrictEqual(
        (yield* Stream.runCollect(log(build.buildId))).map(({ text }) => text),
        ["one", "two"]
      )
    }))

  test("a build fails, of one transition and not of another", ({ builds }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ fails: "it is busy" }, "stop")
      assert.strictEqual((yield* ready((yield* create).build)).failure, null)
      yield* Effect.scoped(Effect.gen(function*() {
        const { closed } = yield* held
        assert.strictEqual((yield* ready(yield* request("stop"))).failure, "it is busy")
        // It runs on, until another start puts another agent in its place.
        assert.strictEqual((yield* ready(yield* request("start"))).failure, null)
        assert.strictEqual(yield* closed, "revoked")
      }))
    }))

  test("a build hangs, until the next word about builds", ({ builds }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ hangs: true })
      const waiting = yield* Effect.forkChild(ready((yield* create).build), { startImmediately: true })
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(waiting.pollUnsafe() === undefined)
      yield* builds.onBuild({})
      assert.strictEqual((yield* Fiber.join(waiting)).failure, null)
    }))

  test("an agent comes later, and its scripts take their time", ({ builds }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ comesAfter: "10 seconds", scriptsTake: "20 seconds", scripts: "start_error" })
      const waiting = yield* Effect.forkChild(ready((yield* create).build), { startImmediately: true })
      yield* builds.untilBuilding(1)
      yield* TestClock.adjust(29_999)
      assert.isTrue(waiting.pollUnsafe() === undefined)
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* Fiber.join(waiting), {
        agentStatus: null,
        startupScripts: "startup_scripts_failed",
        lifecycle: "start_error"
      })
    }))

  test("an agent that was stopped before it came does not come any more", ({ builds }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ comesAfter: "10 seconds" })
      const { build } = yield* create
      const waiting = yield* Effect.forkChild(ready(build), { startImmediately: true })
      yield* builds.untilBuilding(1)
      yield* TestClock.adjust("1 second")
      yield* ready(yield* request("stop"))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(waiting), { agentStatus: "not_ready" })
      const { agents } = yield* MemoryStore
      assert.deepStrictEqual(Array.from(agents.values(), ({ agent }) => agent.firstConnectedAt), [null])
    }))

  test("databaseDown is about builds too: what runs ends when it is up again", ({ builds, world }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "5 seconds" })
      const { build } = yield* create
      yield* builds.untilBuilding(1)
      yield* world.databaseDown()
      assert.strictEqual((yield* Effect.flip(create))._tag, "StoreError")
      yield* TestClock.adjust("10 seconds")
      yield* world.databaseUp
      const waiting = yield* Effect.forkChild(ready(build), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* Fiber.join(waiting), { failure: null, agentStatus: null })
    }))

  it.effect("takes templates of your own", () =>
    Effect.gen(function*() {
      const { templates } = yield* Workspaces
      assert.deepStrictEqual((yield* templates(owner)).map(({ templateId }) => templateId), ["mine"])
    }).pipe(TestWorkspaces.provideWith(TestBuilds.layerWith({
      templates: [new Template({ ...TestBuilds.template, templateId: TemplateId.make("mine") })]
    }))))

  it.effect("ends without hanging on the virtual clock, with builds and waits under way", () =>
    Effect.gen(function*() {
      const builds = yield* TestBuilds.TestBuilds
      yield* builds.onBuild({ hangs: true })
      const { build } = yield* create
      yield* builds.untilBuilding(1)
      return yield* Effect.forkChild(Effect.flip(ready(build)), { startImmediately: true })
    }).pipe(
      TestBuilds.provide,
      Effect.flatMap((waiting) => Fiber.join(waiting)),
      Effect.map((error) => assert.strictEqual(error._tag, "StoreError"))
    ))
})

/** The turn of a message, heard to its end. */
const turn = Effect.fnUntraced(function*(messageId: string) {
  const turns = yield* Turns.Turns
  const { events } = yield* turns.send({ chatId: chat, owner, messageId: MessageId.make(messageId), text: "Go on." })
  return Array.from(yield* Stream.runCollect(events), ({ event }) => event)
})

const withModel = (script: ReadonlyArray<ScriptedModel.Step>) =>
  Effect.provide(Layer.provide(Turns.layerWithoutSetup(), ScriptedModel.layer(script)))

describe("turns in TestBuilds", () => {
  test("a model makes a workspace and works in it", ({ world }) =>
    Effect.gen(function*() {
      yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
      const events = yield* turn("m")
      const results = events.flatMap((event) => event._tag === "Result" ? [JSON.stringify(event.result)] : [])
      assert.include(results[0], "\"created\":true")
      assert.include(results[1], "Linux")
      assert.deepStrictEqual(events.at(-1), { _tag: "End", status: "done", reason: null })
    }).pipe(withModel([
      ScriptedModel.call("create_workspace", { template_id: TestBuilds.template.templateId }),
      ScriptedModel.call("execute", { command: "uname" }),
      ScriptedModel.say("On Linux.")
    ])))

  test("are in the database that can be down", ({ world }) =>
    Effect.gen(function*() {
      yield* world.databaseDown()
      assert.strictEqual((yield* Effect.flip(turn("m")))._tag, "StoreError")
      yield* world.databaseUp
      assert.deepStrictEqual((yield* turn("n")).at(-1), { _tag: "End", status: "done", reason: null })
    }).pipe(withModel([ScriptedModel.say("Hello.")])))
})
