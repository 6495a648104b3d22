/** What is taken for granted of NATS, asked of a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope, Stream } from "effect"
import { Nats } from "../../src/cluster/index.ts"
import * as h from "../agent/support/harness.ts"
import * as server from "./support/server.ts"

const test = (name: string, body: Effect.Effect<void, unknown, Scope.Scope>): void => {
  it.live(name, () => Effect.scoped(body), 20_000)
}

const heardBy = (nats: Nats.Nats["Service"], subject: string) => {
  const heard: Array<Nats.Message> = []
  const stop = nats.subscribe(subject, (message) => heard.push(message))
  return { heard, stop }
}

const bytes = new TextEncoder().encode("x")

const scene = Effect.gen(function*() {
  const process = yield* server.start()
  const connections = [yield* server.link(process.port), yield* server.link(process.port)] as const
  return { process, connections, one: Nats.fromConnection(connections[0]), other: Nats.fromConnection(connections[1]) }
})

describe.skipIf(!server.hasServer)("a NATS server", () => {
  test(
    "says that nobody listens, to the subject for the reply",
    Effect.gen(function*() {
      const { one } = yield* scene
      const { heard } = heardBy(one, "mine")
      one.publish("nobody", bytes, "mine")
      yield* h.until(() => heard.length === 1)
      assert.deepInclude(heard[0], { subject: "mine", unheard: true })
    })
  )

  test(
    "carries what is said, with the subject for the reply",
    Effect.gen(function*() {
      const { connections, one, other } = yield* scene
      const { heard } = heardBy(other, "a.*")
      yield* Effect.promise(() => connections[1].flush())
      one.publish("a.b", bytes, "mine")
      one.publish("a.c", bytes)
      yield* h.until(() => heard.length === 2)
      assert.deepInclude(heard[0], { subject: "a.b", reply: "mine", unheard: false })
      assert.deepInclude(heard[1], { subject: "a.c", reply: undefined })
      assert.deepStrictEqual(Array.from(heard[0]?.data ?? []), Array.from(bytes))
    })
  )

  test(
    "answers for one who has stopped to listen, and who stops still hears what was under way",
    Effect.gen(
      function*() {
        const { connections, one, other } = yield* scene
        const { heard, stop } = heardBy(other, "a")
        const mine = heardBy(one, "mine")
        yield* Effect.promise(() => connections[1].flush())
        // Each message is either heard or answered for; a plain unsubscribe loses those in between.
        for (let count = 0; count < 200; count++) {
          one.publish("a", bytes, "mine")
          if (count % 20 === 0) yield* Effect.sleep("1 millis")
          if (count === 100) stop()
        }
        yield* h.until(() => heard.length + mine.heard.length === 200)
        assert.isAbove(mine.heard.length, 0)
      }
    )
  )

  test(
    "that goes and comes is noticed, and listening goes on",
    Effect.gen(function*() {
      const { one, other, process } = yield* scene
      const { heard } = heardBy(other, "a")
      const changes: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(one.changes, (change) => Effect.sync(() => changes.push(change))))
      yield* Effect.sleep("10 millis")
      yield* process.stop
      yield* h.until(() => changes.includes("lost"))
      one.publish("a", bytes)
      yield* process.restart
      yield* h.until(() => changes.at(-1) === "back", "10 seconds")
      const saying = yield* Effect.forkScoped(
        Effect.forever(Effect.delay(Effect.sync(() => one.publish("a", bytes)), "50 millis"))
      )
      yield* h.until(() => heard.length > 0, "10 seconds")
      yield* Fiber.interrupt(saying)
    })
  )

  test(
    "and a connection that is closed for good counts as lost, and throws nothing",
    Effect.gen(function*() {
      const { connections, one } = yield* scene
      const changes = yield* Effect.forkScoped(Stream.runCollect(one.changes))
      yield* Effect.sleep("10 millis")
      yield* Effect.promise(() => connections[0].close())
      assert.strictEqual((yield* Fiber.join(changes)).at(-1), "lost")
      one.publish("a", bytes)
      one.subscribe("a", () => undefined)()
    })
  )
})
