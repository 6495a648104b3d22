/**
 * Real parts under faults: PostgreSQL, two backends and several agents in processes of their own, and chats that work all
 * the time while one part after the other is killed, frozen, started again or cut off. What callers were told is held
 * against what the workspaces noted, and what is stored against both.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { Migrations, SqlStore } from "../../src/store/index.ts"
import * as PostgresServer from "../../src/testing/PostgresServer.ts"
import * as Chance from "../security/fuzz/Chance.ts"
import type { Account, Entry } from "./Account.ts"
import { outcomesOf } from "./Account.ts"
import * as Backends from "./Backends.ts"
import { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import * as Builds from "./Builds.ts"
import type * as Chats from "./Chats.ts"
import * as Crowd from "./Crowd.ts"
import * as Ending from "./Ending.ts"
import * as Faults from "./Faults.ts"
import * as Histories from "./Histories.ts"
import { inflict } from "./Hurting.ts"
import * as Leftovers from "./Leftovers.ts"
import * as World from "./World.ts"

export interface Options {
  readonly seed: number
  /** How long faults come. Start, recovery and end take longer. */
  readonly seconds: number
  readonly nats: boolean
  readonly workspaces: number
}

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
    tallies: book.tallies,
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
  const world = yield* World.make({ book, root, database, workspaces: options.workspaces, nats: options.nats })
  const { backends, built, gate, users, workspaces } = world
  const places = [...workspaces, ...built]
  const chance = Chance.make(options.seed, "chaos")
  const chats = yield* Crowd.make(world, book, options)
  for (const { link } of [...workspaces, ...users, gate]) traces.sockets.push(link.sockets)
  for (const { database } of backends) traces.sockets.push(database.sockets)

  // All is well before anything is hurt.
  yield* Effect.forEach(chats, ({ work }) => untilWorks(work), { concurrency: "unbounded" }).pipe(
    Effect.timeoutOrElse({ duration: "2 minutes", orElse: () => Effect.die(new Error(World.report(world))) })
  )

  const beganAt = performance.now()
  book.starts()
  const now = (): number => performance.now() - beganAt
  let isOver = false
  const working = yield* Effect.forEach(chats, ({ work }) =>
    Effect.forkChild(
      Effect.repeat(Effect.andThen(work, Effect.suspend(() => Effect.sleep(20 + chance.below(150)))), {
        until: () => isOver
      })
    ))
  const judging = yield* Effect.forkChild(
    Effect.forever(Effect.delay(Effect.sync(() => book.judge(places)), "1 second"))
  )

  const timeline: Array<{ -readonly [K in keyof Entry]: Entry[K] }> = []
  const hurt = Effect.fnUntraced(function*(fault: Faults.Fault) {
    yield* Effect.sleep(Math.max(0, fault.at - now()))
    const entry: (typeof timeline)[number] = { at: now(), over: undefined, what: Faults.describe(fault) }
    timeline.push(entry)
    for (const pid of yield* database.processes) traces.pids.add(pid)
    const note = yield* inflict(world, fault)
    entry.over = now()
    if (note !== undefined) entry.what += ` (${note})`
  })
  const faults = Faults.draw(
    Chance.make(options.seed, "faults"),
    {
      backends: backends.length,
      workspaces: workspaces.length,
      nats: options.nats,
      built: built.length,
      users: users.length
    },
    options.seconds * 1000
  )
  const hurting = yield* Effect.forEach(faults, (fault) => Effect.forkChild(hurt(fault)))
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
            book.violate(
              `chat ${index + 1} does not work ${Bounds.recovery} s after the last fault\n${World.report(world)}`
            )
            return Effect.succeed(Infinity)
          }
        })
      ),
    { concurrency: "unbounded" }
  )
  yield* Ending.atRest(world, book)
  yield* Fiber.interrupt(judging)
  yield* Histories.judge(book, chats)
  yield* Builds.judge(book, built)
  book.judge(places)
  yield* Ending.all(world, book)
  book.judge(places)

  for (const { child } of [...backends, ...workspaces]) for (const pid of child.pids) traces.pids.add(pid)
  for (const pid of yield* database.processes) traces.pids.add(pid)
  return {
    timeline,
    recoveries,
    executions: places.reduce((sum, { begun }) => sum + [...begun().values()].reduce((a, b) => a + b, 0), 0),
    turns: endsOf(chats)
  }
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
