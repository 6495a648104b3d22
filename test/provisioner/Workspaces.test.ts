import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Binding } from "../../src/domain/Binding.ts"
import { unbound } from "../../src/domain/Binding.ts"
import type { BuildOutcome, Transition } from "../../src/domain/Build.ts"
import { BuildRefused, StoreError, WorkspaceNameTaken } from "../../src/domain/Errors.ts"
import { BuildId, ChatId, NodeId, OwnerId, TemplateId, WorkspaceId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import { WorkspaceName } from "../../src/domain/Workspace.ts"
import { BuildPolicy } from "../../src/provisioner/BuildPolicy.ts"
import type { BuildRequest } from "../../src/provisioner/BuildPolicy.ts"
import * as Provider from "../../src/provisioner/Provider.ts"
import * as Workspaces from "../../src/provisioner/Workspaces.ts"
import * as AgentEnrollments from "../../src/store/AgentEnrollments.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as ChatBindings from "../../src/store/ChatBindings.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as Templates from "../../src/store/Templates.ts"

const ann = OwnerId.make("ann")
const bob = OwnerId.make("bob")
const chatId = ChatId.make("chat")

const template = (id: string, fields: Partial<Template> = {}) =>
  new Template({
    templateId: TemplateId.make(id),
    name: id,
    description: "",
    readme: null,
    parameters: [],
    agents: [{ name: "main", displayOrder: 0 }],
    provider: { type: "scripted", settings: {}, directory: null },
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120),
    ...fields
  })

const node = template("node", {
  parameters: [
    { name: "cpus", type: "number", default: 2, max: 8 },
    { name: "region", type: "string", options: ["eu", "us"] }
  ]
})
const repeated = template("repeated", { provider: { type: "scripted", settings: { again: true }, directory: null } })
const secret = template("secret", { owners: [bob] })

const providers = Layer.succeed(
  Provider.Providers,
  Provider.make([{
    type: "scripted",
    isRepeatable: ({ provider }) => provider.settings["again"] === true,
    check: () => Effect.void,
    start: () => Effect.void,
    stop: () => Effect.void,
    delete: () => Effect.void
  }])
)

class Notified extends Context.Service<Notified, { readonly topics: Array<Signals.Topic> }>()("test/Notified") {}

const signals = Layer.effectContext(Effect.map(Signals.Signals, ({ notify, subscribe }) => {
  const topics: Array<Signals.Topic> = []
  return Context.make(Notified, { topics }).pipe(Context.add(Signals.Signals, {
    subscribe,
    notify: (topic) =>
      Effect.suspend(() => {
        topics.push(topic)
        return notify(topic)
      })
  }))
})).pipe(Layer.provide(Signals.layer))

const ground = (...templates: ReadonlyArray<Template>) =>
  Layer.mergeAll(Builds.layerMemory, ChatBindings.layerMemory, AgentEnrollments.layerMemory).pipe(
    Layer.provideMerge(
      Layer.mergeAll(MemoryStore.layer, Templates.layerMemory(templates), providers, signals)
    )
  )

const layer = Layer.provideMerge(Workspaces.layer, ground(node, repeated, secret))

/** What was notified since it was asked before. */
const counted = Effect.map(Notified, ({ topics }) => {
  topics.length = 0
  return () => topics.splice(0)
})

const row = Effect.flatMap(ChatBindings.ChatBindings, (bindings) => bindings.get(chatId))

type CreateOptions = Parameters<Workspaces.Workspaces["Service"]["create"]>[0]

const created = Effect.fnUntraced(function*(options?: Partial<CreateOptions>) {
  const workspaces = yield* Workspaces.Workspaces
  const result = yield* workspaces.create({ owner: ann, chat: null, templateId: "repeated", ...options })
  return result._tag === "Created" ? result : assert.fail("superseded")
})

/** Takes the build that waits, and ends it. */
const built = Effect.fnUntraced(function*(outcome: BuildOutcome = { _tag: "Succeeded" }) {
  const builds = yield* Builds.Builds
  const taken = Option.getOrThrow(
    yield* builds.take({
      nodeId: NodeId.make("n"),
      lease: Duration.hours(1),
      limit: Duration.hours(1),
      attempts: 3
    })
  )
  yield* builds.finish({ buildId: taken.build.buildId, epoch: taken.epoch, outcome })
  return taken
})

