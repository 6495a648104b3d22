import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { LeaseLost, StoreError } from "../../src/domain/Errors.ts"
import { BuildId } from "../../src/domain/Ids.ts"
import * as BuildLog from "../../src/provisioner/BuildLog.ts"
import { lineLimit } from "../../src/provisioner/LogLines.ts"

const secret = "cwa1.dzE.c2VjcmV0.0badcafe"

/** A log over a store that keeps what is written, and fails as it is told. */
const makeLog = (options?: { readonly logLines?: number; readonly logBytes?: number }) => {
  const store = {
    lines: new Map<number, string>(),
    appends: [] as Array<number>,
    fails: undefined as LeaseLost | StoreError | undefined
  }
  const log = BuildLog.make({
    logLines: options?.logLines ?? 10_000,
    logBytes: options?.logBytes ?? 1024 * 1024,
    append: (lines) =>
      Effect.suspend((): Effect.Effect<void, LeaseLost | StoreError> => {
        store.appends.push(lines.length)
        if (store.fails !== undefined) return Effect.fail(store.fails)
        for (const { number, text } of lines) store.lines.set(number, text)
        return Effect.void
      })
  })
  return { log, store, texts: () => Array.from(store.lines.values()) }
}

/** What a text reads as in the log. */
const written = (text: string, ...secrets: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { log, texts } = makeLog()
    for (const secret of secrets) log.hide(Redacted.make(secret))
    yield* log.write(text)
    yield* log.flush
    return texts()
  })

const bytes = (text: string) => new TextEncoder().encode(text).length

describe("when lines are written", () => {
  it.effect("a second after the first of them", () =>
    Effect.gen(function*() {
      const { log, store, texts } = makeLog()
      yield* Effect.forkChild(log.flushing, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* log.write("a")
      yield* TestClock.adjust("400 millis")
      yield* log.write("b")
      yield* TestClock.adjust("599 millis")
      assert.deepStrictEqual(store.appends, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(texts(), ["a", "b"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(store.appends, [2])
    }))

  it.effect("at once when there are 64", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      yield* Effect.forkChild(log.flushing, { startImmediately: true })
      for (let line = 1; line < 64; line++) yield* log.write("x")
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(store.appends, [])
      yield* log.write("x")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(store.appends, [64])
      yield* log.write("x")
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(store.appends, [64])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(store.appends, [64, 1])
    }))

  it.effect("in statements of a bounded size", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      for (let line = 0; line < 2_500; line++) yield* log.write("x")
      yield* log.flush
      assert.deepStrictEqual(store.appends, [1000, 1000, 500])
    }))

  it.effect("numbered on from where an earlier runner ended", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      log.continueAfter(41)
      yield* log.write("a\nb")
      yield* log.flush
      assert.deepStrictEqual(Array.from(store.lines), [[42, "a"], [43, "b"]])
    }))

  it.effect("again, under the same numbers, when the store has failed", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      yield* Effect.forkChild(log.flushing, { startImmediately: true })
      store.fails = new StoreError({ operation: "appendLog" })
      yield* log.write("a")
      yield* TestClock.adjust("1 second")
      yield* log.write("b")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(store.lines.size, 0)
      store.fails = undefined
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(Array.from(store.lines), [[1, "a"], [2, "b"]])
    }))

  it.effect("a store that fails is not asked in a hurry, however much there is to write", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      yield* Effect.forkChild(log.flushing, { startImmediately: true })
      store.fails = new StoreError({ operation: "appendLog" })
      for (let line = 0; line < 64; line++) yield* log.write("x")
      for (let step = 0; step < 100; step++) yield* TestClock.adjust("10 millis")
      assert.isAtMost(store.appends.length, 2)
    }))

  it.effect("no more once the lease is lost", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      const flushing = yield* Effect.forkChild(Effect.flip(log.flushing), { startImmediately: true })
      store.fails = new LeaseLost({ buildId: BuildId.make("b") })
      yield* log.write("a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(flushing))._tag, "LeaseLost")
    }))
})

