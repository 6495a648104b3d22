/**
 * What nodes say to each other: frames of a tunnel, and news of agents.
 *
 * A frame is a kind, a number that counts the frames of its direction, and a body. News and the bodies of all frames but
 * `Part` and `Data` are JSON.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Incarnation, NodeId } from "../domain/Ids.ts"

/**
 * - `Open`, `Accept`, `Refuse`: the beginning; `Open` asks, the others answer
 * - `Part`, `Data`: a message, whose last piece is `Data`
 * - `Probe`, `Alive`: whether the other end is there, and whether it got all; `Alive` answers
 * - `State`: what the holder knows of its agent
 * - `Close`: the end
 *
 * @since 0.1.0
 * @category models
 */
export const kinds = ["Open", "Accept", "Refuse", "Part", "Data", "Probe", "Alive", "State", "Close"] as const

/**
 * @since 0.1.0
 * @category models
 */
export type Kind = (typeof kinds)[number]

/**
 * @since 0.1.0
 * @category models
 */
export interface Frame {
  readonly kind: Kind
  readonly number: number
  readonly body: Uint8Array
}

const headerSize = 5

/**
 * @since 0.1.0
 * @category conversions
 */
export const encode = (kind: Kind, number: number, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(headerSize + body.length)
  bytes[0] = kinds.indexOf(kind)
  new DataView(bytes.buffer).setUint32(1, number)
  bytes.set(body, headerSize)
  return bytes
}

/**
 * @since 0.1.0
 * @category conversions
 */
export const decode = (bytes: Uint8Array): Frame | undefined => {
  const kind = kinds[bytes[0] ?? kinds.length]
  if (kind === undefined || bytes.length < headerSize) return undefined
  return {
    kind,
    number: new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(1),
    body: bytes.subarray(headerSize)
  }
}

/**
 * The number after this one; they begin anew after the last.
 *
 * @since 0.1.0
 * @category conversions
 */
export const next = (number: number): number => (number + 1) >>> 0

/**
 * How long ago the agent was heard, and the store confirmed its session as the newest, in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export const State = Schema.Struct({ heard: Schema.Finite, confirmed: Schema.NullOr(Schema.Finite) })

/**
 * @since 0.1.0
 * @category models
 */
export const Open = Schema.Struct({ node: NodeId })

/**
 * The session that the tunnel leads to.
 *
 * @since 0.1.0
 * @category models
 */
export const Accept = Schema.Struct({
  node: NodeId,
  epoch: Schema.Int,
  incarnation: Incarnation,
  features: Schema.Array(Schema.String),
  state: State
})

/**
 * Why a tunnel ends, in the words of a connection.
 *
 * @since 0.1.0
 * @category models
 */
export const Close = Schema.Struct({
  reason: Schema.Literals(["lost", "replaced", "revoked", "violation"]),
  detail: Schema.String
})

/**
 * @since 0.1.0
 * @category models
 */
export type Close = typeof Close.Type

/**
 * A node holds the agent under this epoch; or the agent came in a version that is not served.
 *
 * @since 0.1.0
 * @category models
 */
export const News = Schema.Union([
  Schema.TaggedStruct("Online", { epoch: Schema.Int }),
  Schema.TaggedStruct("Incompatible", {})
])

/**
 * @since 0.1.0
 * @category models
 */
export type News = typeof News.Type

const json = <S extends Schema.Codec<unknown, unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownOption(Schema.fromJsonString(schema))
  const encode = Schema.encodeSync(Schema.fromJsonString(schema))
  return {
    encode: (value: S["Type"]): Uint8Array => text.encode(encode(value)),
    decode: (body: Uint8Array): S["Type"] | undefined => Option.getOrUndefined(decode(words.decode(body)))
  }
}

const text = new TextEncoder()

const words = new TextDecoder()

/**
 * @since 0.1.0
 * @category conversions
 */
export const bodies = {
  open: json(Open),
  accept: json(Accept),
  state: json(State),
  close: json(Close),
  news: json(News)
}
