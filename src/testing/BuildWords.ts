/**
 * The words of the kits about builds: workspaces, builds and agents under short names.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Binding } from "../domain/Binding.ts"
import type { BuildOutcome } from "../domain/Build.ts"
import { TokenRefused } from "../domain/Errors.ts"
import { TemplateId } from "../domain/Ids.ts"
import { WorkspaceName } from "../domain/Workspace.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { Builds, CreateResult, RequestResult } from "../store/Builds.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { assert } from "./Assertions.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, chat, type enrolled, incarnation, node, owner, workspace } from "./StoreWords.ts"

export const ann = owner("ann")
export const name = (text: string) => WorkspaceName.make(text)
export const template = TemplateId.make("template")
export const lease = Duration.seconds(30)
export const limit = Duration.minutes(15)
export const succeeded: BuildOutcome = { _tag: "Succeeded" }
export const failed = (message = "It did not work."): BuildOutcome => ({
  _tag: "Failed",
  code: "provider_failed",
  message
})

export type CreateOptions = Parameters<Builds["Service"]["createWorkspace"]>[0]

/** Asks for the workspace `w<suffix>` with the build `b<suffix>`. */
export const create = Effect.fnUntraced(
  function*(suffix: string, options?: Partial<CreateOptions> & { readonly repeatable?: boolean | undefined }) {
    const builds = yield* Builds
    const { repeatable, ...others } = options ?? {}
    return yield* builds.createWorkspace({
      owner: ann,
      workspaceId: workspace(`w${suffix}`),
      templateId: template,
      names: [name(`name${suffix}`)],
      build: { buildId: build(`b${suffix}`), parameters: { size: "2" }, repeatable: repeatable ?? false },
      chat: null,
      limit: { count: 3, within: Duration.hours(1) },
      ...others
    })
  }
)

export const created = (
  ...args: Parameters<typeof create>
): Effect.Effect<Extract<CreateResult, { readonly _tag: "Created" }>, unknown, Builds> =>
  Effect.map(create(...args), (result) => {
    assert(CreateResult.$is("Created")(result))
    return result
  })

export const seen = (id: string) => Effect.flatMap(ChatBindings, (bindings) => bindings.get(chat(id)))

/** Asks for a build of the workspace `w<suffix>`. */
export const request = Effect.fnUntraced(function*(
  suffix: string,
  transition: "start" | "stop" | "delete",
  after: number,
  options?: {
    readonly owner?: string
    readonly chat?: Binding
    readonly buildId?: string
    readonly repeatable?: boolean
  }
) {
  const builds = yield* Builds
  return yield* builds.request({
    owner: owner(options?.owner ?? "ann"),
    workspaceId: workspace(`w${suffix}`),
    transition,
    after,
    build: {
      buildId: build(options?.buildId ?? `b${suffix}.${after + 1}`),
      parameters: { size: "3" },
      repeatable: options?.repeatable ?? false
    },
    chat: options?.chat ?? null
  })
})

export const queued = (...args: Parameters<typeof request>) =>
  Effect.map(request(...args), (result) => {
    assert(RequestResult.$is("Queued")(result))
    return result
  })

export const takeSome = (options?: { readonly node?: string; readonly attempts?: number }) =>
  Effect.flatMap(
    Builds,
    (builds) => builds.take({ nodeId: node(options?.node ?? "n"), lease, limit, attempts: options?.attempts ?? 3 })
  )

export const take = (options?: { readonly node?: string; readonly attempts?: number }) =>
  Effect.map(takeSome(options), Option.getOrThrow)

export const finish = Effect.fnUntraced(function*(buildName: string, epoch: number, outcome: BuildOutcome) {
  const builds = yield* Builds
  return yield* builds.finish({ buildId: build(buildName), epoch, outcome })
})

/** Takes the oldest build and ends it. */
export const run = (outcome: BuildOutcome = succeeded) =>
  Effect.flatMap(take(), (taken) => finish(taken.build.buildId, taken.epoch, outcome))

export const prepare = Effect.fnUntraced(function*(
  buildName: string,
  epoch: number,
  ...agents: ReadonlyArray<ReturnType<typeof enrolled>>
) {
  const builds = yield* Builds
  return yield* builds.prepareAgents({ buildId: build(buildName), epoch, agents })
})

export const renew = Effect.fnUntraced(function*(buildName: string, epoch: number) {
  const builds = yield* Builds
  return yield* builds.renew({ buildId: build(buildName), epoch, lease })
})

export const append = Effect.fnUntraced(
  function*(buildName: string, epoch: number, from: number, ...lines: Array<string>) {
    const builds = yield* Builds
    return yield* builds.appendLog({
      buildId: build(buildName),
      epoch,
      lines: lines.map((text, index) => ({ number: from + index, text }))
    })
  }
)

export const release = Effect.fnUntraced(function*(buildName: string, epoch: number) {
  const builds = yield* Builds
  return yield* builds.release({ buildId: build(buildName), epoch })
})

export const cancel = Effect.fnUntraced(function*(suffix: string, as = "ann") {
  const builds = yield* Builds
  return yield* builds.cancel({ owner: owner(as), workspaceId: workspace(`w${suffix}`) })
})

export const recordOf = Effect.fnUntraced(function*(buildName: string) {
  const builds = yield* Builds
  return Option.getOrThrow(yield* builds.get(build(buildName)))
})

export const statusOf = (buildName: string) => Effect.map(recordOf(buildName), ({ build }) => build.status)

export const logOf = Effect.fnUntraced(function*(buildName: string, after = 0) {
  const builds = yield* Builds
  return (yield* builds.log({ buildId: build(buildName), after })).map(({ number, text }) => [number, text])
})

export const latestOf = Effect.fnUntraced(function*(suffix: string) {
  const builds = yield* Builds
  return Option.map(yield* builds.latest(workspace(`w${suffix}`)), ({ build }) => build.buildId)
})

export const verify = Effect.fnUntraced(function*(agent: string, secret: number) {
  const presence = yield* AgentPresence
  const token = { agentId: agentId(agent), secret: Redacted.make(new Uint8Array(32).fill(secret)) }
  return yield* Effect.match(presence.verify(token), {
    onFailure: (error) => Schema.is(TokenRefused)(error) ? error.reason : error._tag,
    onSuccess: () => "valid" as const
  })
})

export const attach = Effect.fnUntraced(function*(agent: string) {
  const presence = yield* AgentPresence
  return yield* presence.attach({ agentId: agentId(agent), nodeId: node("n"), incarnation: incarnation("i") })
})

export const agentOf = Effect.fnUntraced(function*(agent: string) {
  const agents = yield* WorkspaceAgents
  return Option.map(yield* agents.agent(agentId(agent)), ({ agent }) => agent)
})

/** Both sides of a bound: lets pass almost all of it, and then the rest. */
export const aroundBound = Effect.fnUntraced(function*<A, E, R, B, E2, R2>(
  bound: Duration.Duration,
  before: Effect.Effect<A, E, R>,
  at: Effect.Effect<B, E2, R2>
) {
  const clock = yield* StoreClock
  const rest = Duration.max(clock.slack, Duration.millis(1))
  yield* clock.pass(Duration.subtract(bound, rest))
  yield* before
  yield* clock.pass(rest)
  yield* at
})

export const millisBetween = (from: DateTime.Utc | null, to: DateTime.Utc | null): number =>
  from === null || to === null ? Number.NaN : Duration.toMillis(DateTime.distance(from, to))
