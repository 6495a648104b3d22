/**
 * What every `AgentEnrollments` has to keep: builds made elsewhere, their agents, and whom they revoke.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Build } from "../domain/Build.ts"
import { TokenRefused, WorkspaceRefused } from "../domain/Errors.ts"
import { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { agentId, build, enrolled, incarnation, node, owner, secretOf, start, stop, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports = AgentEnrollments | AgentPresence | WorkspaceAgents

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Case<R>> =>
  StoreKit.casesFor(harness, definitions)

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Skipped> =>
  StoreKit.skipped(harness, definitions)

const calls: StoreKit.Calls<Ports> = (suffix) => [
  ["recordStart", start(`w${suffix}`, `b${suffix}`, `a${suffix}`)],
  [
    "replaceSecret",
    AgentEnrollments.use((enrollments) =>
      enrollments.replaceSecret({
        workspaceId: workspace(`w${suffix}`),
        owner: owner("ann"),
        agentId: agentId(`a${suffix}`),
        secretHash: new Uint8Array(32)
      })
    )
  ],
  ["recordEnd", stop(`w${suffix}`, `e${suffix}`)]
]

const token = (agent: string, secret: number) => ({
  agentId: agentId(agent),
  secret: Redacted.make(new Uint8Array(32).fill(secret))
})

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "starts and stops are numbered builds that succeeded",
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      const agents = yield* WorkspaceAgents
      const succeeded = { workspaceId: workspace("w"), status: "succeeded", logTail: null } as const
      assert.deepStrictEqual(
        yield* start("w", "b1", "a1"),
        new Build({ ...succeeded, buildId: build("b1"), number: 1, transition: "start" })
      )
      const second = yield* stop("w", "b2")
      assert.deepStrictEqual(
        second,
        new Build({ ...succeeded, buildId: build("b2"), number: 2, transition: "stop" })
      )
      assert.deepStrictEqual(
        Option.map(yield* agents.latestBuild(workspace("w")), ({ agents, build }) => ({ agents, build })),
        Option.some({ build: second, agents: [] })
      )
      const third = yield* enrollments.recordEnd({
        workspaceId: workspace("w"),
        owner: owner("ann"),
        buildId: build("b3"),
        transition: "delete"
      })
      assert.deepInclude(third, { number: 3, transition: "delete" })
    })
  ),
  StoreKit.definition(
    "a workspace of another owner is refused, and nothing is recorded",
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      const agents = yield* WorkspaceAgents
      const first = yield* start("w", "b1", "a1")
      const foreign = { workspaceId: workspace("w"), owner: owner("bob") }
      const refused = new WorkspaceRefused(foreign)
      for (
        const attempt of [
          enrollments.recordStart({ ...foreign, buildId: build("b2"), agents: [enrolled("a2")] }),
          enrollments.recordEnd({ ...foreign, buildId: build("b3"), transition: "stop" as const }),
          enrollments.replaceSecret({ ...foreign, agentId: agentId("a1"), secretHash: new Uint8Array(32) })
        ]
      ) {
        assert.deepStrictEqual<unknown>(yield* Effect.flip(attempt), refused)
      }
      const latest = yield* agents.latestBuild(workspace("w"))
      assert.deepStrictEqual(Option.map(latest, (latest) => latest.build), Option.some(first))
      assert.deepStrictEqual(yield* agents.agent(agentId("a2")), Option.none())
    })
  ),
  StoreKit.definition(
    "the stop of a workspace that was never recorded is refused",
    Effect.gen(function*() {
      const error = yield* Effect.flip(stop("w", "b1"))
      assert.deepStrictEqual(error, new WorkspaceRefused({ workspaceId: workspace("w"), owner: owner("ann") }))
    })
  ),
  StoreKit.definition(
    "a start revokes the agents of earlier ones, a stop those that are left, of this workspace alone",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const attach = (agent: string) =>
        Effect.result(presence.attach({ agentId: agentId(agent), nodeId: node("n"), incarnation: incarnation("i") }))
      yield* start("w", "b1", "a1", "a2")
      yield* start("other", "b9", "a9")
      assert.strictEqual((yield* attach("a1"))._tag, "Success")
      yield* start("w", "b2", "a3")
      for (const agent of ["a1", "a2"]) {
        const result = yield* attach(agent)
        assert.deepStrictEqual(result._tag === "Failure" && result.failure, new TokenRefused({ reason: "revoked" }))
      }
      assert.strictEqual((yield* attach("a3"))._tag, "Success")
      yield* stop("w", "b3")
      assert.strictEqual((yield* attach("a3"))._tag, "Failure")
      assert.strictEqual((yield* attach("a9"))._tag, "Success")
    })
  ),
  StoreKit.definition(
    "agents keep what was said of them, in the order in which they were given",
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      const agents = yield* WorkspaceAgents
      yield* enrollments.recordStart({
        workspaceId: workspace("w"),
        owner: owner("ann"),
        buildId: build("b1"),
        agents: [
          enrolled("z", { name: "root", displayOrder: 7, connectionTimeout: Duration.millis(1500) }),
          enrolled("m", { name: "second-Chat", connectionTimeout: Duration.zero }),
          enrolled("a", { name: "sub", parentId: agentId("z") })
        ]
      })
      const latest = Option.getOrThrow(yield* agents.latestBuild(workspace("w")))
      const ready = { lifecycle: "ready", parentId: null } as const
      assert.deepStrictEqual(
        latest.agents.map(({ agentId, connectionTimeout, displayOrder, lifecycle, name, parentId }) => ({
          agentId,
          name,
          displayOrder,
          lifecycle,
          parentId,
          timeout: Duration.toMillis(connectionTimeout)
        })),
        [
          { ...ready, agentId: agentId("z"), name: "root", displayOrder: 7, timeout: 1500 },
          { ...ready, agentId: agentId("m"), name: "second-Chat", displayOrder: 0, timeout: 0 },
          { ...ready, agentId: agentId("a"), name: "sub", displayOrder: 0, timeout: 120_000, parentId: agentId("z") }
        ]
      )
    })
  ),
  StoreKit.definition(
    "a new secret opens, the old one does not, and the session under the old one is replaced",
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      const presence = yield* AgentPresence
      const w = { workspaceId: workspace("w"), owner: owner("ann") }
      yield* enrollments.recordStart({
        ...w,
        buildId: build("b1"),
        agents: [enrolled("a", { secretHash: yield* secretOf(1) })]
      })
      assert.strictEqual(yield* presence.verify(token("a", 1)), agentId("a"))
      const { epoch } = yield* presence.attach({
        agentId: agentId("a"),
        nodeId: node("n"),
        incarnation: incarnation("i")
      })
      yield* enrollments.replaceSecret({ ...w, agentId: agentId("a"), secretHash: yield* secretOf(2) })
      assert.strictEqual(yield* presence.verify(token("a", 2)), agentId("a"))
      assert.deepStrictEqual(
        yield* Effect.flip(presence.verify(token("a", 1))),
        new TokenRefused({ reason: "unknown" })
      )
      const { verdicts } = yield* presence.beat({
        nodeId: node("n"),
        sessions: [{ agentId: agentId("a"), epoch, age: Duration.zero }],
        waiting: []
      })
      assert.strictEqual(verdicts.get(agentId("a")), "replaced")
    })
  ),
  StoreKit.definition(
    "the secret of an agent of another workspace of the owner is not replaced",
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      yield* start("w", "b1", "a1")
      yield* start("other", "b2", "a2")
      const error = yield* Effect.flip(enrollments.replaceSecret({
        workspaceId: workspace("w"),
        owner: owner("ann"),
        agentId: agentId("a2"),
        secretHash: new Uint8Array(32)
      }))
      assert.deepStrictEqual(error, new WorkspaceRefused({ workspaceId: workspace("w"), owner: owner("ann") }))
    })
  ),
  StoreKit.definition(
    "starts at once get numbers without a gap, and the agents of one of them are left",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const names = Array.from({ length: 12 }, (_, index) => String(index))
      const builds = yield* Effect.forEach(names, (name) => start("w", `b${name}`, `a${name}`), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        builds.map(({ number }) => number).sort((left, right) => left - right),
        names.map((_, index) => index + 1)
      )
      const attached = yield* Effect.forEach(names, (name) =>
        Effect.result(
          presence.attach({ agentId: agentId(`a${name}`), nodeId: node("n"), incarnation: incarnation("i") })
        ))
      const latest = builds.findIndex(({ number }) => number === names.length)
      assert.deepStrictEqual(
        attached.flatMap((result, index) => result._tag === "Success" ? [index] : []),
        [latest]
      )
    })
  ),
  ...StoreKit.deaths(calls)
]
