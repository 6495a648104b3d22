/** What is nearly right: values of JSON with parts exchanged, and texts and bytes with pieces torn out, doubled or flipped. */
import type { Chance } from "./Chance.ts"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

const numbers = [0, -0, -1, 1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 5e-324]

const texts = [
  "",
  "\0",
  "\n",
  "__proto__",
  "constructor",
  "\u2028",
  "\ud800",
  "é".repeat(300),
  "../../etc/passwd",
  "Success",
  "Failure",
  "Exit",
  "x".repeat(5000)
]

const names = ["_tag", "requestId", "exit", "values", "value", "cause", "error", "id", "__proto__", "x"]

/** So many lists in each other; some walk over it, and most cannot. */
const nested = (levels: number): Json => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`)

const anything = (chance: Chance): Json =>
  chance.pick<() => Json>([
    () => null,
    () => chance.sometimes(0.5),
    () => chance.pick(numbers),
    () => chance.pick(texts),
    () => [],
    () => ({}),
    () => nested(chance.pick([2, 100, 1500])),
    () => Array.from({ length: chance.below(50) }, () => chance.pick(numbers)),
    () => ({ [chance.pick(names)]: chance.pick(texts) })
  ])()

/** A value with one part of it changed, wherever chance leads. */
export const value = (chance: Chance, json: Json): Json => {
  if (typeof json !== "object" || json === null || chance.sometimes(0.15)) return anything(chance)
  if (Array.isArray(json)) {
    const list: ReadonlyArray<Json> = json
    const at = chance.below(list.length + 1)
    const found = list[at]
    if (found === undefined) return [...list, anything(chance)]
    return chance.pick<() => Json>([
      () => list.toSpliced(at, 1),
      () => list.toSpliced(at, 0, found),
      () => list.toSpliced(at, 1, value(chance, found)),
      () => list.toSpliced(at, 1, value(chance, found))
    ])()
  }
  const entries = Object.entries(json)
  if (entries.length === 0) return { [chance.pick(names)]: anything(chance) }
  const at = chance.below(entries.length)
  const [name, found] = entries[at] ?? ["x", null]
  return Object.fromEntries(
    chance.pick<() => ReadonlyArray<readonly [string, Json]>>([
      () => entries.toSpliced(at, 1),
      () => [...entries, [chance.pick(names), anything(chance)]],
      () => entries.toSpliced(at, 1, [chance.pick(names), found]),
      () => entries.toSpliced(at, 1, [name, value(chance, found)]),
      () => entries.toSpliced(at, 1, [name, value(chance, found)]),
      () => entries.toSpliced(at, 1, [name, value(chance, found)])
    ])()
  )
}

const pieces = [
  "\n",
  "\r\n",
  "{",
  "}",
  "[",
  "]",
  "\"",
  ",",
  ":",
  "\\u0000",
  "\\ud800",
  "1e999",
  "-",
  "null",
  "{\"_tag\":"
]

const encoder = new TextEncoder()

/** Bytes with some of them changed: flipped, torn out, doubled, cut off, or with something between them. */
export const bytes = (chance: Chance, given: Uint8Array): Uint8Array => {
  let changed = Buffer.from(given)
  for (let count = chance.below(4) + 1; count > 0; count--) {
    const at = chance.below(changed.length + 1)
    const length = chance.below(Math.min(64, changed.length - at + 1))
    changed = chance.pick([
      () => {
        const copy = Buffer.from(changed)
        if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << chance.below(8))
        return copy
      },
      () => Buffer.concat([changed.subarray(0, at), changed.subarray(at + length)]),
      () => Buffer.concat([changed.subarray(0, at + length), changed.subarray(at)]),
      () => changed.subarray(0, at),
      () => Buffer.concat([changed.subarray(0, at), encoder.encode(chance.pick(pieces)), changed.subarray(at)]),
      () => Buffer.concat([changed.subarray(0, at), chance.bytes(chance.below(8)), changed.subarray(at)])
    ])()
  }
  return changed
}

/** A frame for each value: most of them nearly right, some right, a few only bytes. */
export const frame = (chance: Chance, json: Json): Uint8Array => {
  let mutated = json
  for (let count = chance.below(3); count > 0; count--) mutated = value(chance, mutated)
  const encoded = encoder.encode(`${JSON.stringify(mutated)}\n`)
  return chance.sometimes(0.15) ? bytes(chance, encoded) : encoded
}

/** The bytes in pieces of any size, as networks give them. */
export const torn = (chance: Chance, whole: Uint8Array): ReadonlyArray<Uint8Array> => {
  if (chance.sometimes(0.7)) return [whole]
  const at = chance.below(whole.length + 1)
  return [whole.subarray(0, at), ...torn(chance, whole.subarray(at))]
}
