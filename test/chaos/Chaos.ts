/**
 * Real parts under faults: PostgreSQL, two backends and several agents in processes of their own, and chats that work all
 * the time while one part after the other is killed, frozen, started again or cut off. What callers were told is held
 * against what the workspaces noted.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Layer, type Scope, Semaphore } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { ChatId } from "../../src/domain/Ids.ts"
import { type AgentEnrollments, ChatBindings, Migrations, SqlStore } from "../../src/store/index.ts"
import * as PostgresServer from "../../src/testing/PostgresServer.ts"
import * as NatsServer from "../cluster/support/server.ts"
import * as Chance from "../security/fuzz/Chance.ts"
import type { Account, Entry } from "./Account.ts"
import { outcomesOf } from "./Account.ts"
import * as Backends from "./Backends.ts"
import { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import * as Chats from "./Chats.ts"
import * as Faults from "./Faults.ts"
import * as Histories from "./Histories.ts"
import { endInOrder, inflict } from "./Hurting.ts"
import type { World } from "./Hurting.ts"
import * as Leftovers from "./Leftovers.ts"
import * as Workspaces from "./Workspaces.ts"

export interface Options {
  readonly seed: number
  /** How long faults come. Start, recovery and end take longer. */
  readonly seconds: number
  readonly nats: boolean
  readonly workspaces: number
}

const backendCount = 2
const chatsEach = 4

/** Where things stand, also for what is looked at when all parts are gone. */
interface Traces {
  readonly pids: Set<number>
  readonly folders: Set<string>
  readonly sockets: Array<() => number>
}

/** One run, from an empty machine to an empty machine. */
export const run = Effect.fnUntraced(function*(options: Options) {
  const book = new Book()
  const traces: Traces = { pids: new Set(), folders: new Set(), sockets: [] }
  const found = yield* Effect.scoped(Effect.gen(function*() {
    yield* watching(book)
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(Path.join(tmpdir(), "cw-chaos-"))),
      (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }))
    )
    // It is killed: what was committed must be with the system by then.
    const database = yield* PostgresServer.make({ settings: { synchronous_commit: "on" } })
    traces.folders.add(root).add(database.directory)
    return yield* inside({ options, book, traces, root, database }).pipe(Effect.provide(stores(database.url)))
  }))
  for (const left of Leftovers.find({ ...traces, pids: [...traces.pids], folders: [...traces.folders] })) {
    book.violate(left)
  }
  const account: Account = {
    seed: options.seed,
    seconds: options.seconds,
    nats: options.nats,
    workspaces: options.workspaces,
    violations: book.violations,
    operations: book.operations.length,
    outcomes: outcomesOf(book),
    calls: new Map(
      [...book.counts].map(([method, count]) => [method, [count, book.longest.get(method) ?? 0] as const])
    ),
    stalled: book.stalledFor(),
    ...found
  }
  return account
})

const stores = (url: PostgresServer.PostgresServer["Service"]["url"]) =>
  SqlStore.layer({ schema: Backends.schema }).pipe(
    Layer.provideMerge(Migrations.layerMigrations({ schema: Backends.schema })),
    Layer.provideMerge(PgClient.layer({ url, maxConnections: 4 }))
  )

