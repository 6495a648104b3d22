import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { AgentId, ChatId, Incarnation, MessageId } from "../../src/domain/Ids.ts"
import { Status } from "../../src/http/Status.ts"
import type { StatusView } from "../../src/http/StatusView.ts"
import { Chats } from "../../src/store/Chats.ts"
import { ScriptedModel, TestWorkspaces } from "../../src/testing/index.ts"
import { Turns } from "../../src/turn/Turns.ts"
import { provide } from "./support/status.ts"

const chat = (name: string) => ChatId.make(name)
const c = chat("c")
const overview = Effect.flatMap(Status, (status) => status.overview)
const of = (name: string) => Effect.flatMap(Status, (status) => status.chat(chat(name)))

const world = <A>(f: (world: TestWorkspaces.TestWorkspaces["Service"]) => Effect.Effect<A>) =>
  Effect.flatMap(TestWorkspaces.TestWorkspaces, f)

const connect = (name: string) =>
  Effect.flatMap(
    ChatWorkspaces,
    ({ open }) => Effect.flatMap(open(chat(name)), ({ use }) => Effect.exit(use(() => Effect.void)))
  )

const send = (name: string) =>
  Effect.flatMap(
    Turns,
    (turns) =>
      turns.send({ chatId: chat(name), owner: TestWorkspaces.owner, messageId: MessageId.make("m"), text: "Go on" })
  )

const states = ({ chats }: StatusView) => chats.map(({ chatId, code, level }) => [`${chatId}`, level, `${code}`])

const session = {
  epoch: 2,
  incarnation: Incarnation.make("one"),
  openFor: Duration.minutes(5),
  silentFor: Duration.seconds(1)
}

const linked = { session, waiters: [], calls: [], lastRefusal: null }

