#!/usr/bin/env node
/**
 * The command line.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import * as Agent from "./commands/Agent.ts"
import * as Chat from "./commands/Chat.ts"
import * as Demo from "./commands/Demo.ts"
import * as Enroll from "./commands/Enroll.ts"
import * as Explain from "./commands/Explain.ts"
import * as Mcp from "./commands/Mcp.ts"
import * as Migrate from "./commands/Migrate.ts"
import * as Serve from "./commands/Serve.ts"
import * as Template from "./commands/Template.ts"
import * as Workspace from "./commands/Workspace.ts"
import * as Failure from "./Failure.ts"
import * as Logs from "./Logs.ts"

const version = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}).version

Command.make("chat-workspace").pipe(
  Command.withDescription("Live, correct connections from AI chats to the agents in their workspaces"),
  Command.withSubcommands([
    Serve.command,
    Chat.command,
    Agent.command,
    Template.command,
    Workspace.command,
    Enroll.command,
    Migrate.command,
    Explain.command,
    Mcp.command,
    Demo.command
  ]),
  Command.run({ version }),
  Effect.provide([NodeServices.layer, Logs.layer]),
  Effect.tapCause((cause) => {
    const text = Failure.format(cause)
    return text === undefined ? Effect.void : Console.error(text)
  }),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
