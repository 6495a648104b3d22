/**
 * What the command line says when it fails: what is wrong and what to do, in a line or two.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import type { ConfigError } from "effect/Config"
import type { ServeError } from "effect/http/HttpServerError"
import * as Predicate from "effect/Predicate"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlError } from "effect/sql/SqlError"
import type { SettingsError } from "../agent/program/Settings.ts"
import type { BuildRequestError, NoWorkspace, WorkspaceChanged } from "../domain/Errors.ts"
import type { SendError } from "../http/Client.ts"
import type { TemplateError } from "../provisioner/TemplateDirectory.ts"
import type { PostgresUnavailable } from "../testing/PostgresBinaries.ts"
import type { PostgresServerError } from "../testing/PostgresServer.ts"
import type { NoToken } from "./ApiToken.ts"
import type { ApiUnreachable, TurnNotDone } from "./commands/Chat.ts"
import type { NoSandbox } from "./commands/Serve.ts"
import type { WorkspaceNotReady } from "./commands/Workspace.ts"
import type { NoDatabase } from "./Database.ts"
import type { McpUnreachable } from "./McpBridge.ts"
import type { NatsUnreachable } from "./NatsServerLink.ts"

/**
 * The text for standard error; `undefined` when all was said already. A failure that nobody foresaw is shown whole.
 *
 * @since 0.1.0
 * @category formatters
 */
export const format = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Cause.squash(cause)
  if (CliError.isCliError(error) || tagOf(error) === "DemoFailed") return undefined
  const tag = tagOf(error)
  return tag !== undefined && isKnown(tag)
    ? `chat-workspace: ${messageOf(error)}\n${hints[tag]}`.trimEnd()
    : `chat-workspace: ${Cause.pretty(cause)}`
}

type Known =
  | ApiUnreachable
  | BuildRequestError
  | ConfigError
  | McpUnreachable
  | NatsUnreachable
  | NoDatabase
  | NoSandbox
  | NoToken
  | NoWorkspace
  | SendError
  | SqlError
  | TemplateError
  | TurnNotDone
  | WorkspaceChanged
  | WorkspaceNotReady
  | MigrationError
  | ServeError
  | PostgresServerError
  | PostgresUnavailable
  | SettingsError

const hints: Readonly<Record<Known["_tag"], string>> = {
  SqlError: "Is the database there, and is DATABASE_URL right? Tables are made by: chat-workspace migrate",
  MigrationError: "Nothing was changed. See the statements with: chat-workspace migrate --print",
  ServeError: "Does one run already? Choose another address with --host, --port or --operator-port.",
  ConfigError: "Mend the variable of the environment that is named.",
  ApiUnreachable: "Is that its address? Start one with: chat-workspace serve. Name another with --url.",
  HttpClientError: "Does the server run? What it does goes on; follow it with the same --chat.",
  SchemaError: "Is the server of the same version?",
  Unauthenticated: "Is it the token of this server? Name its file with --token-file, or set API_TOKEN.",
  NotFound: "Is it another owner's? The owner is that of the server.",
  TurnRunning: "Wait for its end, or choose another chat with --chat.",
  TurnRefused: "Call again in a moment.",
  TurnNotDone: "Call again; `chat-workspace explain <chat>` says what it waits for.",
  StreamLost: "Call again with the same --chat when the server is back.",
  MessageTooLarge: "Put it into a file of the workspace.",
  TooManyStreams: "End one, or raise HTTP_STREAMS_PER_OWNER of the server.",
  BadRequest: "",
  BodyTooLarge: "",
  UnsupportedMediaType: "",
  InternalError: "Read the log of the server.",
  ServerEnding: "Call again in a moment.",
  McpUnreachable: "Is that its address and its chat? Start one with: chat-workspace serve. Name another with --url.",
  NatsUnreachable:
    "Start a server there, install @nats-io/transport-node beside this package, or leave NATS_URL out for one node.",
  NoDatabase: "Start one with: chat-workspace serve (in this folder, or with the same --data). Or set DATABASE_URL.",
  StoreError: "Is the database there, and are its tables up to date? See: chat-workspace migrate",
  WorkspaceRefused: "Is it another owner's? Name the owner with --owner. See: chat-workspace workspace list",
  NoWorkspace: "Make a new one: chat-workspace workspace create <template>",
  NoToken: "`chat-workspace serve` makes one at its first start. Name its file with --token-file, or set API_TOKEN.",
  NoSandbox: "Use --templates with other ones, or say that you mean it with --allow-unsandboxed.",
  TemplateError: "Mend the file, or name another folder with --templates.",
  TemplateNotFound: "See what there is with: chat-workspace template list. Other ones are named with --templates.",
  ParametersRefused: "See what there is with: chat-workspace template list. Give values with --param name=value.",
  WorkspaceNameTaken: "Choose another name with --name.",
  TooManyWorkspaces: "Stop and start the ones there are, or wait.",
  BuildRefused: "",
  BindingRefused: "Is the chat another owner's? Name the owner with --owner.",
  WorkspaceChanged: "Call again.",
  WorkspaceNotReady: "Read the log of the build with: chat-workspace workspace log <workspace>",
  PostgresServerError: "Choose another folder with --data, or set DATABASE_URL to a PostgreSQL that is there.",
  PostgresUnavailable: "Or set DATABASE_URL to a PostgreSQL that is there.",
  SettingsError: ""
}

const isKnown = (tag: string): tag is Known["_tag"] => Object.hasOwn(hints, tag)

const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : undefined

/** Its own, or that of its cause where it has none; a `ConfigError` is no `Error`, and its cause says it better. */
const messageOf = (error: unknown): string =>
  error instanceof Error && error.message !== ""
    ? error.message
    : Predicate.hasProperty(error, "cause")
    ? messageOf(error.cause)
    : String(error)
