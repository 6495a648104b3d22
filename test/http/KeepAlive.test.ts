import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ids } from "../../src/domain/index.ts"
import * as Authentication from "../../src/http/Authentication.ts"
import * as EventStream from "../../src/http/EventStream.ts"

describe("a stream of events", () => {
  it.effect("that has nothing to tell says so every 15 s", () =>
    Effect.gen(function*() {
      const streams = yield* EventStream.EventStreams
      const { body } = yield* streams.respond({ data: Schema.String, events: Stream.never })
      if (body._tag !== "Stream") return assert.fail("no stream")
      let said = ""
      yield* Effect.forkScoped(
        Stream.runForEach(Stream.decodeText(body.stream), (text) => Effect.sync(() => said += text))
      )
      yield* TestClock.adjust(0)
      const before = said
      for (const times of [1, 2]) {
        yield* TestClock.adjust(14_999)
        assert.strictEqual(said, before + ": keep-alive\n\n".repeat(times - 1))
        yield* TestClock.adjust(1)
        assert.strictEqual(said, before + ": keep-alive\n\n".repeat(times))
      }
    }).pipe(
      Effect.provide(EventStream.layer),
      Effect.provideService(Authentication.CurrentPrincipal, {
        owner: Ids.OwnerId.make("ann"),
        tenant: null
      })
    ))
})
