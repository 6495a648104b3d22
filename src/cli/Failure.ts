/**
 * What the command line says when it fails: what is wrong and what to do, in a line or two.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import type { ServeError } from "effect/http/HttpServerError"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlError } from "effect/sql/SqlError"
import type { SettingsError } from "../agent/program/Settings.ts"
import type { StoreError, WorkspaceRefused } from "../domain/Errors.ts"
import type { PostgresUnavailable } from "../testing/PostgresBinaries.ts"
import type { PostgresServerError } from "../testing/PostgresServer.ts"

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
  return tag !== undefined && isKnown(tag) && error instanceof Error
    ? `chat-workspace: ${error.message || messageOf(error.cause)}\n${hints[tag]}`.trimEnd()
    : `chat-workspace: ${Cause.pretty(cause)}`
}

type Known =
  | SqlError
  | MigrationError
  | ServeError
  | StoreError
  | WorkspaceRefused
  | PostgresServerError
  | PostgresUnavailable
  | SettingsError

const hints: Readonly<Record<Known["_tag"], string>> = {
  SqlError: "Is the database there, and is DATABASE_URL right? Tables are made by: chat-workspace migrate",
  MigrationError: "Nothing was changed. See the statements with: chat-workspace migrate --print",
  ServeError: "Choose another address with --host, --port or --operator-port.",
  StoreError: "Is the database there, and are its tables up to date? See: chat-workspace migrate",
  WorkspaceRefused: "The workspace was enrolled for another owner before.",
  PostgresServerError: "Choose another folder with --data, or set DATABASE_URL to a PostgreSQL that is there.",
  PostgresUnavailable: "Or set DATABASE_URL to a PostgreSQL that is there.",
  SettingsError: ""
}

const isKnown = (tag: string): tag is Known["_tag"] => Object.hasOwn(hints, tag)

const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : undefined

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)
