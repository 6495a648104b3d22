/**
 * The model test. `MODEL_SCHEDULES` says how many random schedules are run (3,000, about ten seconds; 20,000 find defects that
 * need a rare meeting of events), `MODEL_SEED` with which seed they begin, or, alone, which one is replayed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Option } from "effect"
import { run } from "./Model.ts"
import { draw, type Schedule, shrink } from "./Schedule.ts"

const { schedules, seed } = Effect.runSync(
  Config.all({
    schedules: Config.option(Config.Int("MODEL_SCHEDULES")),
    seed: Config.option(Config.Int("MODEL_SEED"))
  }).parse(ConfigProvider.fromEnv())
)

const from = Option.getOrElse(seed, () => 0)
const count = Option.getOrElse(schedules, () => Option.isSome(seed) ? 1 : 3_000)
const length = 40

/** Violations of one kind differ in numbers only. */
const kindOf = (violation: string | undefined): string | undefined => violation?.replace(/\d+/g, "#")

/** What to look at when a schedule went wrong: the shortest that goes wrong in the same way, and how to see it again. */
const report = (schedule: Schedule): string => {
  const kind = kindOf(run(schedule).violation)
  const shortest = shrink(schedule, (candidate) => kindOf(run(candidate).violation) === kind)
  return [
    `${run(shortest).violation}: replay with MODEL_SEED=${schedule.seed}; the shortest schedule is`,
    `{ seed: ${shortest.seed}, actions: [`,
    ...shortest.actions.map((action) => `  ${JSON.stringify(action)},`),
    "] }"
  ].join("\n")
}

const holds = (schedule: Schedule): void => {
  if (run(schedule).violation !== undefined) assert.fail(report(schedule))
}

describe("in every schedule", () => {
  it(`${count} random ones from seed ${from}`, { timeout: 600_000 }, () => {
    const total = { calls: 0, dials: 0, connected: 0 }
    for (let n = from; n < from + count; n++) {
      const schedule = draw(n, length)
      const outcome = run(schedule)
      if (outcome.violation !== undefined) assert.fail(report(schedule))
      total.calls += outcome.calls
      total.dials += outcome.dials
      total.connected += outcome.connected
    }
    // A model in which little happens holds too.
    if (count >= 100) {
      assert.isAbove(total.calls, 10 * count)
      assert.isAbove(total.dials, 2 * count)
      assert.isAbove(total.connected, 5 * count)
    }
  })
})

/** Schedules that went wrong once, by what was wrong. */
const regressions: ReadonlyArray<readonly [string, Schedule]> = [
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

describe("schedules that found something", () => {
  it.each(regressions)("%s", (_, schedule) => holds(schedule))
})

describe("the model", () => {
  it("replays a seed exactly", () => {
    for (const n of [1, 2, 3]) assert.deepStrictEqual(run(draw(n, length)), run(draw(n, length)))
  })

  it("shrinks to the actions that matter", () => {
    const schedule = draw(7, length)
    const matters = ({ actions }: Schedule) =>
      actions.filter((action) => action.do === "connect").length >= 2 &&
      actions.some((action) => action.do === "advance")
    assert.isTrue(matters(schedule))
    const shortest = shrink(schedule, matters)
    assert.deepStrictEqual(shortest.actions.map((action) => action.do).sort(), ["advance", "connect", "connect"])
  })
})