const failed: BuildOutcome = { _tag: "Failed", code: "provider_failed", message: "no" }

const request = Effect.fnUntraced(function*(
  workspaceId: WorkspaceId,
  transition: Transition,
  options?: Partial<Parameters<Workspaces.Workspaces["Service"]["request"]>[0]>
) {
  const workspaces = yield* Workspaces.Workspaces
  return yield* workspaces.request({ owner: ann, workspaceId, transition, chat: null, ...options })
})

describe("Workspaces: templates", () => {
  it.effect("an owner sees those that are for everybody or for them", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      const ids = (owner: OwnerId) =>
        Effect.map(workspaces.templates(owner), (all) => all.map(({ templateId }) => templateId).join())
      assert.strictEqual(yield* ids(ann), "node,repeated")
      assert.strictEqual(yield* ids(bob), "node,repeated,secret")
      assert.strictEqual((yield* workspaces.template(bob, "secret")).name, "secret")
    }).pipe(Effect.provide(layer)))

  it.effect("one that is for others, is not there or cannot be one is not found", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      for (const id of ["secret", "gone", "", "x".repeat(129)]) {
        const error = yield* Effect.flip(workspaces.template(ann, id))
        assert.strictEqual(error._tag === "TemplateNotFound" && error.templateId, id.slice(0, 128))
        const refused = yield* Effect.flip(workspaces.create({ owner: ann, chat: null, templateId: id }))
        assert.strictEqual(refused._tag, "TemplateNotFound")
      }
      assert.lengthOf(yield* workspaces.list(ann), 0)
    }).pipe(Effect.provide(layer)))
})

describe("Workspaces: create", () => {
  it.effect("makes a workspace with its first build and binds the chat to both", () =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const changed = yield* counted
      const result = yield* created({
        chat: unbound(chatId),
        templateId: "node",
        name: "shop",
        parameters: { region: "eu" }
      })
      assert.deepInclude(result.workspace, {
        owner: ann,
        name: WorkspaceName.make("shop"),
        templateId: TemplateId.make("node")
      })
      assert.deepInclude(result.build, { number: 1, transition: "start", status: "pending" })
      assert.deepStrictEqual(yield* row, result.binding)
      const record = Option.getOrThrow(yield* builds.get(result.build.buildId))
      assert.deepStrictEqual(record.parameters, { cpus: "2", region: "eu" })
      assert.deepStrictEqual(changed(), [Signals.queue])
    }).pipe(Effect.provide(layer)))

  const names: ReadonlyArray<readonly [string | undefined, RegExp]> = [
    ["My-Shop", /^My-Shop$/],
    ["my shop!", /^myshop-[0-9a-f]{4}$/],
    [undefined, /^repeated-[0-9a-f]{4}$/],
    ["  ", /^repeated-[0-9a-f]{4}$/]
  ]

  it.effect.each(names)("asked for %j, the name matches %s", ([name, expected]) =>
    Effect.gen(function*() {
      assert.match((yield* created({ name })).workspace.name ?? "", expected)
    }).pipe(Effect.provide(layer)))

  it.effect("a name that is taken, in any case, is made up", () =>
    Effect.gen(function*() {
      yield* created({ name: "Shop" })
      assert.match((yield* created({ name: "shop" })).workspace.name ?? "", /^shop-[0-9a-f]{4}$/)
    }).pipe(Effect.provide(layer)))

  it.effect("one that has to be exactly so is refused when it is taken, and nothing is made", () =>
    Effect.gen(function*() {
      const exactName = WorkspaceName.make("Shop")
      assert.strictEqual((yield* created({ exactName })).workspace.name, exactName)
      const refused = yield* Effect.flip(created({ exactName: WorkspaceName.make("shop") }))
      assert.deepStrictEqual<unknown>(refused, new WorkspaceNameTaken({ name: "shop" }))
      const workspaces = yield* Workspaces.Workspaces
      assert.lengthOf(yield* workspaces.list(ann), 1)
    }).pipe(Effect.provide(layer)))

  it.effect("parameters that do not fit make nothing", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      const changed = yield* counted
      const error = yield* Effect.flip(
        workspaces.create({ owner: ann, chat: unbound(chatId), templateId: "node", parameters: { cpus: "many", x: 1 } })
      )
      assert.strictEqual(
        error.message,
        "The parameters do not fit the template \"node\": x is not a parameter of this template; " +
          "cpus must be a number; region is required."
      )
      assert.lengthOf(yield* workspaces.list(ann), 0)
      assert.strictEqual((yield* row).generation, 0)
      assert.deepStrictEqual(changed(), [])
    }).pipe(Effect.provide(layer)))

  it.effect("a chat that was bound meanwhile is answered with its row", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      const first = yield* created({ chat: unbound(chatId) })
      const changed = yield* counted
      const second = yield* workspaces.create({ owner: ann, chat: unbound(chatId), templateId: "repeated" })
      assert.deepStrictEqual(second, { _tag: "Superseded", binding: yield* row })
      assert.strictEqual((yield* row).workspaceId, first.workspace.workspaceId)
      assert.deepStrictEqual(changed(), [])
    }).pipe(Effect.provide(layer)))

  it.effect("the fourth of a chat within an hour is refused", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      for (let times = 0; times < 3; times++) yield* created({ chat: yield* row })
      const again = Effect.flatMap(row, (chat) => workspaces.create({ owner: ann, chat, templateId: "repeated" }))
      assert.strictEqual((yield* Effect.flip(again))._tag, "TooManyWorkspaces")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* again)._tag, "Created")
    }).pipe(Effect.provide(layer)))

  it.effect("a template says whether its builds may be run again", () =>
    Effect.gen(function*() {
      const store = yield* MemoryStore.MemoryStore
      yield* created()
      yield* created({ templateId: "node", parameters: { region: "eu" } })
      assert.deepStrictEqual(Array.from(store.buildRows.values(), ({ repeatable }) => repeatable), [true, false])
    }).pipe(Effect.provide(layer)))
})

