import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as CommandOutput from "../../../src/provisioner/process/CommandOutput.ts"

interface Given {
  readonly lines?: number
  readonly bytes?: number
  readonly secrets?: ReadonlyArray<string>
}

const make = ({ bytes = 1_000_000, lines = 1_000, secrets = [] }: Given = {}) => {
  const emitted: Array<string> = []
  const output = CommandOutput.make({
    lines,
    bytes,
    secrets: secrets.map((secret) => Redacted.make(secret)),
    emit: (line) => emitted.push(line)
  })
  const write = (text: string | Uint8Array, stream: "stdout" | "stderr" = "stdout") =>
    output.write(stream, typeof text === "string" ? new TextEncoder().encode(text) : text)
  return { emitted, output, write }
}

describe("CommandOutput", () => {
  it("a line that comes in pieces is one, also when a character is split", () => {
    const { emitted, output, write } = make()
    const bytes = new TextEncoder().encode("grüße – 工作区\nrest")
    for (const byte of bytes) write(Uint8Array.of(byte))
    assert.deepStrictEqual(emitted, ["grüße – 工作区"])
    output.end()
    assert.deepStrictEqual(emitted, ["grüße – 工作区", "rest"])
  })

  it("the two streams do not break each other's lines", () => {
    const { emitted, output, write } = make()
    write("out ")
    write("err ", "stderr")
    write("put\n")
    write("or\n", "stderr")
    output.end()
    assert.deepStrictEqual(emitted, ["out put", "err or"])
  })

  it("of a progress bar only what a terminal would show at the end is a line", () => {
    const { emitted, write } = make()
    write("10 %\r")
    write("20 %\r30")
    write(" %\r")
    write("\r\n")
    write("10 %\r20 %\rdone\n")
    assert.deepStrictEqual(emitted, ["30 %", "done"])
  })

  it("binary output is readable, on one line, without what a terminal or a database stumbles over", () => {
    const { emitted, output, write } = make()
    write(Uint8Array.from({ length: 256 }, (_, byte) => byte))
    output.end()
    assert.strictEqual(emitted.length, 2)
    for (const line of emitted) assert.notMatch(line, /[^\P{Cc}\t]/u)
  })

  it("a secret is hidden wherever the chunks and lines are cut", () => {
    const secret = "s3cr3t-of-the-cloud"
    const { emitted, output, write } = make({ secrets: [secret, "first line of a key\nsecond line of a key"] })
    for (const character of `a ${secret} b\n`) write(character)
    write(`second line of a key\n`)
    output.end()
    assert.deepStrictEqual(emitted, ["a *** b", "***"])
  })

  it("no part of a secret is shown at the end of a line that is cut, wherever in it the cut falls", () => {
    const secret = "0123456789abcdefghij"
    for (let before = 4_060; before <= 4_120; before++) {
      for (const filler of ["x".repeat(before), `${secret.repeat(3)}${"x".repeat(before - 60)}`]) {
        const { emitted, output, write } = make({ secrets: [secret] })
        write(`${filler}${secret}${"y".repeat(10_000)}\n`)
        output.end()
        assert.strictEqual(emitted.length, 1)
        assert.notInclude(emitted[0] ?? "", secret.slice(0, 4))
      }
    }
  })

  it("a secret longer than a line is hidden too, whole or cut, also where other secrets shorten the line", () => {
    const key = "0123456789".repeat(500)
    const { emitted, output, write } = make({ secrets: [key, "a short secret of the same command"] })
    write(`${key}\n${key}x${key}\n`)
    write(`${"a short secret of the same command".repeat(200)}${key}\n`)
    output.end()
    assert.strictEqual(emitted.length, 3)
    assert.strictEqual(emitted[0], "***")
    for (const line of emitted) assert.notInclude(line, "0123")
  })

  it("a line without an end is cut, and is not kept: it would be longer than a string can be", () => {
    const { emitted, output, write } = make()
    const chunk = new TextEncoder().encode("z".repeat(1024 * 1024))
    for (let index = 0; index < 520; index++) write(chunk)
    write("\nnext")
    output.end()
    assert.strictEqual(emitted.length, 2)
    assert.isAtMost(emitted[0]?.length ?? 0, 4_096)
    assert.strictEqual(emitted[1], "next")
  }, 30_000)

  it("gives the log its share and says that there was more, and keeps the end for whoever asks", () => {
    for (const limit of [{ lines: 3 }, { bytes: 3 }]) {
      const { emitted, output, write } = make(limit)
      write("1\n2\n3\n4\n")
      for (let index = 5; index <= 100; index++) write(`${index}\n`)
      output.end()
      assert.deepStrictEqual(emitted, ["1", "2", "3", "… the command printed more, which is not kept."])
      assert.strictEqual(output.tail(), Array.from({ length: 20 }, (_, index) => index + 81).join("\n"))
    }
  })

  it("no more than the share is no reason to say that there was more", () => {
    const { emitted, output, write } = make({ lines: 2 })
    write("1\n2\n")
    output.end()
    assert.deepStrictEqual(emitted, ["1", "2"])
  })
})
