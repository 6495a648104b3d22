/**
 * What `serve` says when it listens: where everything is, and what whoever started it should know.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { prefix } from "./ApiAddress.ts"
import type { Addresses } from "./Servers.ts"

/**
 * - `isReachable`: whether other machines reach the server; `isEverywhere`: at an address that nobody can call
 * - `agentUrl`: the address that agents call, where it is not that of the server
 * - `token`: to be shown; where it is not, the file that holds it, or none where it was given
 * - `model`: what answers in chats
 * - `database`: where it is
 * - `unsandboxed`: the templates whose workspaces run on this host, and the folder of those
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly at: Addresses
  readonly isReachable: boolean
  readonly isEverywhere: boolean
  readonly agentUrl: Option.Option<string>
  readonly token: Token
  readonly model: string
  readonly database: string
  readonly unsandboxed: ReadonlyArray<string>
  readonly workspaces: string
}

/**
 * A token that is shown, one that stands in a file, or one that was given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  readonly shown: Option.Option<Redacted.Redacted>
  readonly file: Option.Option<string>
}

/**
 * @since 0.1.0
 * @category formatters
 */
export const format = (options: Options): string => {
  const { agentUrl, at, database, model, token, unsandboxed, workspaces } = options
  const api = `http://${at.api}${prefix}`
  return rows([
    ["API", `${api}, to be read at ${api}/docs`],
    ["MCP", `${api}/chats/<chat>/mcp`],
    ["Token", ...tokenLines(token)],
    [
      "Agents",
      `ws://${at.api}/agent`,
      ...(options.isEverywhere && Option.isNone(agentUrl)
        ? ["which new workspaces can call on this host alone: name another address with --agent-url"]
        : [])
    ],
    ["Health", `http://${at.api}/healthz and /readyz`],
    ["Operators", `http://${at.operators}/ for the status, /metrics and /explain/<chat>`],
    ["Database", database],
    ["Model", model],
    ...(unsandboxed.length === 0
      ? []
      : [
        ["Workspaces", `of ${unsandboxed.join(", ")} run on this host in ${workspaces}: this is no sandbox`] as const
      ]),
    ...(options.isReachable
      ? [
        [
          "TLS",
          "is not spoken here: put before it what does, for tokens and all that is said can be read on the way"
        ] as const
      ]
      : [])
  ])
}

const tokenLines = ({ file, shown }: Token): ReadonlyArray<string> => {
  const kept = Option.match(file, { onNone: () => "was given", onSome: (path) => `is in ${path}` })
  return Option.match(shown, {
    onNone: () => [kept],
    onSome: (token) => [Redacted.value(token), kept]
  })
}

/** Names in front, and what they name beside them. */
const rows = (all: ReadonlyArray<readonly [name: string, ...lines: ReadonlyArray<string>]>): string =>
  all.flatMap(([name, ...lines]) => lines.map((line, index) => `${(index === 0 ? name : "").padEnd(12)}${line}`)).join(
    "\n"
  )