describe("Workspaces: the policy of the application", () => {
  const asked: Array<BuildRequest> = []
  const policy = Layer.succeed(BuildPolicy, {
    check: (request) => {
      asked.push(request)
      return request.transition === "start" ? Effect.fail(new BuildRefused({ detail: "Not today." })) : Effect.void
    }
  })

  it.effect("what it refuses is not built", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      asked.length = 0
      const create = workspaces.create({
        owner: ann,
        chat: unbound(chatId),
        templateId: "node",
        parameters: { region: "us" }
      })
      assert.strictEqual((yield* Effect.flip(create)).message, "Not today.")
      assert.deepStrictEqual(asked, [{
        owner: ann,
        chatId,
        workspaceId: null,
        templateId: TemplateId.make("node"),
        transition: "start",
        parameters: { cpus: "2", region: "us" }
      }])
      assert.lengthOf(yield* workspaces.list(ann), 0)
    }).pipe(Effect.provide(Layer.provideMerge(Workspaces.layer, Layer.merge(ground(node), policy)))))
})

describe("Workspaces: request", () => {
  const unfinished = "Unfinished"
  const table: ReadonlyArray<
    readonly [string, ReadonlyArray<readonly [Transition, BuildOutcome | null]>, Transition, string]
  > = [
    ["start while it starts", [["start", null]], "start", unfinished],
    ["stop while it starts", [["start", null]], "stop", unfinished],
    ["start of a running one", [["start", { _tag: "Succeeded" }]], "start", "Unneeded"],
    ["stop of a running one", [["start", { _tag: "Succeeded" }]], "stop", "Queued"],
    ["start after a failed start", [["start", failed]], "start", "Queued"],
    ["start after a canceled start", [["start", { _tag: "Canceled" }]], "start", "Queued"],
    ["stop after a failed start", [["start", failed]], "stop", "Queued"],
    ["stop of a stopped one", [["start", { _tag: "Succeeded" }], ["stop", { _tag: "Succeeded" }]], "stop", "Unneeded"],
    ["start of a stopped one", [["start", { _tag: "Succeeded" }], ["stop", { _tag: "Succeeded" }]], "start", "Queued"],
    ["stop after a failed stop", [["start", { _tag: "Succeeded" }], ["stop", failed]], "stop", "Queued"],
    ["start after a failed stop", [["start", { _tag: "Succeeded" }], ["stop", failed]], "start", "Queued"],
    ["start while it stops", [["start", { _tag: "Succeeded" }], ["stop", null]], "start", unfinished],
    ["delete of a running one", [["start", { _tag: "Succeeded" }]], "delete", "Queued"],
    ["delete after a failed delete", [["start", failed], ["delete", failed]], "delete", "Queued"],
    ["start of a deleted one", [["start", failed], ["delete", { _tag: "Succeeded" }]], "start", "NoWorkspace"],
    ["stop of a deleted one", [["start", failed], ["delete", { _tag: "Succeeded" }]], "stop", "NoWorkspace"],
    ["delete of a deleted one", [["start", failed], ["delete", { _tag: "Succeeded" }]], "delete", "NoWorkspace"]
  ]

  it.effect.each(table)("%s", ([, history, transition, expected]) =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const first = yield* created()
      const { workspaceId } = first.workspace
      for (const [index, [step, outcome]] of history.entries()) {
        if (index > 0) yield* request(workspaceId, step)
        if (outcome !== null) yield* built(outcome)
      }
      const before = Option.getOrThrow(yield* builds.latest(workspaceId)).build
      const changed = yield* counted
      const requested = yield* Effect.match(request(workspaceId, transition), {
        onFailure: (error) => error,
        onSuccess: (requested) => requested
      })
      assert.strictEqual(requested._tag, expected)
      const latest = Option.getOrThrow(yield* builds.latest(workspaceId)).build
      assert.strictEqual(latest.number, before.number + (expected === "Queued" ? 1 : 0))
      if ("build" in requested) assert.strictEqual(requested.build.buildId, latest.buildId)
      assert.deepStrictEqual(changed(), expected === "Queued" ? [Signals.queue] : [])
    }).pipe(Effect.provide(layer)))

  it.effect("a start takes the parameters of the build before, and those given instead", () =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const first = yield* created({ templateId: "node", parameters: { region: "eu", cpus: 4 } })
      const { workspaceId } = first.workspace
      const latest = Effect.map(builds.latest(workspaceId), (record) => Option.getOrThrow(record).parameters)
      yield* built()
      yield* request(workspaceId, "stop")
      assert.deepStrictEqual(yield* latest, { region: "eu", cpus: "4" })
      yield* built()
      const refused = yield* Effect.flip(request(workspaceId, "start", { parameters: { cpus: 9 } }))
      assert.strictEqual(refused._tag, "ParametersRefused")
      yield* request(workspaceId, "start", { parameters: { cpus: 8 } })
      assert.deepStrictEqual(yield* latest, { region: "eu", cpus: "8" })
    }).pipe(Effect.provide(layer)))

  it.effect("what is under way is said before anything else is looked at", () =>
    Effect.gen(function*() {
      const { workspace: { workspaceId } } = yield* created()
      const requested = yield* request(workspaceId, "start", { parameters: { unknown: 1 } })
      assert.strictEqual(requested._tag, "Unfinished")
    }).pipe(Effect.provide(layer)))

  it.effect("the chat is bound to the build", () =>
    Effect.gen(function*() {
      const first = yield* created({ chat: unbound(chatId) })
      yield* built()
      const requested = yield* request(first.workspace.workspaceId, "stop", { chat: yield* row })
      assert.strictEqual(requested._tag, "Queued")
      assert.deepInclude(yield* row, { buildId: requested.build.buildId, agentId: null })
      assert.deepStrictEqual(requested._tag === "Queued" ? requested.binding : null, yield* row)
    }).pipe(Effect.provide(layer)))

  it.effect("a chat that has left the workspace builds nothing in it", () =>
    Effect.gen(function*() {
      const bindings = yield* ChatBindings.ChatBindings
      const builds = yield* Builds.Builds
      const first = yield* created({ chat: unbound(chatId) })
      const { workspaceId } = first.workspace
      yield* built()
      const chat = yield* row
      yield* bindings.bindWorkspace({ chatId, owner: ann, workspaceId: null })
      const error = yield* Effect.flip(request(workspaceId, "stop", { chat }))
      assert.strictEqual(error._tag, "WorkspaceChanged")
      assert.strictEqual(Option.getOrThrow(yield* builds.latest(workspaceId)).build.number, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("a workspace of somebody else, or none at all, is refused", () =>
    Effect.gen(function*() {
      const first = yield* created()
      const { workspaceId } = first.workspace
      yield* built()
      for (const transition of ["start", "stop"] as const) {
        const error = yield* Effect.flip(request(workspaceId, transition, { owner: bob }))
        assert.strictEqual(error._tag, "WorkspaceRefused")
      }
      assert.strictEqual((yield* Effect.flip(request(WorkspaceId.make("none"), "stop")))._tag, "WorkspaceRefused")
    }).pipe(Effect.provide(layer)))

  it.effect("one that was made elsewhere cannot be built here", () =>
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments.AgentEnrollments
      const workspaceId = WorkspaceId.make("elsewhere")
      yield* enrollments.recordStart({ workspaceId, owner: ann, buildId: BuildId.make("b"), agents: [] })
      const error = yield* Effect.flip(request(workspaceId, "stop"))
      assert.strictEqual(error._tag === "TemplateNotFound" && error.templateId, null)
      assert.strictEqual((yield* request(workspaceId, "start"))._tag, "Unneeded")
    }).pipe(Effect.provide(layer)))

  it.effect("a template that is not for its owner any more may be stopped and not started", () =>
    Effect.gen(function*() {
      const first = yield* created().pipe(Effect.provide(Layer.fresh(Workspaces.layer)))
      const { workspaceId } = first.workspace
      yield* built()
      const closed = Workspaces.layer.pipe(
        Layer.provide(Templates.layerMemory([template("repeated", { owners: [bob] })])),
        Layer.fresh
      )
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* request(workspaceId, "stop"))._tag, "Queued")
        yield* built()
        assert.strictEqual((yield* Effect.flip(request(workspaceId, "start")))._tag, "TemplateNotFound")
      }).pipe(Effect.provide(closed))
    }).pipe(Effect.provide(ground(repeated))))

  /** A queue in which somebody else is always faster, and done already. */
  const contested = Effect.gen(function*() {
    const builds = yield* Builds.Builds
    let requests = 0
    const layer = Workspaces.layer.pipe(
      Layer.provide(Layer.succeed(Builds.Builds, {
        ...builds,
        request: () =>
          Effect.sync(() => {
            requests++
            return Builds.RequestResult.Superseded()
          })
      })),
      Layer.fresh
    )
    return { layer, requests: () => requests }
  })

  it.effect("one that loses every time gives up: a chat has to begin anew, others wait for the winner", () =>
    Effect.gen(function*() {
      const first = yield* created({ chat: unbound(chatId) })
      const { workspaceId } = first.workspace
      yield* built()
      const { layer, requests } = yield* contested
      const stop = (chat: Binding | null) => Effect.provide(request(workspaceId, "stop", { chat }), layer)
      assert.strictEqual((yield* Effect.flip(stop(yield* row)))._tag, "WorkspaceChanged")
      assert.strictEqual(requests(), 5)
      const requested = yield* stop(null)
      assert.strictEqual(requested._tag, "Unfinished")
      assert.strictEqual(requested.build.buildId, first.build.buildId)
    }).pipe(Effect.provide(layer)))

  it.effect("one that loses once decides again", () =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const first = yield* created()
      const { workspaceId } = first.workspace
      yield* built()
      // Somebody stops it between the look and the try.
      let lost = false
      const overtaken: Builds.Builds["Service"] = {
        ...builds,
        request: (options) =>
          Effect.suspend(() => {
            if (lost) return builds.request(options)
            lost = true
            return Effect.andThen(
              builds.request({ ...options, build: { ...options.build, buildId: BuildId.make("theirs") } }),
              builds.request(options)
            )
          })
      }
      const requested = yield* request(workspaceId, "stop").pipe(
        Effect.provide(Layer.fresh(Layer.provide(Workspaces.layer, Layer.succeed(Builds.Builds, overtaken))))
      )
      assert.strictEqual(requested._tag, "Unfinished")
      assert.strictEqual(requested.build.buildId, "theirs")
    }).pipe(Effect.provide(layer)))
})

