import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Logger, Option, Redacted, Schedule, Scope } from "effect"
import { isFinished } from "../../src/domain/Build.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { BuildId, NodeId, WorkspaceId } from "../../src/domain/Ids.ts"
import { WorkspaceName } from "../../src/domain/Workspace.ts"
import * as BuildRunner from "../../src/provisioner/BuildRunner.ts"
import { Providers } from "../../src/provisioner/Provider.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import { Builds } from "../../src/store/Builds.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as Templates from "../../src/store/Templates.ts"
import * as ScriptedProvider from "../../src/testing/ScriptedProvider.ts"
import { emptyDatabase } from "../postgres.ts"
import { owner, template } from "./support/runners.ts"

let schemas = 0

/** A schema of its own in the database of the block, and a provider by script. */
const world = Layer.unwrap(Effect.sync(() => {
  const schema = `runners_${++schemas}`
  return Layer.mergeAll(
    Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema })),
    ScriptedProvider.layer,
    Logger.layer([])
  )
}))

/** Asks for a workspace, and so for its first build. */
const create = Effect.fnUntraced(function*(name: string, repeatable = true) {
  const builds = yield* Builds
  const result = yield* builds.createWorkspace({
    owner,
    workspaceId: WorkspaceId.make(name),
    templateId: template().templateId,
    names: [WorkspaceName.make(name)],
    build: { buildId: BuildId.make(`${name}/1`), parameters: {}, repeatable },
    chat: null,
    limit: { count: 1, within: Duration.zero }
  })
  assert(result._tag === "Created")
  return result.build.buildId
})

/** Waits for the end of a build, by looking. */
const ended = Effect.fnUntraced(function*(buildId: BuildId) {
  const builds = yield* Builds
  return yield* Effect.map(builds.get(buildId), Option.getOrThrow).pipe(
    Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: ({ build }) => isFinished(build) }),
    Effect.timeout("20 seconds")
  )
})

/** A node whose runner is killed by `kill`: from then on it writes nothing. */
const node = Effect.fnUntraced(function*(name: string, config?: ProvisionerConfig.Options) {
  const builds = yield* Builds
  const providers = yield* Providers
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  let dead = false
  const alive = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | StoreError> =>
      dead ? Effect.fail(new StoreError({ operation: "dead" })) : effect
    )
  yield* Layer.buildWithMemoMap(
    BuildRunner.layer({ gatewayUrl: "ws://gateway", nodeId: NodeId.make(name) }).pipe(
      Layer.provide([
        Signals.layer,
        Templates.layerMemory([template()]),
        Layer.succeed(Providers, providers),
        Layer.succeed(
          Builds,
          Builds.of({
            ...builds,
            take: (options) => alive(builds.take(options)),
            renew: (options) => alive(builds.renew(options)),
            appendLog: (options) => alive(builds.appendLog(options)),
            finish: (options) => alive(builds.finish(options)),
            release: (options) => alive(builds.release(options))
          })
        )
      ]),
      Layer.provide(ProvisionerConfig.layer({ poll: "100 millis", ...config }))
    ),
    Layer.makeMemoMapUnsafe(),
    scope
  )
  return {
    close: Scope.close(scope, Exit.void),
    kill: Effect.suspend(() => {
      dead = true
      return Scope.close(scope, Exit.void)
    })
  }
})

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("runners on one database", (it) => {
  it.effect("each of 50 builds runs once, on either", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedProvider.ScriptedProvider
      yield* script.print(["made"])
      yield* script.takes("50 millis")
      const ids = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => `w${index}`),
        (name) => create(name, false),
        { concurrency: 4 }
      )
      yield* node("a")
      yield* node("b")
      const records = yield* Effect.forEach(ids, ended)
      assert.deepStrictEqual(Array.from(new Set(records.map(({ build }) => build.status))), ["succeeded"])
      assert.deepStrictEqual(Array.from(new Set(records.map(({ attempt }) => attempt))), [1])
      assert.deepInclude(script.counts(), { calls: 50, finished: 50 })
    }).pipe(Effect.provide(world)), 60_000)

  it.effect(
    "a build whose runner is killed is finished by the other, and its log goes on",
    () =>
      Effect.gen(function*() {
        const script = yield* ScriptedProvider.ScriptedProvider
        const builds = yield* Builds
        yield* script.hang()
        yield* script.print(["once"])
        const buildId = yield* create("w")
        const { kill } = yield* node("a", { lease: "5 seconds" })
        yield* script.untilCalled(1)
        yield* builds.log({ buildId, after: 0 }).pipe(
          Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: (lines) => lines.length === 1 }),
          Effect.timeout("10 seconds")
        )
        yield* kill
        yield* script.succeed()
        yield* script.onStart(({ agents, log }) =>
          Effect.forEach(agents, ({ token }) => log(`again with ${Redacted.value(token)}`), { discard: true })
        )
        yield* node("b")
        const { attempt, build } = yield* ended(buildId)
        assert.deepStrictEqual([build.status, attempt], ["succeeded", 2])
        const lines = yield* builds.log({ buildId, after: 0 })
        assert.deepStrictEqual(lines.map(({ number, text }) => [number, text]), [
          [1, "once"],
          [2, "once"],
          [3, "again with ***"]
        ])
      }).pipe(Effect.provide(world)),
    60_000
  )

  it.effect("one that may not be run again has failed, and its provider was called once", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedProvider.ScriptedProvider
      yield* script.hang()
      const buildId = yield* create("w", false)
      const { kill } = yield* node("a", { lease: "5 seconds" })
      yield* script.untilCalled(1)
      yield* kill
      yield* script.succeed()
      yield* node("b")
      assert.strictEqual((yield* ended(buildId)).failure?.code, "runner_lost")
      assert.strictEqual(script.counts().calls, 1)
    }).pipe(Effect.provide(world)), 60_000)

  it.effect("a node that ends in order hands its builds over at once", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedProvider.ScriptedProvider
      yield* script.hang()
      const buildId = yield* create("w")
      // With one place it does not look for more: a look that is under way would take back what it gives.
      const first = yield* node("a", { concurrency: 1 })
      yield* script.untilCalled(1)
      yield* first.close
      yield* script.succeed()
      yield* node("b")
      const { attempt, build } = yield* ended(buildId)
      assert.deepStrictEqual([build.status, attempt], ["succeeded", 2])
    }).pipe(Effect.provide(world)), 60_000)

  it.effect("a canceled build is interrupted where it runs", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedProvider.ScriptedProvider
      const builds = yield* Builds
      yield* script.hang()
      const buildId = yield* create("w")
      yield* node("a", { renew: "200 millis" })
      yield* script.untilCalled(1)
      yield* builds.cancel({ owner, workspaceId: WorkspaceId.make("w") })
      assert.strictEqual((yield* ended(buildId)).build.status, "canceled")
      assert.deepInclude(script.counts(), { running: 0, interrupted: 1 })
    }).pipe(Effect.provide(world)), 60_000)
})
