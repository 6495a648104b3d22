import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect } from "effect"
import { Bounds } from "../../src/domain/index.ts"

const bounds = Bounds.make("DOOR", {
  openFor: Bounds.duration("30 seconds"),
  grace: Bounds.duration("1500 millis", { zero: true }),
  guests: Bounds.count(3),
  retries: Bounds.count(2, { zero: true }),
  letterBytes: Bounds.bytes(1024, { key: "POST_BYTES" }),
  width: Bounds.count(7, { key: null }),
  lock: Bounds.choice(["open", "shut"], "shut"),
  sign: Bounds.text("knock"),
  owners: Bounds.names(["ann", "bob"])
})

const read = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(bounds.config, ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

describe("a table of bounds", () => {
  it.effect("gives its defaults where nothing else is said", () =>
    Effect.gen(function*() {
      const defaults = {
        openFor: Duration.seconds(30),
        grace: Duration.millis(1500),
        guests: 3,
        retries: 2,
        letterBytes: 1024,
        width: 7,
        lock: "shut",
        sign: "knock",
        owners: ["ann", "bob"]
      } as const
      assert.deepStrictEqual(bounds.defaults, defaults)
      assert.deepStrictEqual(bounds.make({}), defaults)
      assert.deepStrictEqual(bounds.make({ guests: undefined, openFor: undefined }), defaults)
      assert.deepStrictEqual(yield* read({}), defaults)
    }))

  it("takes options, durations in any form", () => {
    assert.deepStrictEqual(
      bounds.make({ openFor: "1 minute", grace: 5, guests: 0, lock: "open", sign: "", owners: [] }),
      {
        ...bounds.defaults,
        openFor: Duration.minutes(1),
        grace: Duration.millis(5),
        guests: 0,
        lock: "open",
        sign: "",
        owners: []
      }
    )
  })

  it.effect("is read from keys that follow the names, or from their own", () =>
    Effect.gen(function*() {
      const env = {
        DOOR_OPEN_FOR: "2 minutes",
        DOOR_GRACE: "0 millis",
        DOOR_GUESTS: "1",
        DOOR_RETRIES: "0",
        POST_BYTES: "1",
        DOOR_LOCK: "open",
        DOOR_SIGN: "ring",
        DOOR_OWNERS: " cid, ,dan,"
      }
      assert.deepStrictEqual(yield* read({ ...env, DOOR_LETTER_BYTES: "2", DOOR_WIDTH: "9" }), {
        openFor: Duration.minutes(2),
        grace: Duration.zero,
        guests: 1,
        retries: 0,
        letterBytes: 1,
        width: 7,
        lock: "open",
        sign: "ring",
        owners: ["cid", "dan"]
      })
    }))

  it.effect.each(
    [
      ["DOOR_OPEN_FOR", ["soon", "5", "-1 seconds", "0 seconds", "Infinity"]],
      ["DOOR_GRACE", ["-1 millis", "Infinity"]],
      ["DOOR_GUESTS", ["0", "-1", "1.5", "many"]],
      ["DOOR_RETRIES", ["-1", "1e400"]],
      ["POST_BYTES", ["0", "1 KiB"]],
      ["DOOR_LOCK", ["ajar"]]
    ] as const
  )("refuses nonsense, naming %s", ([key, values]) =>
    Effect.gen(function*() {
      for (const value of values) {
        const error = yield* Effect.flip(read({ [key]: value }))
        assert.instanceOf(error, Config.ConfigError)
        assert.include(error.message, key, value)
      }
    }))

  it("lists each bound with its default as the environment would say it, and its key", () => {
    assert.deepStrictEqual(bounds.list, [
      { name: "openFor", key: "DOOR_OPEN_FOR", kind: "duration", shown: "30 seconds" },
      { name: "grace", key: "DOOR_GRACE", kind: "duration", shown: "1500 millis" },
      { name: "guests", key: "DOOR_GUESTS", kind: "count", shown: "3" },
      { name: "retries", key: "DOOR_RETRIES", kind: "count", shown: "2" },
      { name: "letterBytes", key: "POST_BYTES", kind: "bytes", shown: "1024" },
      { name: "width", key: undefined, kind: "count", shown: "7" },
      { name: "lock", key: "DOOR_LOCK", kind: "choice", shown: "shut" },
      { name: "sign", key: "DOOR_SIGN", kind: "text", shown: "knock" },
      { name: "owners", key: "DOOR_OWNERS", kind: "names", shown: "ann,bob" }
    ])
  })
})
