/**
 * The secret with which an agent program proves whose it is: `cwa1.<agent id>.<secret>.<checksum>`, each part base64url.
 *
 * The checksum tells a mangled token from a wrong one without asking anybody. Only a hash of the secret is ever stored.
 *
 * @since 0.1.0
 */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { AgentId } from "./Ids.ts"

/**
 * Bytes in the secret of a token.
 *
 * @since 0.1.0
 * @category constants
 */
export const secretLength = 32

/**
 * A token taken apart. The secret has `secretLength` bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentToken {
  readonly agentId: AgentId
  readonly secret: Redacted.Redacted<Uint8Array>
}

/**
 * The text form, to be handed to the agent once and never stored.
 *
 * @since 0.1.0
 * @category constructors
 */
export const format = (token: AgentToken): Redacted.Redacted<string> => {
  const body = [prefix, Base64Url.encode(token.agentId), Base64Url.encode(Redacted.value(token.secret))].join(".")
  return Redacted.make(`${body}.${checksum(body)}`)
}

/**
 * Takes a text apart; none when it is not a token, which costs no query.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: Redacted.Redacted<string>): Option.Option<AgentToken> => {
  const parts = Redacted.value(text).split(".")
  const [head, id, secret, check] = parts
  if (parts.length !== 4 || head !== prefix || id === undefined || secret === undefined) return Option.none()
  if (checksum([head, id, secret].join(".")) !== check) return Option.none()
  return Option.gen(function*() {
    const agentId = yield* decodeAgentId(yield* Result.getSuccess(Base64Url.decodeString(id)))
    const bytes = yield* Result.getSuccess(Base64Url.decode(secret))
    return bytes.length === secretLength ? { agentId, secret: Redacted.make(bytes) } : yield* Option.none()
  })
}

const prefix = "cwa1"

const decodeAgentId = Schema.decodeUnknownOption(AgentId)

/** FNV-1a over the characters: finds a mangled token; proves nothing. */
const checksum = (text: string): string => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return (hash >>> 0).toString(16).padStart(8, "0")
}