const inside = Effect.fnUntraced(function*({ book, database, options, root, traces }: {
  readonly options: Options
  readonly book: Book
  readonly traces: Traces
  readonly root: string
  readonly database: PostgresServer.PostgresServer["Service"]
}) {
  const nats = options.nats ? yield* NatsServer.start() : undefined
  const world = yield* build({ options, book, root, database, nats })
  const { backends, workspaces } = world
  const chance = Chance.make(options.seed, "chaos")
  const chats = yield* chatsOf(world, book, options)
  for (const { link } of workspaces) traces.sockets.push(link.sockets)
  for (const { database } of backends) traces.sockets.push(database.sockets)

  // All is well before anything is hurt.
  yield* Effect.forEach(chats, ({ work }) => untilWorks(work), { concurrency: "unbounded" }).pipe(
    Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die(new Error(report(world))) })
  )

  const beganAt = performance.now()
  const now = (): number => performance.now() - beganAt
  let isOver = false
  const working = yield* Effect.forEach(chats, ({ work }) =>
    Effect.forkChild(
      Effect.repeat(Effect.andThen(work, Effect.suspend(() => Effect.sleep(20 + chance.below(150)))), {
        until: () => isOver
      })
    ))
  const judging = yield* Effect.forkChild(
    Effect.forever(Effect.delay(Effect.sync(() => book.judge(workspaces)), "1 second"))
  )

  const timeline: Array<{ -readonly [K in keyof Entry]: Entry[K] }> = []
  const hurt = Effect.fnUntraced(function*(fault: Faults.Fault) {
    const entry: (typeof timeline)[number] = { at: now(), over: undefined, what: Faults.describe(fault) }
    timeline.push(entry)
    for (const pid of yield* database.processes) traces.pids.add(pid)
    yield* inflict(world, fault)
    entry.over = now()
  })
  const faults = Faults.draw(
    Chance.make(options.seed, "faults"),
    { backends: backends.length, workspaces: workspaces.length, nats: options.nats },
    options.seconds * 1000
  )
  // A part that is not whole yet is hurt when it is: starting a program takes what it takes.
  const locks = new Map<string, Semaphore.Semaphore>()
  const lockOf = ({ index, part }: Faults.Fault): Semaphore.Semaphore => {
    const key = `${part} ${index}`
    const lock = locks.get(key) ?? Semaphore.makeUnsafe(1)
    locks.set(key, lock)
    return lock
  }
  const hurting = yield* Effect.forEach(
    faults,
    (fault) =>
      Effect.forkChild(
        Effect.andThen(Effect.sleep(Math.max(0, fault.at - now())), lockOf(fault).withPermit(hurt(fault)))
      )
  )
  for (const fiber of hurting) yield* Fiber.join(fiber)

  // Whole again: from here on every chat has so long to do one thing more, and all of it.
  const wholeAt = performance.now()
  isOver = true
  const recoveries = yield* Effect.forEach(
    chats,
    ({ work }, index) =>
      Effect.andThen(
        Effect.suspend(() => working[index] === undefined ? Effect.void : Fiber.await(working[index])),
        untilWorks(work)
      ).pipe(
        Effect.map(() => (performance.now() - wholeAt) / 1000),
        Effect.timeoutOrElse({
          duration: (Bounds.recovery + Bounds.slack) * 1000,
          orElse: () => {
            book.violate(`chat ${index + 1} does not work ${Bounds.recovery} s after the last fault\n${report(world)}`)
            return Effect.succeed(Infinity)
          }
        })
      ),
    { concurrency: "unbounded" }
  )
  yield* atRest(world, book)
  yield* Fiber.interrupt(judging)
  yield* Histories.judge(book, chats)
  book.judge(workspaces)
  yield* endAll(world, book)
  book.judge(workspaces)

  for (const { child } of [...backends, ...workspaces]) for (const pid of child.pids) traces.pids.add(pid)
  for (const pid of yield* database.processes) traces.pids.add(pid)
  return {
    timeline,
    recoveries,
    executions: workspaces.reduce((sum, { begun }) => sum + [...begun().values()].reduce((a, b) => a + b, 0), 0),
    turns: endsOf(chats)
  }
})

const build = Effect.fnUntraced(function*({ book, database, nats, options, root }: {
  readonly options: Options
  readonly book: Book
  readonly root: string
  readonly database: PostgresServer.PostgresServer["Service"]
  readonly nats: World["nats"]
}): Effect.fn.Return<World, never, AgentEnrollments.AgentEnrollments | Scope.Scope> {
  const backends = yield* Effect.forEach(
    Array.from({ length: backendCount }, (_, index) => `backend ${index + 1}`),
    (name) =>
      Backends.make({
        name,
        url: database.url,
        env: nats === undefined ? {} : { NATS_URL: `127.0.0.1:${nats.port}` }
      }),
    { concurrency: backendCount }
  )
  const workspaces = yield* Effect.forEach(
    Array.from({ length: options.workspaces }, (_, index) => index),
    (index) => Workspaces.make({ name: `workspace-${index + 1}`, root, backends, home: index }),
    { concurrency: options.workspaces }
  )
  return { database, backends, workspaces, nats, violate: (text) => book.violate(text) }
})

