import { assert, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Instructions from "../../src/testing/Instructions.ts"
import { lastWords } from "../../src/testing/ObedientModel.ts"
import type { Conversation, Exchange } from "../testing/support/conversation.ts"
import { faults, outcome } from "./faults.ts"
import type { Fault } from "./faults.ts"

/** What an answer says is wrong and to be done; nothing where all is well. */
const textOf = ({ result }: Exchange): string => {
  const { error, message, note, retry } = Instructions.answer(result)
  if (Instructions.read(Instructions.answer(result)).length === 0) return ""
  return retry === undefined && error !== undefined ? `${error}. ${message ?? ""}` : message ?? note ?? ""
}

/** The call that met the fault, and those after it. */
const since = ({ exchanges }: Conversation): ReadonlyArray<Exchange> => {
  const first = exchanges.findIndex((exchange) => textOf(exchange) !== "")
  return first === -1 ? [] : exchanges.slice(first)
}

describe("a model that only obeys the texts", () => {
  it.effect.each(faults.map((fault) => [fault.name, fault] as const))("%s", ([, fault]) =>
    Effect.gen(function*() {
      const came = yield* outcome(fault)
      const [met, ...calls] = since(came)
      assert.isDefined(met, "no text said what to do")
      assert.isAtMost(calls.length, fault.calls ?? 3, JSON.stringify(calls))
      assert.isTrue(came.lastWords.startsWith(fault.ends === "well" ? lastWords.done : lastWords.help), came.lastWords)
    }))

  it.effect("reads what docs/errors.md says", () =>
    Effect.flatMap(
      Effect.forEach(faults, (fault) => Effect.map(outcome(fault), (came) => row(fault, came))),
      (rows) => Effect.promise(() => expect(document(rows)).toMatchFileSnapshot("../../docs/errors.md"))
    ))
})

const row = (fault: Fault, came: Conversation): string => {
  const texts = Array.from(new Set(since(came).map(textOf).filter((text) => text !== "")), cell)
  const calls = since(came).slice(1).map(({ name }) => `\`${name}\``)
  const ends = fault.ends === "well" ? [] : ["asks for help"]
  return `| ${fault.name} | ${texts.join("<br>")} | ${[...calls, ...ends].join(", ")} |`
}

/** Without the ids, which are other ones each time. */
const cell = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "…")
    .replaceAll("|", "\\|")
    .replaceAll(/\n\s*/g, "<br>")

const document = (rows: ReadonlyArray<string>): string =>
  [
    "# What a model reads when something is wrong",
    "",
    "Each fault is planted under a chat whose model knows nothing and does what the texts say. In the last column are the",
    "calls after the one that met the fault. Where they end with a cry for help, only a person can do more.",
    "",
    "`npx vitest run test/docs/errors.test.ts -u` writes this table, and the test holds it.",
    "",
    "| fault | what the model reads | what it does |",
    "| --- | --- | --- |",
    ...rows,
    ""
  ].join("\n")