describe("Workspaces: cancel, list, find", () => {
  it.effect("a build that waits is canceled at once, and nothing is there to cancel then", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      const builds = yield* Builds.Builds
      const first = yield* created()
      const { workspaceId } = first.workspace
      const changed = yield* counted
      assert.isTrue(yield* workspaces.cancel({ owner: ann, workspaceId }))
      const { buildId } = first.build
      assert.deepStrictEqual(changed(), [Signals.cancel(buildId), Signals.build(buildId)])
      assert.strictEqual(Option.getOrThrow(yield* builds.latest(workspaceId)).build.status, "canceled")
      assert.isFalse(yield* workspaces.cancel({ owner: ann, workspaceId }))
      assert.deepStrictEqual(changed(), [])
      assert.strictEqual((yield* Effect.flip(workspaces.cancel({ owner: bob, workspaceId })))._tag, "WorkspaceRefused")
    }).pipe(Effect.provide(layer)))

  it.effect("workspaces are found by id and by name in any case, by their owner", () =>
    Effect.gen(function*() {
      const workspaces = yield* Workspaces.Workspaces
      const first = yield* created({ name: "Shop" })
      const { workspaceId } = first.workspace
      assert.deepStrictEqual((yield* workspaces.list(ann)).map(({ workspace }) => workspace.workspaceId), [workspaceId])
      assert.lengthOf(yield* workspaces.list(bob), 0)
      for (const text of [workspaceId, "shop", "SHOP"]) {
        assert.strictEqual((yield* workspaces.find(ann, text)).workspace.workspaceId, workspaceId)
      }
      for (const text of ["sho", "", "x".repeat(1000)]) {
        assert.strictEqual((yield* Effect.flip(workspaces.find(ann, text)))._tag, "WorkspaceRefused")
      }
      assert.strictEqual((yield* Effect.flip(workspaces.find(bob, "shop")))._tag, "WorkspaceRefused")
    }).pipe(Effect.provide(layer)))
})

