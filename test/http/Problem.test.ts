import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import * as Errors from "../../src/domain/Errors.ts"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as HttpErrors from "../../src/http/HttpErrors.ts"
import * as Problem from "../../src/http/Problem.ts"
import { assertError } from "./support/problems.ts"

const wire = <E extends Problem.Failure>(error: Problem.FailureClass<E>) => Schema.toCodecJson(Problem.of(error))

/** All that an endpoint may declare. */
const all: ReadonlyArray<Problem.FailureClass<Problem.Failure>> = Object.values({ ...Errors, ...HttpErrors }).filter((
  value
): value is typeof value & Problem.FailureClass<Problem.Failure> => typeof value === "function" && "fields" in value)

describe("Problem", () => {
  it.effect("an error becomes problem details with its fields, its code and the next step", () =>
    Effect.gen(function*() {
      const error = new Errors.AgentDisconnected({
        workspaceId: WorkspaceId.make("w"),
        agentId: AgentId.make("a"),
        unreachableFor: Duration.seconds(100),
        evidence: "silent",
        restart: true
      })
      const encoded = yield* Schema.encodeEffect(wire(Errors.AgentDisconnected))(error)
      assert.deepStrictEqual<unknown>(encoded, {
        _tag: "AgentDisconnected",
        workspaceId: "w",
        agentId: "a",
        unreachableFor: 100_000,
        evidence: "silent",
        restart: true,
        type: "urn:chat-workspace:agent_disconnected",
        title: "Agent disconnected",
        status: 503,
        detail: "The workspace runs, but its agent has been silent for 100 s.",
        code: "agent_disconnected",
        forUser: "The workspace runs, but its agent has been silent for 100 s.",
        recovery: { action: "stop-then-start", retry: "after-recovery" }
      })
    }))

  it.effect("a cause is not told", () =>
    Effect.gen(function*() {
      const cause = new Error("the password is 1234")
      const encoded = yield* Effect.all([
        Schema.encodeEffect(wire(Errors.StoreError))(new Errors.StoreError({ operation: "Chats.get", cause })),
        Schema.encodeEffect(wire(Errors.DialFailed))(
          new Errors.DialFailed({ agentId: null, reason: "refused", cause, validation: cause })
        )
      ])
      assert.notInclude(JSON.stringify(encoded), "password")
    }))

  it("knows all errors", () => {
    assert.isAbove(all.length, 35)
  })

  for (const error of all) {
    it.effect.prop(
      `${error.name} is read from its problem, which has all of it`,
      [error],
      ([failure]) =>
        Effect.gen(function*() {
          const encoded = yield* Schema.encodeEffect(Problem.of(error))(failure)
          const read = yield* Schema.decodeEffect(Problem.of(error))(encoded)
          assert.isTrue(Schema.is(error)(read))
          // A name for dashboards is the same everywhere.
          assert.strictEqual(encoded.code, failure.code ?? encoded.code)
          assert.strictEqual(encoded.detail, failure.message)
          const again = yield* Schema.encodeEffect(Problem.of(error))(read)
          assert.deepStrictEqual(Object.keys(again), Object.keys(encoded))
        }),
      { arbitrary: { runs: 20 } }
    )
  }

  it.effect("a field that is named like a member of problem details is not lost", () =>
    Effect.gen(function*() {
      const error = new Errors.FileError({ path: "/a", reason: "denied", detail: "may not be read", changed: [] })
      const encoded = yield* Schema.encodeEffect(wire(Errors.FileError))(error)
      assert.deepInclude(encoded, { detail: "/a: may not be read.", ownDetail: "may not be read" })
      assertError(yield* Schema.decodeEffect(wire(Errors.FileError))(encoded), error)
    }))

  it.effect("errors of one status are told apart by their tags", () =>
    Effect.gen(function*() {
      const both = Schema.toCodecJson(
        Schema.Union([Problem.of(HttpErrors.BodyTooLarge), Problem.of(HttpErrors.MessageTooLarge)])
      )
      const error = new HttpErrors.MessageTooLarge({ limit: 1 })
      const encoded = yield* Schema.encodeEffect(both)(error)
      assertError(yield* Schema.decodeEffect(both)(encoded), error)
    }))
})
