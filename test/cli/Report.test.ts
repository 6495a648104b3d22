import { assert, describe, it } from "@effect/vitest"
import * as Report from "../../src/cli/demo/Report.ts"

const shown = (patch: Partial<Report.Shown>): Report.Shown => ({
  name: "next-call",
  group: "fine",
  title: "next call",
  got: "output of the command",
  millis: 1.25,
  queries: 0,
  dials: 0,
  settings: null,
  failures: [],
  timeline: [],
  ...patch
})

const plain = { colour: false }

describe("Report", () => {
  it("groups the scenarios in the order fine, workspace, us", () => {
    const text = Report.table([
      shown({ group: "us", title: "gateway restarted" }),
      shown({ group: "workspace", title: "stopped" }),
      shown({})
    ], plain)
    const at = (part: string) => text.indexOf(part)
    assert.isBelow(at("When the workspace is fine"), at("next call"))
    assert.isBelow(at("next call"), at("When it is not"))
    assert.isBelow(at("stopped"), at("When we are the problem"))
    assert.isBelow(at("When we are the problem"), at("gateway restarted"))
  })

  it("leaves out a group without scenarios", () => {
    assert.notInclude(Report.table([shown({})], plain), "When it is not")
  })

  it("says of a scenario what was expected and did not happen, and counts it", () => {
    const text = Report.table([shown({}), shown({ failures: ["expected 0 queries, saw 3"] })], plain)
    assert.include(text, "✗")
    assert.include(text, "expected 0 queries, saw 3")
    assert.include(text, "1 of 2 scenarios as expected")
  })

  it("says beside a scenario which settings differ from production", () => {
    assert.include(Report.table([shown({ settings: "dial timeout 3 s" })], plain), "here: dial timeout 3 s")
  })

  it("writes escape codes only where colour is wanted", () => {
    const escape = "\u001b["
    assert.notInclude(Report.table([shown({})], plain), escape)
    assert.notInclude(Report.timeline(shown({}), plain), escape)
    assert.include(Report.table([shown({})], { colour: true }), escape)
  })

  it("shows the moments of a timeline with their times", () => {
    const text = Report.timeline(shown({ timeline: [{ at: 1203, what: "asked: another agent" }] }), plain)
    assert.include(text, "1.20 s  asked: another agent")
    assert.include(text, "output of the command")
  })

  it("is good only when there is a scenario and none failed", () => {
    assert.isFalse(Report.isGood([]))
    assert.isTrue(Report.isGood([shown({})]))
    assert.isFalse(Report.isGood([shown({}), shown({ failures: ["x"] })]))
    assert.include(Report.json([shown({ failures: ["x"] })]), "\"ok\": false")
  })
})