describe("the status of a node", () => {
  it.effect("shows a running, a stopped and a stuck chat, what is wrong first", () =>
    Effect.gen(function*() {
      yield* world((world) =>
        Effect.all([world.stopped(chat("stopped")), world.running(chat("running")), world.agentDead(chat("stuck"))])
      )
      const status = yield* overview
      assert.sameDeepMembers(states(status), [
        ["stuck", "wrong", "agent_disconnected"],
        ["running", "well", "well"],
        ["stopped", "still", "workspace_stopped"]
      ])
      assert.strictEqual(status.chats[0]?.chatId, chat("stuck"))
      assert.strictEqual(status.level, "wrong")
      assert.match(status.headline, /^Chat stuck in workspace-\d: The workspace runs, but its agent is disconnected/)
      assert.sameDeepMembers(
        status.workspaces.map(({ agents: [agent], build, code, level }) => [
          level,
          code,
          build?.transition,
          agent?.status
        ]),
        [
          ["wrong", "agent_disconnected", "start", "disconnected"],
          ["well", "well", "start", "connected"],
          ["still", "workspace_stopped", "stop", undefined]
        ]
      )
    }).pipe(provide()))

  it.effect("says of a chat what its explanation says", () =>
    Effect.gen(function*() {
      const verbs = yield* TestWorkspaces.TestWorkspaces
      yield* verbs.running(chat("a"))
      yield* verbs.agentDead(chat("b"))
      yield* verbs.neverConnects(chat("d"))
      yield* verbs.slowStart(chat("e"))
      yield* verbs.lastBuild(chat("f"), { transition: "start", status: "failed", log: "no space left" })
      yield* verbs.rebuilt(chat("g"))
      yield* verbs.running(chat("h"))
      yield* send("h")
      const { chats } = yield* overview
      assert.lengthOf(chats, 7)
      for (const { chatId, code, level, message } of chats) {
        const one = yield* of(chatId)
        assert.deepStrictEqual({ code, message, level }, { ...one.finding, level: one.level })
      }
    }).pipe(provide({ script: [() => Effect.never] })))

  it.effect("is well when nothing is wrong", () =>
    Effect.gen(function*() {
      yield* world((world) => world.running(c))
      const { headline, level, problems } = yield* overview
      assert.deepStrictEqual({ headline, level, problems }, {
        headline: "Nothing is wrong.",
        level: "well",
        problems: []
      })
    }).pipe(provide()))

  it.effect("counts once what holds up all chats of a workspace, and leaves out none that has no chat", () =>
    Effect.gen(function*() {
      const chats = yield* Chats
      const { owner } = TestWorkspaces
      yield* world((world) => Effect.andThen(world.agentDead(c), world.agentDead(chat("other"))))
      yield* Effect.orDie(chats.create({ chatId: chat("child"), owner, parent: c }))
      const { headline, problems } = yield* overview
      assert.deepStrictEqual(problems.map(({ chats }) => chats).sort(), [1, 2])
      assert.match(headline, / And 1 more\.$/)
    }).pipe(provide()))

  it.effect.each(
    [
      { for: "89999 millis", level: "warn", headline: "Nothing is stuck; one chat wants a look." },
      { for: "90 seconds", level: "wrong" }
    ] as const
  )("calls an agent that has been gone for $for $level", ({ for: gone, headline, level }) =>
    Effect.gen(function*() {
      yield* TestClock.adjust("10 minutes")
      yield* world((world) => world.agentDead(c, { for: gone }))
      const status = yield* overview
      assert.deepStrictEqual([status.level, status.chats[0]?.level], [level, level])
      if (headline !== undefined) assert.strictEqual(status.headline, headline)
    }).pipe(provide()))

  it.effect("says why its node is not ready", () =>
    Effect.gen(function*() {
      const { headline, level, node } = yield* overview
      assert.deepStrictEqual(node.unready, ["this node shuts down"])
      assert.deepStrictEqual({ level, headline }, {
        level: "wrong",
        headline: "This node is not ready: this node shuts down."
      })
    }).pipe(provide({ unready: () => ["this node shuts down"] })))

  it.effect("names its node, and how long it has been up", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("90 seconds")
      const { node } = yield* overview
      assert.deepStrictEqual(node, { nodeId: node.nodeId, upFor: Duration.seconds(90), unready: [] })
      assert.strictEqual(node.nodeId, "node-a")
    }).pipe(provide()))

  it.effect("shows what waits, for longest first", () => {
    let agentId = AgentId.make("none")
    return Effect.gen(function*() {
      const verbs = yield* TestWorkspaces.TestWorkspaces
      const place = yield* verbs.running(c)
      agentId = place.agentId
      yield* verbs.slowStart(chat("starting"))
      yield* TestClock.adjust("10 seconds")
      yield* send("c")
      yield* TestClock.adjust("5 seconds")
      const { counts, sessions, waits } = yield* overview
      assert.deepStrictEqual(
        waits.map(({ age, kind, what }) => [kind, what, Duration.toSeconds(age)]),
        [
          ["call", "run", 20],
          ["build", "start", 15],
          ["turn", "for the model", 5],
          ["dial", "for its agent", 2]
        ]
      )
      assert.deepStrictEqual(
        waits.map(({ chatId, workspaceId }): string | null => chatId ?? workspaceId),
        [place.workspaceId, "workspace of starting", "c", place.workspaceId]
      )
      assert.deepStrictEqual(counts, { sessions: 1, dials: 1, calls: 1, turns: 1 })
      assert.deepStrictEqual(sessions.map(({ calls, workspaceId }) => [workspaceId, calls]), [[place.workspaceId, 1]])
    }).pipe(provide({
      script: [() => Effect.never],
      overview: () => ({ sessions: 1, waiters: 1, calls: 1, agents: [agentId] }),
      describe: (id) =>
        id !== agentId ? { ...linked, session: null } : {
          ...linked,
          waiters: [{ waitingFor: Duration.seconds(2) }],
          calls: [{ method: "run", runningFor: Duration.seconds(20) }]
        }
    }))
  })

  it.effect("is bounded, and shows the chats with a running turn first", () =>
    Effect.gen(function*() {
      const chats = yield* Chats
      const { owner } = TestWorkspaces
      for (const name of ["a", "b", "d", "e"]) {
        yield* Effect.orDie(chats.create({ chatId: chat(name), owner }))
        yield* TestClock.adjust("1 second")
      }
      yield* send("a")
      const shown = yield* overview
      assert.deepStrictEqual(shown.chats.map(({ chatId }) => chatId).sort(), [chat("a"), chat("e")])
    }).pipe(provide({ limit: 2, script: [() => Effect.never] })))

  it.effect("looks at the store once a second, however many ask", () => {
    let looks = 0
    return Effect.gen(function*() {
      yield* Effect.all(Array.from({ length: 20 }, () => overview), { concurrency: "unbounded" })
      assert.strictEqual(looks, 1)
      yield* TestClock.adjust("999 millis")
      yield* overview
      assert.strictEqual(looks, 1)
      yield* TestClock.adjust("1 millis")
      yield* overview
      assert.strictEqual(looks, 2)
    }).pipe(provide({
      onLook: () => {
        looks++
      }
    }))
  })

  it.effect("goes on for the others when who asked first leaves", () =>
    Effect.gen(function*() {
      yield* world((world) => world.databaseDown({ hangs: true }))
      const first = yield* Effect.forkChild(overview, { startImmediately: true })
      const second = yield* Effect.forkChild(overview, { startImmediately: true })
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("3 seconds")
      assert.isFalse((yield* Fiber.join(second)).database.reachable)
    }).pipe(provide()))

  it.effect("shows what it saw last while the database does not answer, within the bound of a store call", () =>
    Effect.gen(function*() {
      yield* world((world) => world.stopped(c))
      yield* overview
      const { seenAt } = (yield* overview).database
      yield* TestClock.adjust("10 seconds")
      yield* world((world) => world.databaseDown({ hangs: true }))
      const asking = yield* Effect.forkChild(overview, { startImmediately: true })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const status = yield* Fiber.join(asking)
      assert.deepStrictEqual(status.database, { reachable: false, seenAt, seenAge: Duration.seconds(13) })
      assert.deepStrictEqual([status.level, status.headline], ["wrong", "The database does not answer."])
      assert.deepStrictEqual(states(status), [["c", "still", "workspace_stopped"]])
      yield* world((world) => world.databaseUp)
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* overview).database.reachable)
    }).pipe(provide()))

  it.effect("shows what its node knows when it never saw the store", () =>
    Effect.gen(function*() {
      yield* world((world) => world.running(c))
      yield* connect("c")
      yield* world((world) => world.databaseDown())
      const status = yield* overview
      assert.deepStrictEqual(states(status), [["c", "wrong", "database_down"]])
      assert.strictEqual(status.chats[0]?.connect?.path, "fast")
      assert.isNull(status.database.seenAt)
    }).pipe(provide()))

  it.effect("holds nothing of what was said, called, printed or given", () =>
    Effect.gen(function*() {
      const secret = "hunter2"
      yield* world((world) =>
        Effect.andThen(world.running(c), world.onExecute(() => Effect.succeed({ stdout: secret })))
      )
      yield* world((world) =>
        world.lastBuild(chat("failed"), { transition: "start", status: "failed", log: `password ${secret}` })
      )
      const turns = yield* Turns
      const model = yield* ScriptedModel.ScriptedModel
      yield* turns.send({ chatId: c, owner: TestWorkspaces.owner, messageId: MessageId.make("m"), text: secret })
      yield* model.untilAsked(2)
      const shown = JSON.stringify([yield* overview, yield* of("c"), yield* of("failed")])
      assert.include(shown, "turn_at_model")
      assert.notInclude(shown, secret)
    }).pipe(provide({
      script: [ScriptedModel.call("execute", { command: "echo hunter2" }), () => Effect.never]
    })))
})