describe("Workspaces: the log of a build", () => {
  const taking = Effect.gen(function*() {
    const builds = yield* Builds.Builds
    const first = yield* created()
    const { buildId } = first.build
    yield* builds.take({ nodeId: NodeId.make("n"), lease: Duration.hours(1), limit: Duration.hours(1), attempts: 3 })
    const append = (from: number, to: number) =>
      builds.appendLog({
        buildId,
        epoch: 1,
        lines: Array.from({ length: to - from + 1 }, (_, index) => ({ number: from + index, text: `${from + index}` }))
      })
    const finish = builds.finish({ buildId, epoch: 1, outcome: { _tag: "Succeeded" } })
    return { append, buildId, finish }
  })

  const following = Effect.fnUntraced(function*(buildId: BuildId, after?: number) {
    const workspaces = yield* Workspaces.Workspaces
    const seen: Array<string> = []
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(workspaces.log(buildId, { after }), ({ text }) => Effect.sync(() => seen.push(text))),
      { startImmediately: true }
    )
    yield* TestClock.adjust(0)
    return { fiber, seen }
  })

  it.effect("is followed as it is written, at a poll or at once when the node says so, to the end of the build", () =>
    Effect.gen(function*() {
      const { notify } = yield* Signals.Signals
      const { append, buildId, finish } = yield* taking
      const { fiber, seen } = yield* following(buildId)
      yield* append(1, 2)
      yield* TestClock.adjust(1999)
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["1", "2"])
      yield* append(3, 3)
      yield* notify(Signals.build(buildId))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, ["1", "2", "3"])
      yield* append(4, 4)
      yield* finish
      yield* TestClock.adjust(2000)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["1", "2", "3", "4"])
    }).pipe(Effect.provide(layer)))

  it.effect("of a build that has ended is read in pages, from the line that is wished", () =>
    Effect.gen(function*() {
      const { append, buildId, finish } = yield* taking
      yield* append(1, 2500)
      yield* finish
      const { fiber, seen } = yield* following(buildId, 10)
      yield* Fiber.join(fiber)
      assert.lengthOf(seen, 2490)
      assert.deepStrictEqual([seen[0], seen.at(-1)], ["11", "2500"])
    }).pipe(Effect.provide(layer)))

  it.effect("of a build that nobody knows is empty", () =>
    Effect.gen(function*() {
      const { fiber, seen } = yield* following(BuildId.make("none"))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, [])
    }).pipe(Effect.provide(layer)))

  it.effect("fails with the store, and can be taken up behind the last line", () =>
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      const { append, buildId } = yield* taking
      yield* append(1, 1)
      let down = false
      const failing: Builds.Builds["Service"] = {
        ...builds,
        log: (options) =>
          Effect.suspend(() => down ? Effect.fail(new StoreError({ operation: "log" })) : builds.log(options))
      }
      yield* Effect.gen(function*() {
        const { fiber, seen } = yield* following(buildId)
        assert.deepStrictEqual(seen, ["1"])
        down = true
        yield* TestClock.adjust(2000)
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "StoreError")
      }).pipe(Effect.provide(Layer.fresh(Layer.provide(Workspaces.layer, Layer.succeed(Builds.Builds, failing)))))
    }).pipe(Effect.provide(layer)))
})
