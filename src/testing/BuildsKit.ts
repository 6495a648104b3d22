/**
 * What every `Builds` has to keep towards those who ask for builds; `BuildRunsKit` has what it keeps towards runners.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Binding, unbound } from "../domain/Binding.ts"
import { Build, BuildRecord } from "../domain/Build.ts"
import { BindingRefused, LeaseLost, TooManyWorkspaces, WorkspaceNameTaken, WorkspaceRefused } from "../domain/Errors.ts"
import { Workspace } from "../domain/Workspace.ts"
import { AgentEnrollments } from "../store/AgentEnrollments.ts"
import type { AgentPresence } from "../store/AgentPresence.ts"
import { Builds, CreateResult, RequestResult } from "../store/Builds.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { Chats } from "../store/Chats.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import {
  ann,
  aroundBound,
  attach,
  cancel,
  create,
  created,
  failed,
  finish,
  latestOf,
  lease,
  name,
  prepare,
  queued,
  recordOf,
  renew,
  request,
  run,
  seen,
  statusOf,
  succeeded,
  take,
  takeSome,
  template,
  verify
} from "./BuildWords.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, chat, enrolled, owner, secretOf, start, stop, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports =
  | AgentEnrollments
  | AgentPresence
  | Builds
  | ChatBindings
  | Chats
  | StoreClock
  | WorkspaceAgents

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Case<R>> =>
  StoreKit.casesFor(harness, definitions)

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Skipped> =>
  StoreKit.skipped(harness, definitions)

const calls: StoreKit.Calls<Ports> = (suffix) => [
  ["createWorkspace", create(suffix, { chat: unbound(chat(`c${suffix}`)) })],
  ["get", Builds.use((builds) => builds.get(build(`b${suffix}`)))],
  ["latest", Builds.use((builds) => builds.latest(workspace(`w${suffix}`)))],
  ["workspace", Builds.use((builds) => builds.workspace(workspace(`w${suffix}`)))],
  ["workspaces", Builds.use((builds) => builds.workspaces(ann))],
  ["cancel", cancel(suffix)],
  ["request", request(suffix, "start", 1)]
]

const creating: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a new workspace has one pending start, and the chat is bound to both",
    Effect.gen(function*() {
      const builds = yield* Builds
      const result = yield* created("1", { chat: unbound(chat("c")) })
      assert.deepStrictEqual(
        result.build,
        new Build({
          buildId: build("b1"),
          workspaceId: workspace("w1"),
          number: 1,
          transition: "start",
          status: "pending",
          logTail: null
        })
      )
      assert.deepStrictEqual(
        result.workspace,
        new Workspace({
          workspaceId: workspace("w1"),
          owner: ann,
          name: name("name1"),
          templateId: template,
          createdAt: result.workspace.createdAt
        })
      )
      assert.deepStrictEqual(
        result.binding,
        new Binding({
          chatId: chat("c"),
          workspaceId: workspace("w1"),
          buildId: build("b1"),
          agentId: null,
          generation: 1
        })
      )
      assert.deepStrictEqual(yield* seen("c"), result.binding)
      assert.deepStrictEqual(yield* builds.workspace(workspace("w1")), Option.some(result.workspace))
      const record = yield* recordOf("b1")
      assert.deepStrictEqual(
        record,
        new BuildRecord({
          build: result.build,
          templateId: template,
          parameters: { size: "2" },
          failure: null,
          attempt: 0,
          ahead: 0,
          createdAt: record.createdAt,
          startedAt: null,
          finishedAt: null,
          asOf: record.asOf
        })
      )
    })
  ),
  StoreKit.definition(
    "a workspace without a chat binds none",
    Effect.gen(function*() {
      assert.strictEqual((yield* created("1")).binding, null)
      assert.deepStrictEqual(yield* seen("c"), unbound(chat("c")))
    })
  ),
  StoreKit.definition(
    "a chat whose row has changed since is superseded, and nothing is made",
    Effect.gen(function*() {
      const builds = yield* Builds
      const before = unbound(chat("c"))
      const { binding } = yield* created("1", { chat: before })
      assert(binding !== null)
      assert.deepStrictEqual<unknown>(yield* create("2", { chat: before }), CreateResult.Superseded({ binding }))
      assert.deepStrictEqual(yield* builds.workspace(workspace("w2")), Option.none())
      assert.deepStrictEqual(yield* builds.get(build("b2")), Option.none())
      assert.deepStrictEqual(yield* seen("c"), binding)
      // With the row as it is, it moves there.
      assert.deepInclude((yield* created("2", { chat: binding })).binding, {
        workspaceId: workspace("w2"),
        generation: 2
      })
    })
  ),
  StoreKit.definition(
    "of 64 that want a workspace for one chat at once one makes it, and the others see its row",
    Effect.gen(function*() {
      const builds = yield* Builds
      const results = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, index) => String(index)),
        (suffix) => create(suffix, { chat: unbound(chat("c")), names: [name("same"), name(`other-${suffix}`)] }),
        { concurrency: "unbounded" }
      )
      const made = results.filter(CreateResult.$is("Created"))
      assert.strictEqual(made.length, 1)
      const binding = yield* seen("c")
      for (const result of results) assert.deepStrictEqual(result.binding, binding)
      const workspaces = yield* builds.workspaces(ann)
      assert.deepStrictEqual(workspaces.map(({ workspace }) => workspace), [made[0]?.workspace])
      assert.strictEqual(workspaces[0]?.latest?.build.number, 1)
    })
  ),
  StoreKit.definition(
    "a chat of another owner is refused, and nothing is made",
    Effect.gen(function*() {
      const builds = yield* Builds
      const chats = yield* Chats
      const { binding: row } = yield* chats.create({ chatId: chat("c"), owner: owner("bob") })
      const refused = yield* Effect.flip(create("1", { chat: row }))
      assert.deepStrictEqual<unknown>(refused, new BindingRefused({ chatId: chat("c"), workspaceId: null }))
      assert.deepStrictEqual(yield* builds.workspace(workspace("w1")), Option.none())
      assert.deepStrictEqual(yield* seen("c"), row)
    })
  ),
  StoreKit.definition(
    "the first name that the owner has not taken is chosen, whatever its case",
    Effect.gen(function*() {
      const builds = yield* Builds
      yield* created("1", { names: [name("Work")] })
      const second = yield* created("2", { names: [name("work"), name("WORK"), name("play")] })
      assert.strictEqual(second.workspace.name, "play")
      // A name is free for others.
      assert.strictEqual(
        (yield* created("3", { owner: owner("bob"), names: [name("work")] })).workspace.name,
        "work"
      )
      const taken = yield* Effect.flip(
        create("4", { chat: unbound(chat("c")), names: [name("wOrK"), name("Play")] })
      )
      assert.deepStrictEqual<unknown>(taken, new WorkspaceNameTaken({ name: "wOrK" }))
      assert.deepStrictEqual(yield* builds.workspace(workspace("w4")), Option.none())
      assert.deepStrictEqual(yield* seen("c"), unbound(chat("c")))
    })
  ),
  StoreKit.definition(
    "many owners' chats that want the same names at once all get one, each another",
    Effect.gen(function*() {
      const names = Array.from({ length: 16 }, (_, index) => name(`n${index}`))
      const results = yield* Effect.forEach(
        names,
        (_, index) => {
          const [first = name("x"), ...others] = index % 2 === 0 ? names : names.toReversed()
          return created(String(index), { chat: unbound(chat(`c${index}`)), names: [first, ...others] })
        },
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(results.map(({ workspace }) => workspace.name)).size, 16)
    })
  ),
  StoreKit.definition(
    "a deleted workspace frees its name, and is not among the owner's any more",
    Effect.gen(function*() {
      const builds = yield* Builds
      yield* created("1", { names: [name("work")] })
      yield* run()
      yield* queued("1", "delete", 1)
      assert.strictEqual((yield* Effect.flip(create("2", { names: [name("work")] })))._tag, "WorkspaceNameTaken")
      yield* run()
      assert.deepStrictEqual(yield* builds.workspaces(ann), [])
      assert.strictEqual((yield* created("2", { names: [name("work")] })).workspace.name, "work")
      // It is known still, and cannot be built.
      assert(Option.isSome(yield* builds.workspace(workspace("w1"))))
      const refused = new WorkspaceRefused({ workspaceId: workspace("w1"), owner: ann })
      assert.deepStrictEqual<unknown>(yield* Effect.flip(request("1", "start", 2)), refused)
      assert.deepStrictEqual<unknown>(yield* Effect.flip(cancel("1")), refused)
    })
  ),
  StoreKit.definition(
    "a chat makes so many workspaces within a time and no more, deleted ones too, and then again",
    Effect.gen(function*() {
      const within = Duration.hours(1)
      const make = (suffix: string) =>
        Effect.flatMap(seen("c"), (row) => create(suffix, { chat: row, limit: { count: 2, within } }))
      yield* make("1")
      yield* run()
      yield* queued("1", "delete", 1)
      yield* run()
      yield* make("2")
      const row = yield* seen("c")
      const tooMany = new TooManyWorkspaces({ limit: 2, within })
      yield* aroundBound(
        within,
        Effect.gen(function*() {
          assert.deepStrictEqual<unknown>(yield* Effect.flip(make("3")), tooMany)
          assert.deepStrictEqual(yield* seen("c"), row)
        }),
        Effect.gen(function*() {
          assert(CreateResult.$is("Created")(yield* make("3")))
          assert(CreateResult.$is("Created")(yield* make("4")))
          assert.deepStrictEqual<unknown>(yield* Effect.flip(make("5")), tooMany)
        })
      )
      // Another chat has its own count, and without a chat there is none.
      yield* created("6", { chat: unbound(chat("d")), limit: { count: 1, within } })
      yield* created("7", { limit: { count: 0, within } })
    })
  )
]

const requesting: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a build is asked for after the one that was seen, and binds the chat to it",
    Effect.gen(function*() {
      const builds = yield* Builds
      const bindings = yield* ChatBindings
      const first = yield* created("1", { chat: unbound(chat("c")) })
      yield* run()
      assert(first.binding !== null)
      // Another writer bound the agent meanwhile: the chat is in the workspace still.
      yield* bindings.bindAgent(first.binding, build("b1"), agentId("a1"))
      const { binding, build: next } = yield* queued("1", "stop", 1, { chat: first.binding })
      assert.deepInclude(next, { buildId: build("b1.2"), number: 2, transition: "stop", status: "pending" })
      assert.deepStrictEqual(
        binding,
        new Binding({
          chatId: chat("c"),
          workspaceId: workspace("w1"),
          buildId: build("b1.2"),
          agentId: null,
          generation: 3
        })
      )
      assert.deepStrictEqual(yield* seen("c"), binding)
      const record = yield* recordOf("b1.2")
      assert.deepInclude(record, { templateId: template, attempt: 0 })
      assert.deepStrictEqual(record.parameters, { size: "3" })
      assert.deepStrictEqual(yield* latestOf("1"), Option.some(build("b1.2")))
      assert.deepStrictEqual(Option.map(yield* builds.latest(workspace("w1")), ({ build }) => build), Option.some(next))
    })
  ),
  StoreKit.definition(
    "while a build is unfinished, or after another number, nothing is written",
    Effect.gen(function*() {
      const superseded = RequestResult.Superseded()
      yield* created("1", { chat: unbound(chat("c")) })
      const row = yield* seen("c")
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 1, { chat: row }), superseded)
      yield* run()
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 0, { chat: row }), superseded)
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 2, { chat: row }), superseded)
      assert.deepStrictEqual(yield* latestOf("1"), Option.some(build("b1")))
      assert.deepStrictEqual(yield* seen("c"), row)
    })
  ),
  StoreKit.definition(
    "a chat that left the workspace, or is another owner's, asks for nothing",
    Effect.gen(function*() {
      const chats = yield* Chats
      const { binding } = yield* created("1", { chat: unbound(chat("c")) })
      assert(binding !== null)
      yield* run()
      const moved = yield* created("2", { chat: binding })
      yield* run()
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 1, { chat: binding }), RequestResult.Superseded())
      const { binding: foreign } = yield* chats.create({ chatId: chat("foreign"), owner: owner("bob") })
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 1, { chat: foreign }), RequestResult.Superseded())
      const none = unbound(chat("none"))
      assert.deepStrictEqual<unknown>(yield* request("1", "stop", 1, { chat: none }), RequestResult.Superseded())
      assert.deepStrictEqual(yield* latestOf("1"), Option.some(build("b1")))
      assert.deepStrictEqual(yield* seen("c"), moved.binding)
    })
  ),
  StoreKit.definition(
    "of many that ask at once one is queued",
    Effect.gen(function*() {
      yield* created("1", { chat: unbound(chat("c")) })
      yield* run()
      const row = yield* seen("c")
      const results = yield* Effect.forEach(
        Array.from({ length: 32 }, (_, index) => index),
        (index) =>
          request("1", index % 2 === 0 ? "stop" : "start", 1, {
            buildId: `next-${index}`,
            ...(index % 3 === 0 ? { chat: row } : {})
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(results.filter(RequestResult.$is("Queued")).length, 1)
      assert.strictEqual(results.filter(RequestResult.$is("Superseded")).length, 31)
    })
  ),
  StoreKit.definition(
    "a workspace of another owner, or none of that name, is refused",
    Effect.gen(function*() {
      yield* created("1")
      yield* run()
      for (const [suffix, as] of [["1", "bob"], ["nowhere", "ann"]] as const) {
        const refused = new WorkspaceRefused({ workspaceId: workspace(`w${suffix}`), owner: owner(as) })
        assert.deepStrictEqual<unknown>(yield* Effect.flip(request(suffix, "stop", 1, { owner: as })), refused)
        assert.deepStrictEqual<unknown>(yield* Effect.flip(cancel(suffix, as)), refused)
      }
      assert.deepStrictEqual(yield* latestOf("1"), Option.some(build("b1")))
    })
  ),
  StoreKit.definition(
    "a start revokes the agents of earlier ones when it is asked for, a stop when it has succeeded",
    Effect.gen(function*() {
      yield* created("1")
      const first = yield* take()
      yield* prepare("b1", first.epoch, enrolled("a1", { secretHash: yield* secretOf(1) }))
      assert.strictEqual(yield* verify("a1", 1), "valid")
      yield* finish("b1", first.epoch, succeeded)
      yield* queued("1", "stop", 1)
      yield* run(failed())
      assert.strictEqual(yield* verify("a1", 1), "valid")
      yield* queued("1", "start", 2)
      assert.strictEqual(yield* verify("a1", 1), "revoked")
      const second = yield* take()
      yield* prepare("b1.3", second.epoch, enrolled("a2", { secretHash: yield* secretOf(2) }))
      yield* finish("b1.3", second.epoch, failed())
      assert.strictEqual(yield* verify("a1", 1), "revoked")
      assert.strictEqual(yield* verify("a2", 2), "valid")
      yield* queued("1", "stop", 3)
      assert.strictEqual(yield* verify("a2", 2), "valid")
      yield* run()
      assert.strictEqual(yield* verify("a2", 2), "revoked")
      yield* start("other", "other", "a9")
      yield* attach("a9")
    })
  ),
  StoreKit.definition(
    "a start or stop made elsewhere is numbered on, and ends what is not finished here",
    Effect.gen(function*() {
      const builds = yield* Builds
      yield* created("1")
      const { epoch } = yield* take()
      yield* start("w1", "elsewhere", "a1")
      assert.strictEqual(yield* statusOf("b1"), "canceled")
      assert.strictEqual(yield* renew("b1", epoch), "lost")
      assert.deepStrictEqual(
        yield* Effect.flip(prepare("b1", epoch, enrolled("a2"))),
        new LeaseLost({ buildId: build("b1") })
      )
      const record = yield* recordOf("elsewhere")
      assert.deepInclude(record, { templateId: null, failure: null, attempt: 0, ahead: 0, startedAt: null })
      assert.deepInclude(record.build, { number: 2, transition: "start", status: "succeeded" })
      assert.deepStrictEqual(record.parameters, {})
      assert(record.finishedAt !== null)
      yield* queued("1", "start", 2)
      yield* stop("w1", "stopped")
      assert.strictEqual(yield* statusOf("b1.3"), "canceled")
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      // One that was made elsewhere has neither name nor template.
      yield* start("enrolled", "b9", "a9")
      assert.deepInclude(Option.getOrThrow(yield* builds.workspace(workspace("enrolled"))), {
        owner: ann,
        name: null,
        templateId: null
      })
    })
  ),
  StoreKit.definition(
    "a workspace that was deleted elsewhere frees its name, and comes back without one",
    Effect.gen(function*() {
      const builds = yield* Builds
      const enrollments = yield* AgentEnrollments
      yield* created("1", { names: [name("work")] })
      yield* run()
      yield* enrollments.recordEnd({
        workspaceId: workspace("w1"),
        owner: ann,
        buildId: build("gone"),
        transition: "delete"
      })
      assert.deepStrictEqual(yield* builds.workspaces(ann), [])
      yield* created("2", { names: [name("work")] })
      yield* start("w1", "back", "a1")
      assert.deepStrictEqual(
        (yield* builds.workspaces(ann)).map(({ workspace }) => [workspace.workspaceId, workspace.name]),
        [[workspace("w1"), null], [workspace("w2"), name("work")]]
      )
    })
  ),
  StoreKit.definition(
    "canceling ends a pending build at once, and tells the runner of a running one",
    Effect.gen(function*() {
      yield* created("1")
      const canceled = Option.getOrThrow(yield* cancel("1"))
      assert.deepInclude(canceled, { buildId: build("b1"), status: "canceled" })
      assert((yield* recordOf("b1")).finishedAt !== null)
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      assert.deepStrictEqual(yield* cancel("1"), Option.none())
      yield* queued("1", "start", 1)
      const { epoch } = yield* take()
      assert.strictEqual(yield* renew("b1.2", epoch), "held")
      assert.deepInclude(Option.getOrThrow(yield* cancel("1")), { buildId: build("b1.2"), status: "running" })
      assert.strictEqual(yield* renew("b1.2", epoch), "canceling")
      assert.deepInclude(Option.getOrThrow(yield* cancel("1")), { status: "running" })
      assert.deepInclude(yield* finish("b1.2", epoch, { _tag: "Canceled" }), { status: "canceled", logTail: null })
      assert.deepStrictEqual(yield* cancel("1"), Option.none())
    })
  ),
  StoreKit.definition(
    "a build whose runner is gone is canceled at once, and one that was to be canceled is not run again",
    Effect.gen(function*() {
      yield* created("1", { repeatable: true })
      yield* created("2", { repeatable: true })
      const first = yield* take()
      const second = yield* take()
      yield* cancel("2")
      yield* aroundBound(
        lease,
        Effect.asVoid(takeSome()),
        Effect.gen(function*() {
          assert.deepInclude(Option.getOrThrow(yield* cancel("1")), { status: "canceled" })
          assert.deepStrictEqual(yield* takeSome(), Option.none())
        })
      )
      assert.strictEqual(yield* statusOf("b2"), "canceled")
      assert.strictEqual(yield* renew("b1", first.epoch), "lost")
      assert.strictEqual(yield* renew("b2", second.epoch), "lost")
    })
  )
]

const reading: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "the workspaces of an owner come in the order in which they were made, each with its latest build",
    Effect.gen(function*() {
      const builds = yield* Builds
      const clock = yield* StoreClock
      const first = yield* created("1", { names: [name("zebra")] })
      yield* clock.pass("1 minute")
      yield* created("2", { names: [name("ant")] })
      yield* created("foreign", { owner: owner("bob") })
      yield* run()
      yield* queued("1", "stop", 1)
      const found = yield* builds.workspaces(ann)
      assert.deepStrictEqual(
        found.map(({ latest, workspace }) => [workspace.name, latest?.build.buildId, latest?.build.status]),
        [[name("zebra"), build("b1.2"), "pending"], [name("ant"), build("b2"), "pending"]]
      )
      // A build that waits has those of others before it.
      assert.deepStrictEqual(found.map(({ latest }) => latest?.ahead), [2, 0])
      assert.strictEqual(found[0]?.workspace.workspaceId, first.workspace.workspaceId)
      assert.deepStrictEqual(yield* builds.workspaces(owner("nobody")), [])
    })
  ),
  StoreKit.definition(
    "to those who look for agents a build is the latest from when it is asked for, whatever becomes of it",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      const latest = Effect.map(agents.latestBuild(workspace("w1")), (found) => {
        const { agents, build } = Option.getOrThrow(found)
        return [build.buildId, build.status, agents.length]
      })
      yield* created("1")
      assert.deepStrictEqual(yield* latest, ["b1", "pending", 0])
      const { epoch } = yield* take()
      yield* prepare("b1", epoch, enrolled("a1"))
      assert.deepStrictEqual(yield* latest, ["b1", "running", 1])
      yield* finish("b1", epoch, succeeded)
      yield* queued("1", "start", 1)
      assert.deepStrictEqual(yield* latest, ["b1.2", "pending", 0])
      yield* run(failed())
      assert.deepStrictEqual(yield* latest, ["b1.2", "failed", 0])
      yield* queued("1", "stop", 2)
      yield* cancel("1")
      assert.deepStrictEqual(yield* latest, ["b1.3", "canceled", 0])
    })
  ),
  StoreKit.definition(
    "what is not there is none",
    Effect.gen(function*() {
      const builds = yield* Builds
      assert.deepStrictEqual(yield* builds.get(build("b")), Option.none())
      assert.deepStrictEqual(yield* builds.latest(workspace("w")), Option.none())
      assert.deepStrictEqual(yield* builds.workspace(workspace("w")), Option.none())
    })
  )
]

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  ...creating,
  ...requesting,
  ...reading,
  ...StoreKit.deaths(calls)
]
