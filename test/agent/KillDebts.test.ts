import { assert, describe, it } from "@effect/vitest"
import { GatewayConfig } from "../../src/agent/index.ts"
import * as KillDebts from "../../src/agent/KillDebts.ts"
import { Incarnation, OperationId } from "../../src/domain/Ids.ts"
import { agent } from "./support/sessions.ts"

const one = agent("agent-1")
const two = agent("agent-2")
const now = Incarnation.make("now")
const id = (name: string) => OperationId.make(name)
const make = (options: GatewayConfig.Options = {}) => KillDebts.make(GatewayConfig.make(options))

describe("KillDebts", () => {
  it("are due until they are paid", () => {
    const debts = make()
    debts.owe(one, now, id("a"), 0)
    debts.owe(one, now, id("a"), 0)
    debts.owe(one, now, id("b"), 0)
    assert.deepStrictEqual(debts.due(one, now, 0), [id("a"), id("b")])
    assert.deepStrictEqual(debts.due(two, now, 0), [])
    debts.paid(one, id("a"))
    debts.paid(one, id("a"))
    assert.deepStrictEqual(debts.due(one, now, 0), [id("b")])
    assert.strictEqual(debts.size(), 1)
  })

  it("are dropped when the incarnation is another: it ends left-over processes by itself", () => {
    const debts = make()
    debts.owe(one, now, id("a"), 0)
    assert.deepStrictEqual(debts.due(one, Incarnation.make("next"), 0), [])
    assert.strictEqual(debts.size(), 0)
  })

  it("are kept for ten minutes", () => {
    const debts = make()
    debts.owe(one, now, id("a"), 0)
    debts.expire(600_000)
    assert.deepStrictEqual(debts.due(one, now, 600_000), [id("a")])
    assert.deepStrictEqual(debts.due(one, now, 600_001), [])
    debts.owe(two, now, id("b"), 0)
    debts.expire(600_001)
    assert.strictEqual(debts.size(), 0)
  })

  it("are bounded: of one agent the oldest goes, on the node a new one is not taken on", () => {
    const debts = make({ debtsPerAgent: 2, debts: 3 })
    for (const name of ["a", "b", "c"]) assert.isTrue(debts.owe(one, now, id(name), 0))
    assert.deepStrictEqual(debts.due(one, now, 0), [id("b"), id("c")])
    assert.isTrue(debts.owe(two, now, id("d"), 0))
    assert.isFalse(debts.owe(two, now, id("e"), 0))
    assert.strictEqual(debts.size(), 3)
  })
})
