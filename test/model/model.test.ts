/**
 * The model test in its short form: schedules with fixed seeds, and those that found something once.
 * `npm run simulate` runs as many as one likes, with fresh seeds too, see `docs/simulation.md`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Connect from "./connect/Model.ts"
import * as ConnectSchedule from "./connect/Schedule.ts"
import * as Nodes from "./nodes/Model.ts"
import * as NodesSchedule from "./nodes/Schedule.ts"
import { shrink } from "./Schedule.ts"
import type { Schedule } from "./Schedule.ts"
import { modelOf, report, runAll } from "./Simulation.ts"

const length = 40

describe("in every schedule", () => {
  it.each([["from the first seeds", 0, 600], ["from others", 1_000_000, 200]] as const)(
    "%s",
    { timeout: 600_000 },
    (_, from, count) => {
      const { calls, connected, failed } = runAll(from, count)
      if (failed !== undefined) assert.fail(modelOf(failed).report(failed))
      // A model in which little happens holds too.
      assert.isAbove(calls, 10 * count)
      assert.isAbove(connected, 5 * count)
    }
  )
})

/** Schedules that went wrong once, by what was wrong. */
const ofConnecting: ReadonlyArray<readonly [string, Schedule<ConnectSchedule.Step>]> = [
  ["a call that was on its way when the layer closed waited for a read that began after the end", {
    seed: 12,
    actions: [
      { do: "open", chat: 0, settle: true },
      { do: "connect", turn: 0, calls: 1, hold: 0, settle: true },
      { do: "liveness", agent: 0, liveness: "unknown", settle: true },
      { do: "store", queries: ["agent"], script: "hang", settle: true },
      { do: "connect", turn: 0, calls: 1, hold: 0, settle: false },
      { do: "shutdown", settle: true }
    ]
  }],
  ["a session that ended while the flight still wrote the binding was lent to a call that began after its end", {
    seed: 103887,
    actions: [
      { do: "open", chat: 1, settle: true },
      {
        do: "store",
        queries: ["binding", "agent", "latestBuild", "bindAgent"],
        script: "delay",
        after: 2_999,
        settle: true
      },
      { do: "connect", turn: 3, calls: 1, hold: 1_000, settle: true },
      { do: "rebuild", workspace: 1, oldAgent: "gone", settle: true },
      { do: "advance", millis: 1_001, settle: false },
      { do: "advance", millis: 5_000, settle: true },
      { do: "rebuild", workspace: 1, oldAgent: "gone", settle: false },
      { do: "connect", turn: 3, calls: 1, hold: 1_000, settle: true },
      { do: "advance", millis: 300_000, settle: true }
    ]
  }]
]

const ofNodes: ReadonlyArray<readonly [string, Schedule<NodesSchedule.Step>]> = [
  ["a handshake that was overtaken lent its session when the newer one had ended", {
    seed: 1030,
    actions: [
      { do: "database", node: 0, way: { way: "fails" }, settle: true },
      { do: "advance", millis: 15_000, settle: true },
      { do: "database", node: null, way: { way: "slow", millis: 2_999 }, settle: true },
      { do: "agent", agent: 0, what: "clone", settle: true },
      { do: "advance", millis: 3_000, settle: false },
      { do: "database", node: null, way: { way: "works" }, settle: false },
      { do: "link", agent: 0, how: "move", settle: true },
      { do: "agent", agent: 0, what: "die", settle: false },
      { do: "advance", millis: 3_000, settle: true }
    ]
  }],
  ["a caller that left in the step in which its link was lost waited a second for the frame that tells the agent", {
    seed: 225,
    actions: [
      { do: "advance", millis: 10_001, settle: true },
      { do: "agent", agent: 2, what: "restart", settle: true },
      {
        do: "call",
        node: 0,
        chat: 1,
        calls: 1,
        waits: 5_000,
        takes: 20_000,
        within: 30_000,
        anew: false,
        settle: true
      },
      { do: "call", node: 0, chat: 2, calls: 1, waits: 0, takes: 20_000, within: 30_000, anew: true, settle: true },
      { do: "request", workspace: 1, transition: "start", settle: true },
      { do: "node", node: 0, what: "freeze", settle: true },
      { do: "call", node: 1, chat: 2, calls: 1, waits: 0, takes: 20_000, within: 30_000, anew: false, settle: false },
      { do: "advance", millis: 5_000, settle: false },
      { do: "leave", call: 1, settle: false },
      { do: "advance", millis: 30_001, settle: true }
    ]
  }]
]

describe("schedules that found something", () => {
  it.each(ofConnecting)("%s", (_, schedule) => {
    if (Connect.run(schedule).violation !== undefined) assert.fail(report(schedule, Connect.run))
  })

  it.each(ofNodes)("%s", (_, schedule) => {
    if (Nodes.run(schedule).violation !== undefined) assert.fail(report(schedule, Nodes.run))
  })
})

describe("the models", () => {
  it("replay a seed exactly", () => {
    for (const n of [1, 2, 3, 4, 5]) {
      const connect = ConnectSchedule.draw(n, length)
      assert.deepStrictEqual(Connect.run(connect), Connect.run(connect))
      const nodes = NodesSchedule.draw(n, length)
      assert.deepStrictEqual(Nodes.run(nodes), Nodes.run(nodes))
    }
  })

  it("shrink a schedule to the actions that matter", () => {
    const schedule = ConnectSchedule.draw(7, length)
    const matters = ({ actions }: Schedule<ConnectSchedule.Step>) =>
      actions.filter((action) => action.do === "connect").length >= 2 &&
      actions.some((action) => action.do === "advance")
    assert.isTrue(matters(schedule))
    const shortest = shrink(schedule, matters)
    assert.deepStrictEqual(shortest.actions.map((action) => action.do).sort(), ["advance", "connect", "connect"])
  })
})