describe("the status of a chat", () => {
  it.effect("has the last connects with their paths, causes and durations, the newest first", () =>
    Effect.gen(function*() {
      const verbs = yield* TestWorkspaces.TestWorkspaces
      yield* verbs.running(c)
      yield* connect("c")
      yield* connect("c")
      yield* verbs.stopped(c)
      yield* connect("c")
      yield* TestClock.adjust("30 seconds")
      const { finding, level, timeline, waiters } = yield* of("c")
      assert.deepStrictEqual(
        timeline.map(({ age, calls, cause, outcome, path, took }) => ({
          outcome,
          path,
          cause,
          calls,
          age: Duration.toSeconds(age),
          took: Duration.toMillis(took)
        })),
        [
          {
            outcome: "no_workspace_agent",
            path: null,
            cause: "The workspace is stopped.",
            calls: 1,
            age: 30,
            took: 0
          },
          { outcome: "connected", path: "hit", cause: null, calls: 1, age: 30, took: 0 },
          { outcome: "connected", path: "fast", cause: null, calls: 1, age: 30, took: 0 }
        ]
      )
      assert.deepStrictEqual([finding.code, level, waiters], ["workspace_stopped", "still", 0])
    }).pipe(provide()))

  it.effect("has what its turn waits for", () =>
    Effect.gen(function*() {
      yield* world((world) => world.running(c))
      yield* send("c")
      yield* TestClock.adjust("4 seconds")
      const { level, turns } = yield* of("c")
      assert.deepStrictEqual([level, turns?.nodeId], ["busy", "node-a"])
      assert.deepStrictEqual(
        Option.fromNullishOr(turns?.running).pipe(Option.map(({ quietFor }) => quietFor)),
        Option.some(Duration.seconds(4))
      )
    }).pipe(provide({ script: [() => Effect.never] })))

  it.effect("is asked of the store once a second for each chat", () => {
    return Effect.gen(function*() {
      const verbs = yield* TestWorkspaces.TestWorkspaces
      yield* verbs.running(c)
      const [, first] = yield* verbs.counted(of("c"))
      yield* TestClock.adjust("999 millis")
      const [, second] = yield* verbs.counted(of("c"))
      yield* TestClock.adjust("1 millis")
      const [, third] = yield* verbs.counted(of("c"))
      assert.deepStrictEqual([first, second, third].map(({ queries }) => queries.binding), [1, 0, 1])
    }).pipe(provide())
  })

  it.effect("answers for a chat that is not there", () =>
    Effect.gen(function*() {
      const { at, finding, timeline } = yield* of("nobody")
      assert.deepStrictEqual([finding.code, timeline], ["no_workspace", []])
      assert.deepStrictEqual(at, yield* DateTime.now)
    }).pipe(provide()))
})
