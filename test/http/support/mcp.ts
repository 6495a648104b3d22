/** The MCP endpoint behind a real socket, over a world in memory, and the official client before it. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Context, Data, Effect, Layer, Option, Redacted } from "effect"
import type { Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest } from "effect/http"
import { createServer } from "node:http"
import type { StoreError } from "../../../src/domain/Errors.ts"
import { Ids } from "../../../src/domain/index.ts"
import * as Authentication from "../../../src/http/Authentication.ts"
import * as McpConfig from "../../../src/http/McpConfig.ts"
import * as McpEndpoint from "../../../src/http/McpEndpoint.ts"
import * as Owned from "../../../src/http/Owned.ts"
import { TestWorkspaces } from "../../../src/testing/index.ts"
import type { ChatTools } from "../../../src/tool/ChatTools.ts"

export const chatId = Ids.ChatId.make("chat-1")
export const otherChat = Ids.ChatId.make("chat-2")
export const childChat = Ids.ChatId.make("child-1")
export const foreignChat = Ids.ChatId.make("foreign-1")

/** The tokens, and whose they are. */
export const token = "token-of-the-owner"
export const strangersToken = "token-of-a-stranger"
/** The token at which the application's authentication breaks. */
export const brokenToken = "token-of-nobody"
const stranger = Ids.OwnerId.make("a stranger")

const owners: Readonly<Record<string, Ids.OwnerId>> = {
  [token]: TestWorkspaces.owner,
  [strangersToken]: stranger
}

const layerTokens = Layer.effect(
  Authentication.Authentication,
  Effect.map(
    Effect.forEach(Object.entries(owners), ([token, owner]) =>
      Effect.map(
        Layer.build(Authentication.layerToken({ token: Redacted.make(token), owner })),
        Context.get(Authentication.Authentication)
      )),
    (each) =>
      Authentication.Authentication.of({
        authenticate: (token) =>
          [brokenToken, ""].includes(Redacted.value(token))
            ? Effect.die(new Error("hunter2"))
            : Effect.firstSuccessOf(each.map(({ authenticate }) => authenticate(token)))
      })
  )
)

/** Whose chats are, and which are the children of others. */
const layerOwned = (down: () => StoreError | undefined) =>
  Layer.succeed(Owned.OwnedChats, {
    find: ({ chatId: asked, owner }) =>
      Effect.suspend(() => {
        const error = down()
        if (error !== undefined) return Effect.fail(error)
        const own = asked === foreignChat ? stranger : TestWorkspaces.owner
        const known = [chatId, otherChat, childChat, foreignChat].includes(asked)
        return Effect.succeed(
          known && own === owner
            ? Option.some({ chatId: asked, parentId: asked === childChat ? chatId : null })
            : Option.none()
        )
      })
  })

export interface Options extends McpConfig.Options {
  readonly allowedOrigins?: ReadonlyArray<string> | undefined
  /** What whose chats are cannot be asked for. */
  readonly down?: () => StoreError | undefined
  /** Where the methods of all requests are noted. */
  readonly methods?: Array<string>
}

const noting = (methods: Array<string>) =>
  HttpRouter.middleware((httpEffect) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method }) => {
      methods.push(method)
      return httpEffect
    }), { global: true })

/** The route on a free port; answers its address. */
export const serve = Effect.fnUntraced(function*(
  { allowedOrigins, down = () => undefined, methods = [], ...config }: Options = {}
): Effect.fn.Return<string, never, ChatTools | Scope.Scope> {
  const context = yield* Layer.build(
    HttpRouter.serve(Layer.merge(McpEndpoint.layerRoute({ allowedOrigins }), noting(methods)), {
      disableListenLog: true,
      disableLogger: true
    }).pipe(
      Layer.provide([layerTokens, layerOwned(down), McpConfig.layer(config)]),
      Layer.provideMerge(
        NodeHttpServer.layer(() => createServer(), {
          port: 0,
          host: "127.0.0.1",
          gracefulShutdownTimeout: "100 millis"
        })
      )
    )
  ).pipe(Effect.orDie)
  const { address } = Context.get(context, HttpServer.HttpServer)
  return `http://127.0.0.1:${"port" in address ? address.port : 0}`
})

export const endpointOf = (base: string, chat: Ids.ChatId = chatId): string =>
  `${base}/chats/${encodeURIComponent(chat)}/mcp`

/** The official client over a transport, closed with the scope. */
export const client = Effect.fnUntraced(function*(transport: Transport): Effect.fn.Return<Client, never, Scope.Scope> {
  const client = new Client({ name: "test", version: "1" })
  yield* Effect.acquireRelease(
    Effect.promise(() => client.connect(transport)),
    () => Effect.promise(() => client.close())
  )
  return client
})

export const overHttp = (url: string, bearer = token): StreamableHTTPClientTransport =>
  new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { authorization: `Bearer ${bearer}` } } })

/** The client has no result. */
export class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

/** Calls a tool, and reads its text. */
export const call = (
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
  options: Parameters<Client["callTool"]>[2] = {}
) =>
  Effect.tryPromise({
    try: async (signal) => {
      const result = CallToolResultSchema.parse(
        await client.callTool({ name, arguments: args }, CallToolResultSchema, { signal, ...options })
      )
      const [first] = result.content
      return {
        isError: result.isError === true,
        structured: result.structuredContent,
        said: first?.type === "text" ? JSON.parse(first.text) : undefined
      }
    },
    catch: (error) => new Refused({ message: error instanceof Error ? error.message : String(error) })
  })

/** A message as a program without the official client sends it. */
export const post = (
  url: string,
  message: unknown,
  headers: Readonly<Record<string, string>> = { authorization: `Bearer ${token}` }
) =>
  Effect.promise(() =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
      body: typeof message === "string" ? message : JSON.stringify(message),
      signal: AbortSignal.timeout(20_000)
    })
  )

export const initialize = (protocolVersion = "2025-06-18") => ({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion, capabilities: {}, clientInfo: { name: "test", version: "1" } }
})
