/**
 * What can happen to a chat and its workspace, one scenario each, on real parts.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { ChatWorkspaces } from "../../dial/ChatWorkspaces.ts"
import type { BindingRefused, ConnectError, ProcessError, StoreError, WorkspaceRefused } from "../../domain/Errors.ts"
import { Backend } from "./Backend.ts"
import * as Model from "./Model.ts"
import type { Group, Shown } from "./Report.ts"
import { World } from "./World.ts"
import type { Measured } from "./World.ts"

type Failed = ConnectError | ProcessError | BindingRefused | WorkspaceRefused | StoreError

/**
 * A scenario: how it is prepared and measured, and what its one tool call must get and may cost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scenario {
  readonly name: string
  readonly group: Group
  readonly title: string
  /** What differs from production, and by how much. */
  readonly settings?: string
  readonly expect: {
    readonly got: string
    readonly queries: number
    readonly dials: number
    /** In milliseconds, far from what is usual: a bound that is broken, not a slow machine. */
    readonly within: number
  }
  /** Answers what was measured, and what else did not go as it should. */
  readonly play: Effect.Effect<
    Measured & { readonly wrong?: ReadonlyArray<string> },
    Failed,
    World | Backend | Model.Model | ChatWorkspaces | Scope.Scope
  >
}

const hello = "echo hello"

const newChat = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.start
  const chat = yield* world.chat(workspace)
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const nextCall = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.start
  const turn = yield* Effect.flatMap(world.chat(workspace), world.open)
  yield* world.run(turn, hello)
  return yield* world.measure(world.run(turn, hello))
})

const parallelCalls = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.start
  const chat = yield* world.chat(workspace)
  return yield* world.measure(
    Effect.flatMap(
      world.open(chat),
      (turn) => Effect.all(Array.from({ length: 64 }, () => world.run(turn, hello)), { concurrency: "unbounded" })
    ).pipe(
      Effect.map((all) => `${all.filter((text) => text === "hello").length} × hello`)
    )
  )
})

/** A chat that has worked with a running workspace, for what happens next. */
const settled = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.start
  const chat = yield* world.chat(workspace)
  const turn = yield* world.open(chat)
  yield* world.run(turn, hello)
  return { world, workspace, chat, turn }
})

