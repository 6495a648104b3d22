import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Logger, Option, Redacted } from "effect"
import * as NatsServerLink from "../../src/cli/NatsServerLink.ts"
import { Nats } from "../../src/cluster/index.ts"
import * as server from "../cluster/support/server.ts"

const withEnvironment = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

const read = (env: Readonly<Record<string, string>>) => NatsServerLink.config.pipe(withEnvironment(env))

describe("what the environment says of NATS", () => {
  it.effect("is nothing without NATS_URL", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* read({ NATS_USER: "u" })))
      assert.isTrue(Option.isNone(yield* read({ NATS_URL: "" })))
    }))

  it.effect("names servers, credentials and certificates", () =>
    Effect.gen(function*() {
      const options = Option.getOrThrow(
        yield* read({
          NATS_URL: "nats://one:4222, two:4222",
          NATS_USER: "node",
          NATS_PASSWORD: "secret word",
          NATS_CREDS: "/run/creds",
          NATS_TLS_CA: "/run/ca.pem"
        })
      )
      assert.deepStrictEqual(options.servers, ["nats://one:4222", "two:4222"])
      assert.strictEqual(options.user, "node")
      assert.strictEqual(options.credentials, "/run/creds")
      assert.deepStrictEqual(options.tls, { ca: "/run/ca.pem", certificate: undefined, key: undefined })
      assert.notInclude(JSON.stringify(options), "secret word")
    }))
})

const quiet = Layer.merge(NodeServices.layer, Logger.layer([]))

class Part extends Context.Service<Part, string>()("test/Part") {}

const part = Layer.effect(Part, Effect.map(Nats.Nats, () => "over NATS"))

const chosen = NatsServerLink.choose(part, Layer.succeed(Part, "without"))

describe("a part of a node", () => {
  it.effect("does without NATS where none is named", () =>
    Part.pipe(
      Effect.map((name) => assert.strictEqual(name, "without")),
      Effect.provide(Layer.provide(chosen, NodeServices.layer)),
      withEnvironment({})
    ))

  it.live("does not start where NATS is named and cannot be reached, and says so", () =>
    Effect.gen(function*() {
      const error = yield* Part.pipe(Effect.provide(chosen), Effect.flip)
      assert.instanceOf(error, NatsServerLink.NatsUnreachable)
      assert.include(error.message, "NATS_URL")
    }).pipe(Effect.provide(NodeServices.layer), withEnvironment({ NATS_URL: "127.0.0.1:1" })), 15_000)
})

describe.skipIf(!server.hasServer)("the connection", () => {
  it.live("is made with the credentials that are given, and by nobody else", () =>
    Effect.gen(function*() {
      const { port } = yield* server.start({ user: "node", password: "right" })
      const name = (password: string) =>
        Layer.build(NatsServerLink.layer({
          servers: [`127.0.0.1:${port}`],
          user: "node",
          password: Redacted.make(password)
        })).pipe(Effect.scoped)
      yield* name("right")
      const error = yield* Effect.flip(name("wrong secret"))
      assert.instanceOf(error, NatsServerLink.NatsUnreachable)
      assert.notInclude(error.message, "wrong secret")
    }).pipe(Effect.scoped, Effect.provide(quiet)), 20_000)

  it.live("is one for all parts, and closed with them, also when the server is gone", () =>
    Effect.gen(function*() {
      const nats = yield* server.start()
      const seen: Array<unknown> = []
      const watching = (tag: Context.Service<Part, string>) =>
        NatsServerLink.choose(
          Layer.effect(
            tag,
            Effect.map(Nats.Nats, (nats) => {
              seen.push(nats)
              return "over NATS"
            })
          ),
          Layer.succeed(tag, "without")
        )
      yield* Layer.build(Layer.merge(watching(Part), Layer.fresh(watching(Part)))).pipe(
        Effect.andThen(nats.stop),
        Effect.scoped,
        withEnvironment({ NATS_URL: `127.0.0.1:${nats.port}` })
      )
      assert.lengthOf(seen, 2)
    }).pipe(Effect.scoped, Effect.provide(quiet)), 20_000)
})
