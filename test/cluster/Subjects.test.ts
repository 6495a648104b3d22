import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Subjects from "../../src/cluster/Subjects.ts"
import { AgentId, NodeId } from "../../src/domain/Ids.ts"

const subjects = Subjects.make("prefix")

describe("subjects", () => {
  it("begin with the prefix", () => {
    assert.strictEqual(subjects.open(AgentId.make("a1")), "prefix.a.a1.open")
    assert.strictEqual(subjects.answer(NodeId.make("n1"), NodeId.make("n2")), "prefix.n.n1.answer.n2")
    assert.strictEqual(Subjects.make("other.place").signals, "other.place.signals")
  })

  it("have one token for an id, whatever it holds", () => {
    assert.strictEqual(subjects.open(AgentId.make("a.>*")), "prefix.a.a=002e=003e=002a.open")
    assert.strictEqual(subjects.open(AgentId.make("\u{1F600} ä")), "prefix.a.=d83d=de00=0020=00e4.open")
  })

  it.prop("no two ids share a token", [Schema.String, Schema.String], ([one, other]) => {
    assert.match(Subjects.token(`x${one}`), /^[A-Za-z0-9_=-]+$/)
    assert.strictEqual(Subjects.token(one) === Subjects.token(other), one === other)
  })

  it("do not take a token for the text that it is made of", () => {
    assert.notStrictEqual(Subjects.token("."), Subjects.token("=002e"))
  })
})
