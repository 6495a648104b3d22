/**
 * `chat-workspace mcp`: the tools of a chat for a program that speaks MCP over standard input and output.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { ChatId } from "../../domain/Ids.ts"
import * as ApiAddress from "../ApiAddress.ts"
import * as ApiToken from "../ApiToken.ts"
import * as McpBridge from "../McpBridge.ts"

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "mcp",
  {
    chatId: Flag.String("chat").pipe(
      Flag.withDescription("Id of the chat"),
      Flag.withSchema(ChatId)
    ),
    url: ApiAddress.flag,
    // The list of processes shows what is given on the command line.
    tokenFile: ApiToken.flags.tokenFile
  },
  Effect.fn(
    function*({ chatId, tokenFile, url }) {
      const token = yield* ApiToken.find({ token: yield* Config.option(Config.Redacted("API_TOKEN")), tokenFile })
      yield* McpBridge.run({ url: `${url}/chats/${encodeURIComponent(chatId)}/mcp`, token })
    },
    // A client that knows only fetch gives a call up that says nothing for five minutes.
    Effect.provide(NodeHttpClient.layerNodeHttp),
    Effect.provideService(Logger.LogToStderr, true)
  )
).pipe(
  Command.withDescription("Give the tools of a chat to a program that speaks MCP, through a running server"),
  Command.withExamples([{
    command: "claude mcp add workspace -- chat-workspace mcp --chat my-chat --token-file ~/.chat-workspace/token",
    description: "The server runs elsewhere on this machine"
  }])
)
