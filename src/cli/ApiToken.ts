/**
 * The token that opens the API of a server on this machine: the one that is given, or one of its own in a local file.
 *
 * It is made at the first start and kept, so that the commands beside a server find it, and a client keeps its access
 * when the server starts again.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/**
 * @since 0.1.0
 * @category flags
 */
export const flags = {
  token: Flag.Redacted("token").pipe(
    Flag.withDescription("Token of the API, better given as API_TOKEN. Without it that in --token-file is used"),
    Flag.withFallbackConfig(Config.Redacted("API_TOKEN")),
    Flag.optional
  ),
  tokenFile: Flag.Path("token-file", { pathType: "file", mustExist: false }).pipe(
    Flag.withDescription("File with the token of the API, made by `serve` when it is not there; also API_TOKEN_FILE"),
    Flag.withFallbackConfig(Config.NonEmptyString("API_TOKEN_FILE")),
    Flag.withDefault(".chat-workspace/token")
  )
}

/**
 * What the flags say about the token.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly token: Option.Option<Redacted.Redacted>
  readonly tokenFile: string
}

/**
 * A token was neither given, nor is there a file with one that could be read.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoToken extends Schema.TaggedError<NoToken>()("NoToken", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `There is no token for the API: ${this.file}: ${this.reason}.`
  }
}

/**
 * The token that there is. Fails with `NoToken` when there is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const find = Effect.fnUntraced(function*({ token, tokenFile: file }: Options) {
  if (Option.isSome(token)) return token.value
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(file),
    ({ reason }) => new NoToken({ file, reason: reason._tag === "NotFound" ? "it is not there" : reason.message })
  )
  return text.trim() === ""
    ? yield* new NoToken({ file, reason: "it is empty" })
    : Redacted.make(text.trim())
})

/**
 * The token that there is, or a new one, in a file that only its owner can read; says whether it is new.
 *
 * @since 0.1.0
 * @category constructors
 */
export const findOrMake = Effect.fnUntraced(function*(options: Options) {
  const fs = yield* FileSystem.FileSystem
  const file = options.tokenFile
  const isThere = Option.isSome(options.token) || (yield* Effect.orElseSucceed(fs.exists(file), () => true))
  const isNew = isThere ? false : yield* make(file)
  return { token: yield* find(options), isNew }
})

/** Answers false when another server has made it at the same time: the first one's is the token. */
const make = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const random = yield* SecureRandom.SecureRandom
  const token = Base64Url.encode(yield* random.randomBytes(32))
  return yield* fs.makeDirectory(path.dirname(file), { recursive: true }).pipe(
    Effect.andThen(fs.writeFileString(file, `${token}\n`, { flag: "wx", mode: 0o600 })),
    Effect.as(true),
    Effect.catchIf(({ reason }) => reason._tag === "AlreadyExists", () => Effect.succeed(false)),
    Effect.mapError(({ reason }) => new NoToken({ file, reason: reason.message }))
  )
}, Effect.provide(SecureRandom.layerWebCrypto))