describe("what is kept", () => {
  const said = "The log is longer than its limit; what follows is not kept."

  it.effect("as many lines as the limit, then one that says so", () =>
    Effect.gen(function*() {
      const { log, texts } = makeLog({ logLines: 3 })
      yield* log.write("1\n2\n3")
      yield* log.flush
      assert.deepStrictEqual(texts(), ["1", "2", "3"])
      yield* log.write("4\n5")
      yield* log.write("6")
      yield* log.flush
      assert.deepStrictEqual(texts(), ["1", "2", "3", said])
    }))

  it.effect("as many bytes as the limit, counted as they are stored", () =>
    Effect.gen(function*() {
      const { log, texts } = makeLog({ logBytes: 6 })
      yield* log.write("éé")
      yield* log.write("12")
      yield* log.flush
      assert.deepStrictEqual(texts(), ["éé", "12"])
      yield* log.write("3")
      yield* log.flush
      assert.deepStrictEqual(texts(), ["éé", "12", said])
    }))

  it.effect("a log that an earlier runner filled says so once", () =>
    Effect.gen(function*() {
      const full = makeLog({ logLines: 3 })
      full.log.continueAfter(3)
      yield* full.log.write("4")
      yield* full.log.flush
      assert.deepStrictEqual(Array.from(full.store.lines), [[4, said]])
      const told = makeLog({ logLines: 3 })
      told.log.continueAfter(4)
      yield* told.log.write("5")
      yield* told.log.flush
      assert.strictEqual(told.store.lines.size, 0)
    }))

  it.effect("a flood costs no more memory than the log may have", () =>
    Effect.gen(function*() {
      const { log, store } = makeLog()
      const line = "x".repeat(1023)
      for (let number = 0; number < 50_000; number++) yield* log.write(line)
      yield* log.flush
      assert.strictEqual(store.lines.size, 1026)
    }))

  it.effect("4 KiB of a line, said by an ellipsis, and never half a character", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* written("x".repeat(lineLimit)), ["x".repeat(lineLimit)])
      const [long = ""] = yield* written("x".repeat(lineLimit + 1))
      assert.strictEqual(bytes(long), lineLimit)
      assert.isTrue(long.endsWith("x …"))
      for (const character of ["é", "€", "😀"]) {
        for (const before of ["", "x", "xx", "xxx"]) {
          const [cut = ""] = yield* written(before + character.repeat(lineLimit))
          assert.isAtMost(bytes(cut), lineLimit)
          assert.isTrue(cut.isWellFormed() && cut.endsWith(`${character} …`))
        }
      }
    }))
})

describe("what lines look like", () => {
  const cases: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
    ["several lines of any ending", "a\nb\r\nc\rd", ["a", "b", "c", "d"]],
    ["an empty line", "", [""]],
    ["colours are taken out", "\u001b[1;31mred\u001b[0m \u001b[2Kplain\u009b0m", ["red plain"]],
    ["a tab stays, also before a bracket", "\t[a] b", ["\t[a] b"]],
    ["what controls a terminal or a database is a mark", "a\u0000\u0007\u001b]b\u007f\u0085c", ["a\ufffd]b\ufffdc"]],
    ["what turns the direction of a text is a mark", "a\u202eb\u2028c", ["a\ufffdb\ufffdc"]],
    ["half a surrogate pair is a mark", "a\ud83db", ["a\ufffdb"]],
    ["other languages and signs stay", "日本語 ñ 😀 ✓", ["日本語 ñ 😀 ✓"]]
  ]
  for (const [name, text, lines] of cases) {
    it.effect(name, () => Effect.map(written(text), (read) => assert.deepStrictEqual(read, lines)))
  }
})

describe("secrets", () => {
  const cases: ReadonlyArray<readonly [string, string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    ["wherever they stand, as often as they do", `a ${secret}${secret} b`, [secret], ["a ****** b"]],
    ["in a line among others", `a\nTOKEN=${secret}\nb`, [secret], ["a", "TOKEN=***", "b"]],
    ["coloured in the middle", `${secret.slice(0, 9)}\u001b[1m${secret.slice(9)}`, [secret], ["***"]],
    ["a longer one that holds a shorter one", "password-of-ann", ["password", "password-of-ann"], ["***"]],
    ["each line of one that has several", "begin\nMIIE1234\nend.", ["MIIE1234\nQQQQ"], ["begin", "***", "end."]],
    ["what has a meaning in a pattern or a replacement", "a$&.*(b", ["$&.*("], ["a***b"]],
    ["an empty one, or one of few characters, hides nothing", "abc", ["", "b"], ["abc"]]
  ]
  for (const [name, text, secrets, lines] of cases) {
    it.effect(name, () => Effect.map(written(text, ...secrets), (read) => assert.deepStrictEqual(read, lines)))
  }

  it.effect("also in a text that is not for the log", () =>
    Effect.sync(() => {
      const { log } = makeLog()
      log.hide(Redacted.make(secret))
      assert.strictEqual(log.readable(`no\u0000: \n${secret}`), "no\ufffd: \n***")
      assert.strictEqual(bytes(log.readable("x".repeat(100_000))), lineLimit)
    }))

  it.effect("wherever the limit of a line cuts", () =>
    Effect.gen(function*() {
      for (let before = lineLimit - secret.length - 4; before <= lineLimit + 1; before++) {
        const [line = ""] = yield* written("x".repeat(before) + secret, secret)
        assert.notInclude(line, "cwa1")
      }
    }))
})
