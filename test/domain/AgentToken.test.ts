import { assert, describe, it } from "@effect/vitest"
import { Option, Redacted, Schema } from "effect"
import { Base64Url } from "effect/encoding"
import * as AgentToken from "../../src/domain/AgentToken.ts"
import { AgentId } from "../../src/domain/Ids.ts"

const secret = Uint8Array.from({ length: AgentToken.secretLength }, (_, index) => index * 7)

const token: AgentToken.AgentToken = { agentId: AgentId.make("0198-agent"), secret: Redacted.make(secret) }

const text = Redacted.value(AgentToken.format(token))

const parse = (value: string) => AgentToken.parse(Redacted.make(value))

/** The text of a token with these parts and the checksum that they need. */
const sealed = (agentId: string, bytes: Uint8Array): string =>
  Redacted.value(AgentToken.format({ agentId: AgentId.make(agentId), secret: Redacted.make(bytes) }))

describe("AgentToken", () => {
  it.prop(
    "is read back as it was written",
    {
      agentId: Schema.toType(AgentId),
      bytes: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
    },
    ({ agentId, bytes }) => {
      const given = Uint8Array.from({ length: AgentToken.secretLength }, (_, index) => bytes[index] ?? index)
      // A string that is not well-formed has no bytes to go with.
      const name = AgentId.make(agentId.toWellFormed().slice(0, 64))
      const read = Option.getOrThrow(
        AgentToken.parse(AgentToken.format({ agentId: name, secret: Redacted.make(given) }))
      )
      assert.strictEqual(read.agentId, name)
      assert.deepStrictEqual(Redacted.value(read.secret), given)
    }
  )

  it("has four parts that travel in a header as they are", () => {
    assert.match(text, /^cwa1\.[\w-]+\.[\w-]+\.[0-9a-f]{8}$/)
  })

  it("no character can be changed, left out, doubled or swapped unnoticed", () => {
    for (let index = 0; index < text.length; index++) {
      const [head, char, tail] = [text.slice(0, index), text.charAt(index), text.slice(index + 1)]
      for (const other of ["A", "b", "0", "-", ".", " ", ""]) {
        if (other !== char) assert.isTrue(Option.isNone(parse(head + other + tail)), `${other} at ${index}`)
      }
      assert.isTrue(Option.isNone(parse(head + char + char + tail)), `doubled at ${index}`)
      const next = text.charAt(index + 1)
      if (next !== "" && next !== char) {
        assert.isTrue(Option.isNone(parse(head + next + char + text.slice(index + 2))), `swapped at ${index}`)
      }
    }
  })

  it("is refused with too few, too many or empty parts", () => {
    const parts = text.split(".")
    for (let length = 0; length < 4; length++) assert.isTrue(Option.isNone(parse(parts.slice(0, length).join("."))))
    assert.isTrue(Option.isNone(parse(`${text}.`)))
    assert.isTrue(Option.isNone(parse(`${text}.${parts[3]}`)))
    assert.isTrue(Option.isNone(parse("...")))
  })

  it("is refused with a secret of another length, although the checksum fits", () => {
    assert.isTrue(Option.isSome(parse(sealed("a", secret))))
    assert.isTrue(Option.isNone(parse(sealed("a", secret.slice(1)))))
    assert.isTrue(Option.isNone(parse(sealed("a", new Uint8Array([...secret, 0])))))
    assert.isTrue(Option.isNone(parse(sealed("a", new Uint8Array()))))
  })

  it("is refused with an id that is none, although the checksum fits", () => {
    assert.isTrue(Option.isSome(parse(sealed("x".repeat(128), secret))))
    const long = AgentToken.format({
      // The constructor would refuse it, as the parser does.
      agentId: AgentId.make("x".repeat(129), { disableChecks: true }),
      secret: Redacted.make(secret)
    })
    assert.isTrue(Option.isNone(AgentToken.parse(long)))
    assert.include(Redacted.value(long), Base64Url.encode("x".repeat(129)))
  })

  it("does not show itself", () => {
    const shown = [String(AgentToken.format(token)), JSON.stringify(AgentToken.format(token)), JSON.stringify(token)]
    assert.notInclude(shown.join(), Base64Url.encode(secret).slice(0, 8))
  })
})
