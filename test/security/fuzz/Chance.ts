/** Chance that a seed repeats: every execution has a source of its own, so that one can be played again alone. */

export interface Chance {
  /** A number from 0 to before the limit. */
  readonly below: (limit: number) => number
  /** True so often, from 0 to 1. */
  readonly sometimes: (probability: number) => boolean
  readonly pick: <A>(all: readonly [A, ...ReadonlyArray<A>] | ReadonlyArray<A>) => A
  readonly bytes: (length: number) => Uint8Array
}

/** The source for these words and numbers: the same for the same ones. */
export const make = (...seed: ReadonlyArray<string | number>): Chance => {
  let state = 0x811c9dc5
  for (const character of seed.join("/")) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193)
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => Math.floor(next() / 2 ** 32 * limit)
  return {
    below,
    sometimes: (probability) => next() / 2 ** 32 < probability,
    pick: (all) => {
      const picked = all[below(all.length)]
      if (picked === undefined) throw new RangeError("Nothing to pick from")
      return picked
    },
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff)
  }
}
