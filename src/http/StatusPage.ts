/**
 * The status as a page for people, and as JSON for programs.
 *
 * The page is one document without other files. It runs only the script and the style that are in it, asks only its own
 * server, and puts everything that it shows in place as text: ids and names come from outside.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { ChatId } from "../domain/Ids.ts"
import { Status } from "./Status.ts"
import * as StatusHosts from "./StatusHosts.ts"
import { script } from "./StatusScript.ts"
import { style } from "./StatusStyle.ts"
import { ChatStatusView, StatusView } from "./StatusView.ts"

/**
 * Names by which browsers call the page, beside those of loopback.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly hosts?: StatusHosts.Hosts | undefined
}

const make = Effect.fnUntraced(function*({ hosts }: Options) {
  const { chat, overview } = yield* Status
  const digest = yield* Digest.Digest
  const sourceOf = (text: string) =>
    Effect.map(
      digest.digest(Digest.sha256, new TextEncoder().encode(text)),
      (hash) => `'sha256-${Base64.encode(hash)}'`
    )
  const policy = [
    "default-src 'none'",
    `script-src ${yield* sourceOf(script)}`,
    `style-src ${yield* sourceOf(style)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")
  const guarded = StatusHosts.guard(hosts)

  const page = HttpServerResponse.text(document, {
    contentType: "text/html; charset=utf-8",
    headers: { ...own, "content-security-policy": policy }
  })

  return Layer.mergeAll(
    HttpRouter.add("GET", "/", guarded(Effect.succeed(page))),
    HttpRouter.add("GET", "/status", guarded(Effect.flatMap(overview, answerOf(StatusView)))),
    HttpRouter.add(
      "GET",
      "/status/chats/:chatId",
      guarded(
        ChatParams.pipe(
          Effect.flatMap(({ chatId }) => Effect.flatMap(chat(chatId), answerOf(ChatStatusView))),
          Effect.catchTag(
            "SchemaError",
            () =>
              Effect.succeed(HttpServerResponse.text("This is not the id of a chat.\n", { status: 400, headers: own }))
          )
        )
      )
    )
  )
})

/** What no page of another origin may take, no cache may keep, and no browser may take for something else. */
const own = {
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

const ChatParams = HttpRouter.schemaPathParams(Schema.Struct({ chatId: ChatId }))

const answerOf = <S extends Schema.Top & { readonly EncodingServices: never }>(schema: S) => {
  const encode = Schema.encodeEffect(schema)
  return (value: S["Type"]) =>
    Effect.map(Effect.orDie(encode(value)), (body) => HttpServerResponse.jsonUnsafe(body, { headers: own }))
}

const document = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chat-workspace</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header>
<p id="headline" data-level="still"><span>Asking the server …</span></p>
<p id="spoken" role="status"></p>
<div id="meta"></div>
</header>
<noscript><p>This page needs its script. The same is at status, as JSON.</p></noscript>
<main>
<ul id="problems"></ul>
<section id="chat" tabindex="-1" hidden></section>
<section id="chats">
<div class="title"><h2>Chats</h2><form id="find" role="search"><input name="chat" type="search" placeholder="Id of a chat" aria-label="Id of a chat, to filter or to open with Enter" autocomplete="off" spellcheck="false"></form></div>
<div class="list"></div>
</section>
<section id="waits"><div class="title"><h2>Oldest waits</h2></div><div class="list"></div></section>
<section id="workspaces"><div class="title"><h2>Workspaces and agents</h2></div><div class="list"></div></section>
<section id="sessions"><div class="title"><h2>Live sessions of this node</h2></div><div class="list"></div></section>
</main>
<script>${script}</script>
</body>
</html>
`

/**
 * `GET /`, `GET /status` and `GET /status/chats/:chatId`, answered only where they are called by a name of their own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, HttpRouter.HttpRouter | Status> =>
  Layer.unwrap(make(options)).pipe(Layer.provide(Digest.layerWebCrypto))
