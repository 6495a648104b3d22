/**
 * Signals between nodes, carried by NATS: whoever uses the same subject prefix hears each other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Signals from "../store/Signals.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import { Nats } from "./Nats.ts"
import * as Subjects from "./Subjects.ts"

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Signals.Signals, never, Nats> = Layer.unwrap(Effect.gen(function*() {
  const nats = yield* Nats
  const { signals } = Subjects.make((yield* ClusterConfig).subjectPrefix)
  return Signals.layerWith<never>({
    publish: (messages) =>
      Effect.sync(() => messages.forEach((message) => nats.publish(signals, text.encode(message)))),
    listen: Effect.gen(function*() {
      // What nobody has time to hear is a hint less.
      const queue = yield* Queue.dropping<string>(mostUnheard)
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          nats.subscribe(signals, ({ data }) => {
            Queue.offerUnsafe(queue, words.decode(data))
          })
        ),
        (stop) => Effect.sync(stop)
      )
      return Stream.fromQueue(queue)
    })
  })
}))

const mostUnheard = 1000

const text = new TextEncoder()

const words = new TextDecoder()
