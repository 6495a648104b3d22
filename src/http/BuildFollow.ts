/**
 * A build as it goes on, in one stream: the lines of its log, how far the wait for it is, and what it came to.
 *
 * The wait goes on until the workspace can be used, so a start that has succeeded is followed to its agent and start-up
 * scripts. All lines come before the end. The number of what is told is that of the last line, so that a stream that was
 * cut off is taken up behind it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { isFinished } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { BuildId } from "../domain/Ids.ts"
import { Readiness } from "../provisioner/Readiness.ts"
import type { Ready } from "../provisioner/Readiness.ts"
import { Workspaces } from "../provisioner/Workspaces.ts"
import type { BuildEvent } from "./BuildsApi.ts"
import type { Told } from "./EventStream.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  (buildId: BuildId, after: number) => Stream.Stream<Told<BuildEvent>, StoreError>,
  never,
  Workspaces | Readiness
> = Effect.gen(function*() {
  const workspaces = yield* Workspaces
  const readiness = yield* Readiness

  return (buildId, after) =>
    Stream.suspend(() => {
      let last = after
      let ready: Ready | undefined

      const lines = Stream.suspend(() =>
        Stream.map(workspaces.log(buildId, { after: last }), (line): BuildEvent => ({ _tag: "Line", ...line }))
      )

      // Any node may be asked, so of the agent it is asked what the store says. Who reads slowly misses some.
      const progress = Stream.callback<BuildProgress, StoreError>((queue) =>
        readiness.of(buildId, { dial: false, report: (progress) => Queue.offer(queue, progress) }).pipe(
          Effect.flatMap((answer) => {
            ready = answer
            return Queue.end(queue)
          })
        ), { bufferSize: kept, strategy: "sliding" }).pipe(
          // Lines are told as such.
          Stream.filter((progress) =>
            progress._tag !== "Building" || progress.lines.length === 0
          ),
          Stream.map((progress): BuildEvent => ({ _tag: "Progress", progress }))
        )

      const rest = Stream.suspend(() => ready === undefined || !isFinished(ready.record.build) ? Stream.empty : lines)

      const end = Stream.suspend(() =>
        ready === undefined ? Stream.empty : Stream.succeed<BuildEvent>({ _tag: "End", ...ready })
      )

      return Stream.merge(lines, progress, { haltStrategy: "right" }).pipe(
        Stream.concat(rest),
        Stream.concat(end),
        Stream.map((data) => {
          if (data._tag === "Line") last = data.number
          return { number: last, data }
        })
      )
    })
})

const kept = 16
