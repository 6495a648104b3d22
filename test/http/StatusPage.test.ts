import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { createHash } from "node:crypto"
import { ChatId } from "../../src/domain/Ids.ts"
import * as StatusHosts from "../../src/http/StatusHosts.ts"
import * as StatusPage from "../../src/http/StatusPage.ts"
import { ChatStatusView, StatusView } from "../../src/http/StatusView.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { serve } from "./support/requests.ts"
import { provide } from "./support/status.ts"

const own = { headers: { host: "localhost:4171" } }

const routes = (options?: StatusPage.Options) => serve(StatusPage.layer(options))

const hashed = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

const between = (text: string, from: string, to: string): string => text.split(from)[1]?.split(to)[0] ?? ""

describe("the routes of the status page", () => {
  it.effect("answer a page that may run and look like nothing but what is in it", () =>
    Effect.gen(function*() {
      const { fetch } = yield* routes()
      const response = yield* fetch("GET /", own)
      const html = yield* Effect.promise(() => response.text())
      const policy = response.headers.get("content-security-policy")?.split("; ") ?? []
      assert.includeMembers(policy, [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        `script-src ${hashed(between(html, "<script>", "</script>"))}`,
        `style-src ${hashed(between(html, "<style>", "</style>"))}`
      ])
      assert.notMatch(html, /https?:|<link rel="stylesheet"| src=| on[a-z]+="| style="/)
      assert.deepStrictEqual(
        ["content-type", "cache-control", "x-content-type-options", "referrer-policy"].map((name) =>
          response.headers.get(name)
        ),
        ["text/html; charset=utf-8", "no-store", "nosniff", "no-referrer"]
      )
    }).pipe(Effect.scoped, provide()))

  it.effect("answer the status and one chat as JSON", () =>
    Effect.gen(function*() {
      const chatId = ChatId.make("a chat/with 100% odd ids?#")
      yield* Effect.flatMap(TestWorkspaces.TestWorkspaces, (world) => world.stopped(chatId))
      const { send } = yield* routes()
      const all = yield* send("GET /status", own)
      const status = yield* Schema.decodeUnknownEffect(StatusView)(all.body)
      assert.deepStrictEqual(status.chats.map(({ chatId }) => chatId), [chatId])
      const one = yield* send(`GET /status/chats/${encodeURIComponent(chatId)}`, own)
      const chat = yield* Schema.decodeUnknownEffect(ChatStatusView)(one.body)
      assert.deepStrictEqual([chat.chatId, chat.finding.code], [chatId, "workspace_stopped"])
    }).pipe(Effect.scoped, provide()))

  it.effect("refuse what is no id of a chat", () =>
    Effect.gen(function*() {
      const { send } = yield* routes()
      const { status, type } = yield* send(`GET /status/chats/${"x".repeat(129)}`, own)
      assert.deepStrictEqual({ status, type }, { status: 400, type: "text/plain" })
    }).pipe(Effect.scoped, provide()))

  it.effect("refuse a request that names another host, and one that names none", () =>
    Effect.gen(function*() {
      const { send } = yield* routes()
      for (const path of ["/", "/status", "/status/chats/c"]) {
        assert.strictEqual((yield* send(`GET ${path}`, { headers: { host: "evil.test:4171" } })).status, 403)
        assert.strictEqual((yield* send(`GET ${path}`)).status, 403)
      }
    }).pipe(Effect.scoped, provide()))

  it.effect("answer under the names that they were given", () =>
    Effect.gen(function*() {
      const { send } = yield* routes({ hosts: ["Ops.example.com"] })
      assert.strictEqual((yield* send("GET /status", { headers: { host: "ops.example.com" } })).status, 200)
      assert.strictEqual((yield* send("GET /status", { headers: { host: "example.com" } })).status, 403)
    }).pipe(Effect.scoped, provide()))
})

describe("whose a host is", () => {
  it.each([
    ["localhost", true],
    ["LOCALHOST:80", true],
    ["app.localhost:4171", true],
    ["127.0.0.1:4171", true],
    ["127.8.9.10", true],
    ["[::1]:4171", true],
    ["128.0.0.1", false],
    ["127.0.0.1.evil.test", false],
    ["localhost.evil.test", false],
    ["evil.test", false],
    ["localhost@evil.test", false],
    ["evil.test/localhost", false],
    ["evil-localhost", false],
    ["", false],
    [undefined, false]
  ])("tells %s: %s", (header, expected) => {
    assert.strictEqual(StatusHosts.isOwn(header, []), expected)
  })

  it.effect("can be asked for all routes of a router", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(Layer.merge(StatusPage.layer({ hosts: ["evil.test"] }), StatusHosts.layer()))
      assert.strictEqual((yield* send("GET /status", { headers: { host: "evil.test" } })).status, 403)
      assert.strictEqual((yield* send("GET /status", own)).status, 200)
    }).pipe(Effect.scoped, provide()))
})
