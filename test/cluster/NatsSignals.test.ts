import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger } from "effect"
import { ClusterConfig, Nats, NatsSignals } from "../../src/cluster/index.ts"
import { BuildId } from "../../src/domain/Ids.ts"
import * as Signals from "../../src/store/Signals.ts"
import { SignalsKit } from "../../src/testing/index.ts"
import * as s from "../store/signals.ts"
import * as bus from "./support/bus.ts"
import * as server from "./support/server.ts"
import { rest } from "./support/world.ts"

const build = Signals.build(BuildId.make("b"))

const node = Effect.fnUntraced(function*(nats: Nats.Nats["Service"], subjectPrefix?: string) {
  const context = yield* Layer.build(
    Layer.fresh(NatsSignals.layer).pipe(
      Layer.provide(Layer.succeed(Nats.Nats, nats)),
      Layer.provide(ClusterConfig.layer({ subjectPrefix }))
    )
  )
  return Context.get(context, Signals.Signals)
})

describe("signals over NATS", () => {
  const nodes = Effect.gen(function*() {
    const nats = bus.make()
    const both = { there: yield* node(nats.line().nats), here: yield* node(nats.line().nats) }
    yield* rest
    return both
  })
  for (const { name, run } of SignalsKit.casesFor({ nodes })) it.effect(name, () => run)

  it.effect("nodes of another prefix hear nothing of it", () =>
    Effect.gen(function*() {
      const nats = bus.make()
      const there = yield* node(nats.line().nats)
      const same = yield* s.waiting(yield* (yield* node(nats.line().nats)).subscribe(build))
      const other = yield* s.waiting(yield* (yield* node(nats.line().nats, "another")).subscribe(build))
      yield* rest
      yield* there.notify(build)
      yield* Fiber.join(same)
      yield* rest
      assert.isUndefined(other.pollUnsafe())
    }))

  it.effect("a node whose connection was lost hears and is heard again", () =>
    Effect.gen(function*() {
      const nats = bus.make()
      const line = nats.line()
      const [there, here] = [yield* node(line.nats), yield* node(nats.line().nats)]
      yield* rest
      line.disconnect()
      line.reconnect()
      const fiber = yield* s.waiting(yield* here.subscribe(build))
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    }))

  it.live.skipIf(!server.hasServer)("over a real server too", () =>
    Effect.gen(function*() {
      const nats = yield* server.start()
      const there = yield* node(Nats.fromConnection(yield* server.link(nats.port)))
      const here = yield* node(Nats.fromConnection(yield* server.link(nats.port)))
      yield* s.connected({ here, there })
    }).pipe(Effect.provide(Logger.layer([]))), 20_000)
})
