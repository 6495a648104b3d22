/**
 * The `.mcp.json` of the workspace folder: which MCP servers the workspace has.
 *
 * Each entry stands for itself: one that cannot be used is a server with a problem, and the others go on. What is said
 * about an entry never holds a part of it, since commands, variables and headers may be secrets.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { mcpLimits } from "../Protocol.ts"
import * as RegularFile from "./RegularFile.ts"

/**
 * The name of the file.
 *
 * @since 0.1.0
 * @category constants
 */
export const name = ".mcp.json"

/**
 * How a server is reached: a program that is talked to by its input and output, or an address.
 *
 * @since 0.1.0
 * @category models
 */
export type Spec =
  | {
    readonly _tag: "Stdio"
    readonly command: string
    readonly args: ReadonlyArray<string>
    readonly env: Readonly<Record<string, string>>
  }
  | { readonly _tag: "Http"; readonly url: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly _tag: "Unusable"; readonly problem: string }

/**
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly name: string
  readonly spec: Spec
}

/**
 * The entries by name, and what is wrong with the file as a whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpFile {
  readonly entries: ReadonlyArray<Entry>
  readonly problem: string | null
}

/**
 * Reads the file of a folder; no file is no server. A file that cannot be used names no servers, and says why.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (folder: string, limit: number): Effect.Effect<McpFile> =>
  content(folder, limit).pipe(
    Effect.map(parse),
    Effect.catch((error) =>
      Effect.succeed(
        error._tag === "FileError"
          ? { entries: [], problem: error.reason === "notFound" ? null : `${name} cannot be read: ${error.detail}` }
          : { entries: [], problem: `${name} cannot be read: ${error.limit}` }
      )
    )
  )

/**
 * The servers that a text names.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): McpFile => {
  const file = Option.getOrUndefined(decodeFile(text))
  if (file === undefined) return { entries: [], problem: `${name} is not JSON with an object mcpServers` }
  const named = Object.entries(file.mcpServers ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
  const usable = named.filter(([name]) => name !== "" && name.length <= mcpLimits.nameLength)
  const entries = usable.slice(0, mcpLimits.servers).map(([name, entry]) => ({ name, spec: specOf(entry) }))
  const over = usable.length - entries.length
  const unnamed = named.length - usable.length
  const problems = [
    ...(over === 0 ? [] : [`${over} servers over the limit of ${mcpLimits.servers} are left out`]),
    ...(unnamed === 0 ? [] : [`${unnamed} servers without a usable name are left out`])
  ]
  return { entries, problem: problems.length === 0 ? null : problems.join("; ") }
}

const Texts = Schema.Record(Schema.String, Schema.String)

const Stdio = Schema.Struct({
  command: Schema.NonEmptyString,
  args: Schema.optionalKey(Schema.Array(Schema.String)),
  env: Schema.optionalKey(Texts)
})

const Http = Schema.Struct({ url: Schema.String, headers: Schema.optionalKey(Texts) })

const decodeFile = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({
  mcpServers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})))
const decodeKind = Schema.decodeUnknownOption(Schema.Struct({ type: Schema.String }))
const decodeStdio = Schema.decodeUnknownOption(Stdio)
const decodeHttp = Schema.decodeUnknownOption(Http)

const httpKinds: ReadonlySet<string> = new Set(["http", "streamable-http", "streamableHttp"])

const unusable = (problem: string): Spec => ({ _tag: "Unusable", problem })

const specOf = (entry: unknown): Spec => {
  const http = Option.getOrUndefined(decodeHttp(entry))
  const kind = Option.getOrUndefined(decodeKind(entry))?.type ?? (http === undefined ? "stdio" : "http")
  if (httpKinds.has(kind)) {
    if (http === undefined) return unusable("its entry needs a url, and headers as texts")
    const url = URL.parse(http.url)
    if (url === null || !["http:", "https:"].includes(url.protocol)) return unusable("its url is no http address")
    if (url.username !== "" || url.password !== "") return unusable("its url holds a user or a password")
    return { _tag: "Http", url: url.href, headers: http.headers ?? {} }
  }
  if (kind !== "stdio") return unusable("its type of transport is not supported")
  const stdio = Option.getOrUndefined(decodeStdio(entry))
  return stdio === undefined
    ? unusable("its entry needs a command, args as a list of texts and env as texts")
    : { _tag: "Stdio", command: stdio.command, args: stdio.args ?? [], env: stdio.env ?? {} }
}

/** A link that leads out of the folder could make the agent read what only it may. */
const content = Effect.fnUntraced(function*(folder: string, limit: number) {
  const absolute = yield* RegularFile.attempt(name, () => Fs.realpath(Path.join(folder, name)))
  const inside = yield* RegularFile.attempt(name, () => Fs.realpath(folder))
  if (!absolute.startsWith(inside === "/" ? inside : `${inside}/`)) {
    return yield* RegularFile.refused(name, "denied", "it is a link that leads out of the workspace's folder")
  }
  const opened = yield* RegularFile.open({ path: name, absolute })
  const bytes = yield* RegularFile.readAll(name, opened, limit)
  if (bytes.length > limit) return yield* RegularFile.refused(name, "tooLarge", `it has more than ${limit} bytes`)
  return new TextDecoder().decode(bytes)
}, Effect.scoped)
