/** Somebody wants a turn ended: it ends within a bound, and what it ran is killed. */
import { Effect, type Fiber, Option } from "effect"
import type { TurnId } from "../../src/domain/Ids.ts"
import type { Turn } from "../../src/domain/Turn.ts"
import { TurnStore } from "../../src/store/index.ts"
import { owner } from "./Backends.ts"
import type { Book, Operation } from "./Book.ts"
import type { Part } from "./Faults.ts"
import * as Leftovers from "./Leftovers.ts"
import type { Outages } from "./Outages.ts"
import type { Voice } from "./Voices.ts"
import type { Workspace } from "./Workspaces.ts"

/** What makes a turn last, or its end unknown. */
const turns: ReadonlySet<Part> = new Set(["backend", "database", "databaseLink"])

/** What keeps a kill from its process. */
const kills: ReadonlySet<Part> = new Set(["backend", "agent", "link", "nats"])

/** Without NATS a kill is with the node that the agent hung on. */
export const make = ({ book, nats, outages }: {
  readonly book: Book
  readonly outages: Outages
  readonly nats: boolean
}) => {
  const ended: (turnId: TurnId) => Effect.Effect<Turn, never, TurnStore.TurnStore> = Effect.fnUntraced(
    function*(turnId) {
      const store = yield* TurnStore.TurnStore
      while (true) {
        const turn = Option.flatten(yield* Effect.option(store.get({ turnId, owner })))
        if (Option.isSome(turn) && turn.value.status !== "running") return turn.value
        yield* Effect.sleep(100)
      }
    }
  )

  const gone = (directory: string, operation: Operation): Effect.Effect<void> =>
    Effect.suspend(() =>
      Leftovers.processesOf(directory).some((process) => new RegExp(`\\b${operation.id}\\b`).test(process))
        ? Effect.delay(gone(directory, operation), 200)
        : Effect.void
    )

  /** Asks again until somebody hears it, or the turn has come to its end. */
  const asked = (voice: Voice, sending: Fiber.Fiber<void>): Effect.Effect<TurnId | undefined> =>
    Effect.flatMap(voice.interrupt, (turn) =>
      sending.pollUnsafe() !== undefined
        ? Effect.succeed(turn ?? undefined)
        : turn === undefined || turn === null
        ? Effect.delay(asked(voice, sending), 100)
        : Effect.succeed(turn))

  /** Interrupts the turn of a message that is being sent, and sees to it that all of it ends. */
  return Effect.fnUntraced(function*(
    voice: Voice,
    sending: Fiber.Fiber<void>,
    operations: ReadonlyArray<Operation>,
    { directory }: Workspace
  ) {
    const turnId = yield* asked(voice, sending)
    if (turnId === undefined) return
    const since = performance.now()
    const { reason, status } = yield* book.timed("interrupted", outages.of((part) => turns.has(part)), ended(turnId))
    book.tally("Turns that somebody interrupted", reason === null ? status : `${status} (${reason})`)
    // Whoever owed the kill is gone, or does not see the agent any more.
    const isSettled = (): boolean =>
      outages.since(since, (part) => part === "backend" || part === "runner" || !nats && part === "link")
    if (reason !== "user" || isSettled()) return
    yield* Effect.raceFirst(
      book.timed(
        "killed",
        outages.of((part) => kills.has(part)),
        Effect.forEach(operations, (operation) => gone(directory, operation))
      ),
      Effect.repeat(Effect.sleep(100), { until: isSettled })
    )
  })
}
