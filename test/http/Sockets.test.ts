/** Clients that break the rules of HTTP, or off in the middle: each has its answer or its end, and the next is served. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, identity, Logger, Option } from "effect"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import { ann, listening } from "./support/requests.ts"
import { open, statusOf } from "./support/sockets.ts"
import * as World from "./support/world.ts"

const head = (line: string, ...headers: ReadonlyArray<string>): string =>
  [line, "Host: x", "Connection: close", `Authorization: Bearer ${ann}`, ...headers, "", ""].join("\r\n")

const json = "Content-Type: application/json"
const post = (...headers: ReadonlyArray<string>) => head("POST /chats HTTP/1.1", json, ...headers)
const chunked = post("Transfer-Encoding: chunked")

/** One request. A server that neither answers nor closes is found out. */
const exchange = (base: string, pieces: ReadonlyArray<string | Uint8Array>, closing?: Wrong["closing"]) =>
  Effect.gen(function*() {
    const { answer, end, leave, write } = yield* open(base)
    yield* Effect.forEach(pieces, write, { discard: true })
    if (closing === "end") yield* end
    if (closing === "leave") yield* leave
    return Option.getOrElse(yield* Effect.timeoutOption(answer, "20 seconds"), () => "no answer")
  }).pipe(Effect.scoped)

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

interface Wrong {
  readonly name: string
  readonly pieces: ReadonlyArray<string | Uint8Array>
  /** What the client does before the answer; otherwise it waits. */
  readonly closing?: "end" | "leave"
  /** None where the client is gone before. */
  readonly status: number | undefined
}

const wrong: ReadonlyArray<Wrong> = [
  { name: "no HTTP", pieces: ["\x16\x03\x01\0\0\r\n\r\n"], status: 400 },
  { name: "a method that nobody knows", pieces: [head("BREW /chats HTTP/1.1")], status: 400 },
  { name: "a method of others", pieces: [head("PUT /chats HTTP/1.1", "Content-Length: 0")], status: 404 },
  { name: "an address that is none", pieces: [head("GET http:// HTTP/1.1")], status: 404 },
  { name: "an address that is an asterisk", pieces: [head("OPTIONS * HTTP/1.1")], status: 404 },
  { name: "an address with a broken escape", pieces: [head("GET /chats/%zz HTTP/1.1")], status: 404 },
  { name: "an address with half of a character", pieces: [head("GET /chats/%E0%A4 HTTP/1.1")], status: 404 },
  { name: "an address that leads up", pieces: [head("GET /chats/../../etc/passwd HTTP/1.1")], status: 404 },
  { name: "an address without end", pieces: [head(`GET /${"a".repeat(20_000)} HTTP/1.1`)], status: 431 },
  { name: "a query of nothing but signs", pieces: [head("GET /chats?&=&?%%=%&after HTTP/1.1")], status: 400 },
  {
    name: "headers that are too large",
    pieces: [head("GET /chats HTTP/1.1", `X: ${"x".repeat(20_000)}`)],
    status: 431
  },
  { name: "two lengths", pieces: [post("Content-Length: 2", "Content-Length: 3"), "{}"], status: 400 },
  { name: "a length and pieces", pieces: [post("Content-Length: 2", "Transfer-Encoding: chunked"), "{}"], status: 400 },
  { name: "a length that is none", pieces: [post("Content-Length: -1"), "{}"], status: 400 },
  { name: "a piece of no size", pieces: [chunked, "zz\r\n{}\r\n0\r\n\r\n"], status: 400 },
  {
    name: "bytes that are no UTF-8",
    pieces: [post("Content-Length: 3"), new Uint8Array([0x22, 0xff, 0x22])],
    status: 400
  },
  { name: "no body", pieces: [post("Content-Length: 0")], status: 400 },
  { name: "a body of no type", pieces: [head("POST /chats HTTP/1.1", "Content-Length: 2"), "{}"], status: 201 },
  {
    name: "a body that is too large, by its length",
    pieces: [post(`Content-Length: ${2 * 1024 * 1024}`), new Uint8Array(2 * 1024 * 1024)],
    status: 413
  },
  {
    name: "a body that is too large, in pieces",
    pieces: [chunked, ...Array.from({ length: 32 }, () => `10000\r\n${"x".repeat(65_536)}\r\n`), "0\r\n\r\n"],
    status: 413
  },
  { name: "a body that ends early", pieces: [post("Content-Length: 100"), "{"], closing: "end", status: 400 },
  { name: "pieces that end early", pieces: [chunked, "5\r\n{"], closing: "end", status: 400 },
  {
    name: "a client that goes in the middle of its headers",
    pieces: ["POST /chats HTTP/1.1\r\nHos"],
    closing: "leave",
    status: undefined
  },
  {
    name: "a client that goes in the middle of its body",
    pieces: [post("Content-Length: 100"), "{"],
    closing: "leave",
    status: undefined
  },
  {
    name: "a client that does not wait for its answer",
    pieces: [head("GET /chats HTTP/1.1")],
    closing: "leave",
    status: undefined
  },
  {
    name: "an upgrade",
    pieces: [
      head(
        "GET /chats HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
      )
    ],
    status: 200
  }
]

describe("over a socket", () => {
  it.live(
    "what is no request is answered as that, or ends; and the next is served",
    () =>
      Effect.gen(function*() {
        const errors: Array<unknown> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel === "Error") errors.push(message)
        })
        const base = yield* Effect.provide(listening(ApiRoutes.layer()), Logger.layer([logger]))
        for (const { closing, name, pieces, status } of wrong) {
          const text = yield* exchange(base, pieces, closing)
          if (status !== undefined) assert.strictEqual(statusOf(text), status, `${name}: ${text.slice(0, 500)}`)
          assert.notMatch(text, /\n\s+at |node_modules/)
          const next = yield* exchange(base, [head("GET /chats/c HTTP/1.1")])
          assert.strictEqual(statusOf(next), 200, `after ${name}`)
        }
        assert.deepStrictEqual(errors, [])
      }).pipe(Effect.scoped, World.provide([])),
    60_000
  )

  it.live(
    "bodies that come slowly hold up nobody, and are read when they are whole",
    () =>
      Effect.gen(function*() {
        const base = yield* listening(ApiRoutes.layer())
        const slow = yield* Effect.forEach(Array.from({ length: 100 }, () => open(base)), identity)
        for (const [index, { write }] of slow.entries()) {
          yield* write(chunked)
          yield* write(chunk(`{"chatId":"slow-${index}"`))
        }
        for (const _ of [1, 2, 3]) {
          assert.strictEqual(statusOf(yield* exchange(base, [head("GET /chats/c HTTP/1.1")])), 200)
        }
        for (const { answer, write } of slow) {
          yield* write(`${chunk("}")}${chunk("")}`)
          assert.strictEqual(statusOf(yield* answer), 201)
        }
      }).pipe(Effect.scoped, World.provide([])),
    60_000
  )
})
