/**
 * One process as the agent remembers it, and the ways to hear its output.
 *
 * It is changed only by its owner; followers wait for news and read the ring, each from an offset of its own, and none
 * of them holds up the process or another.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import {
  type AgentBusy,
  chunkLimit,
  type CommandNotFound,
  type OperationId,
  type OperationRefused,
  type Outcome,
  type ProcessEvent,
  type ProcessState
} from "../Protocol.ts"
import type { Operation } from "./Operations.ts"
import { OutputRing } from "./OutputRing.ts"
import type { Group } from "./ProcessGroups.ts"
import type { ProgramConfig } from "./ProgramConfig.ts"

/**
 * How a process ended: `code` is null where a signal ended it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * @since 0.1.0
 * @category models
 */
export class Process implements Operation {
  readonly id: OperationId
  readonly digest: string
  readonly argv: ReadonlyArray<string>
  readonly startedAt: number
  readonly ring: OutputRing
  readonly started = Deferred.makeUnsafe<void, CommandNotFound | AgentBusy | OperationRefused>()
  readonly closed = Deferred.makeUnsafe<void>()
  settledAt: number | undefined
  group: Group | undefined
  exiting = false
  exit: ProcessExit | undefined
  cancelled = false
  terminating = false
  readonly #watchers = new Set<() => void>()

  constructor(
    id: OperationId,
    digest: string,
    argv: ReadonlyArray<string>,
    startedAt: number,
    limits: { readonly headBytes: number; readonly tailBytes: number }
  ) {
    this.id = id
    this.digest = digest
    this.argv = argv
    this.startedAt = startedAt
    this.ring = new OutputRing(limits.headBytes, limits.tailBytes)
  }

  get state(): ProcessState {
    const { end } = this.ring
    return this.exit === undefined ? { _tag: "Running", end } : { _tag: "Exited", end, ...this.exit }
  }

  readonly outcome: Effect.Effect<Outcome> = Effect.suspend(() =>
    Effect.match(Deferred.await(this.started), {
      onFailure: (error) => error._tag === "OperationRefused" ? { _tag: "Killed" } : { _tag: "Unknown" },
      onSuccess: () => ({ _tag: "Process", state: this.state })
    })
  )

  /** Waits for output beyond an offset, or for the end. */
  readonly news = (offset: number): Effect.Effect<void> =>
    Effect.callback((resume) => {
      if (this.ring.end > offset || this.exit !== undefined) return resume(Effect.void)
      const watcher = (): void => {
        this.#watchers.delete(watcher)
        resume(Effect.void)
      }
      this.#watchers.add(watcher)
      return Effect.sync(() => this.#watchers.delete(watcher))
    })

  wake(): void {
    for (const watcher of this.#watchers) watcher()
  }
}

/**
 * What a follower hears next.
 *
 * @since 0.1.0
 * @category models
 */
export type Pull = Effect.Effect<[ProcessEvent, ...Array<ProcessEvent>], Cause.Done>

/**
 * The output from an offset on as it comes, and at last the end.
 *
 * @since 0.1.0
 * @category followers
 */
export const following = (
  process: Process,
  from: number,
  config: Pick<ProgramConfig, "coalesce" | "rejoinBytes">
): Pull => {
  let next = from
  let gaps = 0
  let ended = false
  const pull: Pull = Effect.suspend(() => {
    if (ended) return Cause.done()
    // Who goes on at the oldest byte is overrun again at once: from the second gap on the reader goes on near the end.
    const slice = process.ring.read(next, chunkLimit, gaps > 0 ? config.rejoinBytes : undefined)
    const [first, ...rest] = slice.pieces
    if (first !== undefined) {
      next = slice.next
      gaps += slice.pieces.filter(({ _tag }) => _tag === "Gap").length
      return Effect.succeed<[ProcessEvent, ...Array<ProcessEvent>]>([first, ...rest])
    }
    if (process.exit !== undefined) {
      ended = true
      return Effect.succeed<[ProcessEvent, ...Array<ProcessEvent>]>([process.state])
    }
    return Effect.andThen(process.news(next), coalesced)
  })
  const coalesced = Effect.suspend(() =>
    process.exit === undefined && process.ring.end - next < chunkLimit ? Effect.delay(pull, config.coalesce) : pull
  )
  return pull
}

/**
 * The output that is kept, and the present state. All of it is taken at once: what a busy process writes meanwhile must
 * not tear holes into one answer.
 *
 * @since 0.1.0
 * @category followers
 */
export const snapshot = (process: Process, from: number): Pull => {
  const chunks: Array<[ProcessEvent, ...Array<ProcessEvent>]> = []
  let next = from
  while (true) {
    const slice = process.ring.read(next, chunkLimit)
    const [first, ...rest] = slice.pieces
    if (first === undefined) break
    chunks.push([first, ...rest])
    next = slice.next
  }
  chunks.push([process.state])
  return Effect.suspend(() => {
    const chunk = chunks.shift()
    return chunk === undefined ? Cause.done() : Effect.succeed(chunk)
  })
}