const stoppedRemembered = Effect.gen(function*() {
  const { chat, workspace, world } = yield* settled
  yield* workspace.stop
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const stoppedNewChat = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.start
  yield* workspace.stop
  const chat = yield* world.chat(workspace)
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const rebuilt = Effect.gen(function*() {
  const { chat, workspace, world } = yield* settled
  yield* workspace.start
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const restarted = Effect.gen(function*() {
  const { turn, workspace, world } = yield* settled
  yield* workspace.stop
  yield* Effect.exit(world.run(turn, hello))
  yield* workspace.start
  return yield* world.measure(world.run(turn, hello))
})

const killed = Effect.gen(function*() {
  const { turn, workspace, world } = yield* settled
  const started = Path.join(workspace.directory, "started")
  const call = yield* Effect.forkChild(world.run(turn, "touch started; sleep 20"))
  yield* world.until("the command starts", () => existsSync(started))
  return yield* world.measure(
    Effect.andThen(Effect.andThen(workspace.killAgent, workspace.reviveAgent), Fiber.join(call))
  )
})

const frozen = Effect.gen(function*() {
  const { chat, turn, workspace, world } = yield* settled
  yield* workspace.freezeAgent
  const measured = yield* world.measure(world.run(turn, "echo ran >> ledger"))
  yield* workspace.thawAgent
  const after = yield* Effect.flatMap(world.open(chat), (next) => world.run(next, hello))
  return {
    ...measured,
    wrong: [
      ...(after === "hello" ? [] : [`after the thaw a call got: ${after}`]),
      ...(existsSync(Path.join(workspace.directory, "ledger")) ? ["the command of the failed call ran"] : [])
    ]
  }
})

const neverComes = Effect.gen(function*() {
  const world = yield* World
  const workspace = yield* world.workspace
  yield* workspace.startWithoutAgent
  const chat = yield* world.chat(workspace)
  yield* Effect.sleep("7 seconds")
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const databaseFrozen = Effect.gen(function*() {
  const { postgres } = yield* Backend
  const { chat, workspace, world } = yield* settled
  yield* workspace.killAgent
  const turn = yield* world.open(chat)
  yield* postgres.pause
  yield* Effect.forkChild(
    Effect.andThen(Effect.sleep("2500 millis"), Effect.andThen(postgres.resume, workspace.reviveAgent))
  )
  return yield* world.measure(world.run(turn, hello))
})

const databaseRestarted = Effect.gen(function*() {
  const { postgres } = yield* Backend
  const { chat, world } = yield* settled
  yield* Effect.orDie(postgres.restart)
  return yield* world.measure(Effect.flatMap(world.open(chat), (turn) => world.run(turn, hello)))
})

const gatewayRestarted = Effect.gen(function*() {
  const backend = yield* Backend
  const { turn, workspace, world } = yield* settled
  const ledger = Path.join(workspace.directory, "ledger")
  const call = yield* Effect.forkChild(world.run(turn, "echo ran >> ledger; sleep 2; echo done"))
  yield* world.until("the command starts", () => existsSync(ledger))
  const measured = yield* world.measure(Effect.andThen(backend.restartServer, Fiber.join(call)))
  const runs = readFileSync(ledger, "utf8").trim().split("\n").length
  return { ...measured, wrong: runs === 1 ? [] : [`the command ran ${runs} times`] }
})

const givesUp = Effect.gen(function*() {
  const chats = yield* ChatWorkspaces
  const { chat, turn, workspace, world } = yield* settled
  yield* workspace.killAgent
  const measured = yield* world.measure(
    Effect.timeoutOrElse(world.run(turn, hello), {
      duration: "500 millis",
      orElse: () => Effect.succeed("its own timeout")
    })
  )
  const { waiters } = chats.describe(chat)
  return { ...measured, wrong: waiters === 0 ? [] : [`${waiters} waiters are left`] }
})

/** A model that does what it reads: from nothing to a file of its own, and back to it after its agent died. */
const modelsPath = Effect.gen(function*() {
  const world = yield* World
  const wrong: Array<string> = []
  const expected = (what: string, met: boolean, answer: Model.Answer) => {
    if (!met) wrong.push(`${what} got: ${JSON.stringify(answer)}`)
  }
  const call = yield* Effect.flatMap(Model.Model, ({ chat }) => chat)

  const path = Effect.gen(function*() {
    const created = yield* call("create_workspace", { template_id: Model.template })
    expected("create_workspace", created.created === true && created.agent_status === undefined, created)
    const ran = yield* call("execute", { command: "echo hello > greeting; echo $PPID" })
    const edits = [{ find: "hello", replace: "hello again" }]
    const edited = yield* call("edit_files", { files: [{ path: "greeting", edits }] })
    expected("edit_files", edited.error === undefined, edited)
    const agent = Number(ran.output)
    expected("execute", agent > 1, ran)
    if (agent > 1) process.kill(agent, "SIGKILL")
    // A call under way would wait for the agent to come back, for as long as it may.
    yield* Effect.sleep("500 millis")
    let lost = yield* call("execute", { command: "cat greeting" })
    // As it reads: once more, and then what it is told.
    if (lost.message?.includes("stop_workspace") !== true) lost = yield* call("execute", { command: "cat greeting" })
    expected("execute with a dead agent", lost.error === "agent_disconnected", lost)
    const stopped = yield* call("stop_workspace", {})
    expected("stop_workspace", stopped.stopped === true, stopped)
    const started = yield* call("start_workspace", {})
    expected("start_workspace", started.started === true && started.agent_status === undefined, started)
    return yield* world.measure(
      Effect.map(call("execute", { command: "cat greeting" }), ({ message, output }) => output?.trim() ?? `${message}`)
    )
  })

  let last: Measured | undefined
  const whole = yield* world.measure(Effect.map(path, (measured) => {
    last = measured
    return "done"
  }))
  return { ...last ?? whole, timeline: whole.timeline, wrong }
})

/**
 * All scenarios, in the order in which they are shown.
 *
 * @since 0.1.0
 * @category scenarios
 */
export const all: ReadonlyArray<Scenario> = [
  {
    name: "new-chat",
    group: "fine",
    title: "New chat on a running workspace",
    expect: { got: "hello", queries: 3, dials: 1, within: 1000 },
    play: newChat
  },
  {
    name: "next-call",
    group: "fine",
    title: "Next call",
    expect: { got: "hello", queries: 0, dials: 0, within: 500 },
    play: nextCall
  },
  {
    name: "parallel",
    group: "fine",
    title: "64 parallel calls on a cold chat",
    expect: { got: "64 × hello", queries: 3, dials: 1, within: 5000 },
    play: parallelCalls
  },
  {
    name: "stopped",
    group: "workspace",
    title: "Stopped, and the chat remembers its agent",
    expect: { got: "NoWorkspaceAgent (stopped)", queries: 3, dials: 1, within: 500 },
    play: stoppedRemembered
  },
  {
    name: "stopped-new-chat",
    group: "workspace",
    title: "New chat on a stopped workspace",
    expect: { got: "NoWorkspaceAgent (stopped)", queries: 2, dials: 0, within: 500 },
    play: stoppedNewChat
  },
  {
    name: "rebuilt",
    group: "workspace",
    title: "Rebuilt, and the chat remembers the old agent",
    expect: { got: "hello", queries: 4, dials: 2, within: 1000 },
    play: rebuilt
  },
  {
    name: "restarted",
    group: "workspace",
    title: "Stopped and started again within a turn",
    expect: { got: "hello", queries: 3, dials: 2, within: 1000 },
    play: restarted
  },
  {
    name: "killed",
    group: "workspace",
    title: "Agent killed during a command, then back",
    expect: { got: "CallInterrupted (mayHaveRun)", queries: 0, dials: 0, within: 5000 },
    play: killed
  },
  {
    name: "frozen",
    group: "workspace",
    title: "Agent frozen; it thaws later and all is well",
    settings: "dial timeout 4 s (30 s), pings every 0.5 s (4 s)",
    expect: { got: "DialTimeout", queries: 3, dials: 1, within: 6000 },
    play: frozen
  },
  {
    name: "never-comes",
    group: "workspace",
    title: "The agent never comes",
    settings: "it may take 1 s (120 s), restart advised after 6 s (90 s), and 0.5 s more (5 s)",
    expect: { got: "AgentDisconnected (neverConnected, restart)", queries: 5, dials: 1, within: 6000 },
    play: neverComes
  },
  {
    name: "models-path",
    group: "workspace",
    title: "A model creates, runs, edits; its agent dies; it stops, starts, runs",
    settings: "restart advised after 6 s (90 s); what it cost is the last call alone",
    expect: { got: "hello again", queries: 3, dials: 1, within: 2000 },
    play: modelsPath
  },
  {
    name: "database-frozen",
    group: "us",
    title: "Database frozen while it is asked; the agent comes back",
    settings: "store calls end after 1 s (3 s)",
    expect: { got: "hello", queries: 2, dials: 1, within: 8000 },
    play: databaseFrozen
  },
  {
    name: "database-restarted",
    group: "us",
    title: "Database restarted between two calls",
    expect: { got: "hello", queries: 2, dials: 0, within: 3000 },
    play: databaseRestarted
  },
  {
    name: "gateway-restarted",
    group: "us",
    title: "Gateway restarted under a running command",
    expect: { got: "done", queries: 0, dials: 0, within: 10_000 },
    play: gatewayRestarted
  },
  {
    name: "gives-up",
    group: "us",
    title: "The caller gives up on a dial that hangs",
    expect: { got: "its own timeout", queries: 2, dials: 1, within: 1000 },
    play: givesUp
  }
]

/**
 * Plays a scenario and holds it against what is expected. Whatever goes wrong is part of the answer.
 *
 * @since 0.1.0
 * @category combinators
 */
export const show = (scenario: Scenario): Effect.Effect<
  Shown,
  never,
  World | Backend | Model.Model | ChatWorkspaces
> => {
  const { expect, group, name, title } = scenario
  const head = { name, group, title, settings: scenario.settings ?? null }
  return Effect.exit(Effect.scoped(scenario.play)).pipe(Effect.map((exit): Shown => {
    if (Exit.isFailure(exit)) {
      const failures = [`could not be played: ${Cause.pretty(exit.cause)}`]
      return { ...head, got: "nothing", millis: 0, queries: 0, dials: 0, failures, timeline: [] }
    }
    const { dials, exit: outcome, millis, queries, timeline, wrong } = exit.value
    const got = describe(outcome)
    const failures = [
      ...(got === expect.got ? [] : [`expected: ${expect.got}`]),
      ...(queries <= expect.queries ? [] : [`expected at most ${expect.queries} queries`]),
      ...(dials <= expect.dials ? [] : [`expected at most ${expect.dials} dials`]),
      ...(millis <= expect.within ? [] : [`expected within ${Duration.format(Duration.millis(expect.within))}`]),
      ...(wrong ?? [])
    ]
    return { ...head, got, millis, queries, dials, failures, timeline }
  }))
}

const describe = (exit: Measured["exit"]): string => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return Cause.pretty(exit.cause)
  const details = detailsOf(error)
  return details.length === 0 ? error._tag : `${error._tag} (${details.join(", ")})`
}

const detailsOf = (error: ConnectError | ProcessError): ReadonlyArray<string> => {
  switch (error._tag) {
    case "NoWorkspaceAgent":
    case "DialFailed":
    case "OperationRefused":
      return [error.reason]
    case "AgentDisconnected":
      return error.restart ? [error.evidence, "restart"] : [error.evidence]
    case "CallInterrupted":
    case "CallTimedOut":
      return [error.sent]
    default:
      return []
  }
}
