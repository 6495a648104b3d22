/**
 * The only form in which the secret of a token is kept, and its comparison in constant time.
 *
 * The secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess that stretching would slow.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * Hashes secrets and compares them. `matches` takes the same time for an unknown agent (no hash) as for a wrong secret.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(Digest.Digest, (digest) => {
  const hash = (secret: Redacted.Redacted<Uint8Array>): Effect.Effect<Uint8Array> =>
    digest.digest(Digest.sha256, Redacted.value(secret))
  return {
    hash,
    matches: (secret: Redacted.Redacted<Uint8Array>, stored: Uint8Array | undefined): Effect.Effect<boolean> =>
      Effect.map(hash(secret), (given) => equal(given, stored ?? dummy) && stored !== undefined)
  }
})

const dummy = new Uint8Array(Digest.sha256.outputLength)

/** Looks at every byte, whatever it finds. */
const equal = (left: Uint8Array, right: Uint8Array): boolean => {
  let difference = left.length ^ right.length
  for (let index = 0; index < left.length; index++) {
    difference |= (left[index] ?? 0) ^ (right[index] ?? 0)
  }
  return difference === 0
}
