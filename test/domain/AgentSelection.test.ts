import { assert, describe, it } from "@effect/vitest"
import { Option, Result, Schema } from "effect"
import type { Agent, BuildSnapshot } from "../../src/domain/Agent.ts"
import { currentAgent, selectAgent } from "../../src/domain/AgentSelection.ts"
import { BuildStatus, Transition } from "../../src/domain/Build.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { agent, at, build, buildId, workspaceId } from "./fixtures.ts"

const named = (name: string, displayOrder = 0, fields: Partial<Agent> = {}): Agent =>
  agent({ agentId: AgentId.make(`id-${name}`), name, displayOrder, ...fields })

const chosen = (agents: ReadonlyArray<Agent>, preferredSuffix?: string): string =>
  Result.getOrThrow(selectAgent(agents, { preferredSuffix })).agentId

const failed = (agents: ReadonlyArray<Agent>) => {
  const { _tag, names, reason } = Result.getOrThrow(Result.flip(selectAgent(agents)))
  return { _tag, names, reason }
}

describe("selectAgent", () => {
  it("takes the lowest display order before any name", () => {
    assert.strictEqual(chosen([named("a", 2), named("b", 1)]), "id-b")
  })

  it("then the name in lower case, before the name as it is", () => {
    assert.strictEqual(chosen([named("Zoo"), named("apple"), named("Banana")]), "id-apple")
    assert.strictEqual(chosen([named("b"), named("A")]), "id-A")
    assert.strictEqual(chosen([named("main"), named("Main"), named("MAIN")]), "id-MAIN")
  })

  it("then the id", () => {
    const twin = (id: string) => named("main", 0, { agentId: AgentId.make(id) })
    assert.strictEqual(chosen([twin("2"), twin("1"), twin("3")]), "1")
  })

  it("prefers the one name with the suffix, whatever its order, in any case", () => {
    assert.strictEqual(chosen([named("a", 0), named("dev-chat", 9)]), "id-dev-chat")
    assert.strictEqual(chosen([named("a", 0), named("Dev-CHAT", 9)]), "id-Dev-CHAT")
    assert.strictEqual(chosen([named("a", 0), named("dev", 9), named("x-chat-y", 9)]), "id-a")
  })

  it("takes another suffix, in any case, or none", () => {
    assert.strictEqual(chosen([named("a"), named("z-chat"), named("z-AI")], "-Ai"), "id-z-AI")
    assert.strictEqual(chosen([named("b"), named("a"), named("z-chat")], ""), "id-a")
  })

  it("refuses to guess between several names with the suffix, and names them in order", () => {
    assert.deepStrictEqual(failed([named("b-chat", 1), named("a"), named("C-Chat", 0)]), {
      _tag: "AgentSelectionFailed",
      reason: "ambiguous",
      names: ["C-Chat", "b-chat"]
    })
  })

  it("looks at root agents only", () => {
    const parentId = AgentId.make("id-b")
    assert.strictEqual(chosen([named("a-chat", 0, { parentId }), named("b", 5)]), "id-b")
    assert.strictEqual(chosen([named("a-chat", 0, { parentId }), named("b-chat", 5)]), "id-b-chat")
    assert.deepStrictEqual(failed([named("y", 0, { parentId }), named("x", 0, { parentId })]), {
      _tag: "AgentSelectionFailed",
      reason: "noRootAgent",
      names: ["y", "x"]
    })
  })

  const Row = Schema.Struct({
    name: Schema.Literals(["a", "A", "b", "B-chat", "c-CHAT", "chat"]),
    order: Schema.Literals([0, 1, 2]),
    root: Schema.Boolean
  })

  it.prop("the order of the rows does not matter", { rows: Schema.NonEmptyArray(Row) }, ({ rows }) => {
    const agents = rows.map(({ name, order, root }, index) =>
      named(name, order, { agentId: AgentId.make(`${index}`), parentId: root ? null : AgentId.make("parent") })
    )
    const outcome = (all: ReadonlyArray<Agent>) =>
      Result.match(selectAgent(all), {
        onSuccess: (found) => found.agentId,
        onFailure: ({ names, reason }) => `${reason} ${names.toSorted().join()}`
      })
    assert.strictEqual(outcome(agents.toReversed()), outcome(agents))
  })
})

describe("currentAgent", () => {
  const snapshot = (transition: Transition, status: BuildStatus, agents: ReadonlyArray<Agent>): BuildSnapshot => ({
    build: build(transition, status, "the end of the log"),
    agents,
    asOf: at(0),
    coveredSince: at(0)
  })

  const table: ReadonlyArray<readonly [Transition, BuildStatus, string]> = [
    ["start", "pending", "starting"],
    ["start", "running", "starting"],
    ["start", "succeeded", "agent"],
    ["start", "failed", "failed"],
    ["start", "canceled", "failed"],
    ["stop", "pending", "stopping"],
    ["stop", "running", "stopping"],
    ["stop", "succeeded", "stopped"],
    ["stop", "failed", "stopFailed"],
    ["stop", "canceled", "stopFailed"],
    ["delete", "pending", "deleting"],
    ["delete", "running", "deleting"],
    ["delete", "succeeded", "NoWorkspace"],
    ["delete", "failed", "deleteFailed"],
    ["delete", "canceled", "deleteFailed"]
  ]

  it("the table has every transition with every status", () => {
    assert.strictEqual(table.length, Transition.literals.length * BuildStatus.literals.length)
  })

  const outcome = (latest: BuildSnapshot): string =>
    Result.match(currentAgent(workspaceId, Option.some(latest)), {
      onSuccess: () => "agent",
      onFailure: (error) => error._tag === "NoWorkspaceAgent" ? error.reason : error._tag
    })

  it.each(table)("%s %s: %s", (transition, status, expected) => {
    assert.strictEqual(outcome(snapshot(transition, status, [agent()])), expected)
    const withoutAgents = expected === "agent" ? "noAgents" : expected
    assert.strictEqual(outcome(snapshot(transition, status, [])), withoutAgents)
  })

  it("a workspace that was never built has no agent and no build", () => {
    const error = Result.getOrThrow(Result.flip(currentAgent(workspaceId, Option.none())))
    assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "neverBuilt", workspaceId, buildId: null })
  })

  it("a reason carries the build and the end of its log", () => {
    const error = Result.getOrThrow(
      Result.flip(currentAgent(workspaceId, Option.some(snapshot("start", "failed", []))))
    )
    assert.deepInclude(error, { _tag: "NoWorkspaceAgent", workspaceId, buildId, logTail: "the end of the log" })
  })

  it("a deleted workspace is no workspace, and says which", () => {
    const error = Result.getOrThrow(
      Result.flip(currentAgent(workspaceId, Option.some(snapshot("delete", "succeeded", []))))
    )
    assert.deepInclude(error, { _tag: "NoWorkspace", workspaceId })
  })

  it("a start that succeeded selects, with the suffix asked for", () => {
    const latest = Option.some(snapshot("start", "succeeded", [named("a"), named("b-ai")]))
    const found = currentAgent(workspaceId, latest, { preferredSuffix: "-ai" })
    assert.strictEqual(Result.getOrThrow(found).name, "b-ai")
  })

  it("an ambiguous template is the error of the selection", () => {
    const latest = Option.some(snapshot("start", "succeeded", [named("a-chat"), named("b-chat")]))
    assert.strictEqual(Result.getOrThrow(Result.flip(currentAgent(workspaceId, latest)))._tag, "AgentSelectionFailed")
  })
})