/** Several for each workspace, which share its agent: one with a model, the others without. */
const chatsOf = Effect.fnUntraced(function*({ backends, workspaces }: World, book: Book, { nats, seed }: Options) {
  const { bindWorkspace } = yield* ChatBindings.ChatBindings
  const chats: Array<Chats.Chat> = []
  for (const workspace of workspaces) {
    for (let index = 0; index < chatsEach; index++) {
      const chatId = ChatId.make(`chat-${index + 1}-of-${workspace.name}`)
      yield* bindWorkspace({ chatId, owner: Backends.owner, workspaceId: workspace.workspaceId })
      const chance = Chance.make(seed, chatId)
      // Over NATS any node will do. Without it only that of the agent, and the others must say so.
      const node = (): Backends.Backend => chance.sometimes(nats ? 0.5 : 0.1) ? chance.pick(backends) : workspace.home()
      const make = index === 0 ? Chats.talking : Chats.calling
      chats.push(make({ chatId, workspace, book, chance, node }))
    }
  }
  return chats
})

const untilWorks = (work: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.flatMap(work, (done) => done ? Effect.void : Effect.delay(untilWorks(work), "100 millis"))

/** A second in which nothing moved on this side was lost by the machine, or by whoever froze us. */
const watching = (book: Book): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let last = performance.now()
      return setInterval(() => {
        if (performance.now() - last > 300) book.stalled(last + 100)
        last = performance.now()
        book.watch()
      }, 100)
    }),
    (timer) => Effect.sync(() => clearInterval(timer))
  )

/** Nobody calls any more: nothing may be under way on any node. */
const atRest = (world: World, book: Book): Effect.Effect<void> => {
  const look = Effect.map(
    Effect.forEach(world.backends, ({ ask }) => ask((id) => ({ _tag: "Rest", id })), { concurrency: "unbounded" }),
    (all) => all.map((told) => told._tag === "Answer" ? JSON.stringify(told.result) : "dead")
  )
  const still = JSON.stringify({ turns: 0, calls: 0, dials: 0, chats: 0 })
  let last: ReadonlyArray<string> = []
  const untilStill: Effect.Effect<void> = Effect.flatMap(look, (all) => {
    last = all
    return all.every((one) => one === still) ? Effect.void : Effect.delay(untilStill, "200 millis")
  })
  return Effect.timeoutOrElse(untilStill, {
    duration: Bounds.rest * 1000,
    orElse: () => Effect.sync(() => book.violate(`nobody calls, and there is still ${last.join(" and ")}`))
  })
}

/** Agents first: nothing that they started may outlive them. */
const endAll = Effect.fnUntraced(function*(world: World, book: Book) {
  for (const all of [world.workspaces, world.backends]) {
    yield* Effect.forEach(all, ({ child }) => endInOrder(world, child), { concurrency: "unbounded" })
  }
  for (const { directory } of world.workspaces) {
    for (const left of Leftovers.processesOf(directory)) book.violate(`the agent has ended, and ${left} has not`)
  }
})

const endsOf = (chats: ReadonlyArray<Chats.Chat>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { heard, sent } of chats.flatMap(({ messages }) => messages)) {
    const end = heard?.events.at(-1)
    const how = end?._tag === "End" ? `${end.status}${end.reason === null ? "" : ` (${end.reason})`}` : "not heard"
    const key = sent === 1 ? how : `${how}, sent more than once`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** How the processes are, for whoever asks why nothing works. */
const report = ({ backends, workspaces }: World): string =>
  [...backends, ...workspaces].map(({ child }) =>
    `${child.name} ${child.isRunning() ? "runs" : "does not run"}: ${child.errors()}`
  ).join("\n")
