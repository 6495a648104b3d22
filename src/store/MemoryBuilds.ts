/**
 * The queue of builds in memory, over the tables of `MemoryStore`.
 *
 * Builds that other memory layers recorded, or that a test put there by hand, are read and run like any other.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Agent } from "../domain/Agent.ts"
import { Binding, unbound } from "../domain/Binding.ts"
import { Build, BuildRecord, isFinished } from "../domain/Build.ts"
import type { BuildOutcome, Transition } from "../domain/Build.ts"
import { BindingRefused, LeaseLost, TooManyWorkspaces, WorkspaceNameTaken, WorkspaceRefused } from "../domain/Errors.ts"
import type { AgentId, BuildId, OwnerId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import { Workspace } from "../domain/Workspace.ts"
import * as BuildFate from "./BuildFate.ts"
import type { Builds, NewBuild, TakenBuild } from "./Builds.ts"
import * as LogText from "./LogText.ts"
import * as MemoryStore from "./MemoryStore.ts"

/**
 * A build with the row that the queue has of it.
 */
interface Entry {
  readonly build: Build
  readonly row: MemoryStore.BuildRow
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Builds["Service"], never, MemoryStore.MemoryStore> = Effect.gen(function*() {
  const store = yield* MemoryStore.MemoryStore

  const workspaceRow = (workspaceId: WorkspaceId, now: DateTime.Utc): MemoryStore.WorkspaceRow => {
    const row = store.workspaceRows.get(workspaceId) ?? MemoryStore.workspaceRow(now)
    store.workspaceRows.set(workspaceId, row)
    return row
  }

  const workspaceOf = (workspaceId: WorkspaceId, owner: OwnerId, now: DateTime.Utc): Workspace => {
    const { createdAt, name, templateId } = workspaceRow(workspaceId, now)
    return new Workspace({ workspaceId, owner, name, templateId, createdAt })
  }

  /** The workspace, if it is of this owner and there to be built. */
  const owned = (workspaceId: WorkspaceId, owner: OwnerId, now: DateTime.Utc): boolean =>
    store.workspaces.get(workspaceId)?.owner === owner && workspaceRow(workspaceId, now).deletedAt === null

  const entryOf = (build: Build, now: DateTime.Utc): Entry => {
    const row = store.buildRows.get(build.buildId) ?? MemoryStore.buildRow(now)
    store.buildRows.set(build.buildId, row)
    return { build, row }
  }

  /** All builds, oldest first: rows are never moved. */
  const entries = (now: DateTime.Utc): ReadonlyArray<Entry> => {
    const builds = Array.from(store.workspaces.values()).flatMap(({ builds }) => builds)
    const found = new Map(builds.map((build) => [build.buildId, entryOf(build, now)]))
    return Array.from(store.buildRows.keys(), (buildId) => found.get(buildId)).filter((entry) => entry !== undefined)
  }

  const entry = (buildId: BuildId, now: DateTime.Utc): Entry | undefined => {
    for (const { builds } of store.workspaces.values()) {
      const build = builds.find((build) => build.buildId === buildId)
      if (build !== undefined) return entryOf(build, now)
    }
    return undefined
  }

  const put = (build: Build, row: MemoryStore.BuildRow): Entry => {
    const workspace = store.workspaces.get(build.workspaceId)
    if (workspace !== undefined) {
      const builds = workspace.builds.map((other) => other.buildId === build.buildId ? build : other)
      store.workspaces.set(build.workspaceId, { ...workspace, builds })
    }
    store.buildRows.set(build.buildId, row)
    return { build, row }
  }

  const append = (
    workspaceId: WorkspaceId,
    owner: OwnerId,
    transition: Transition,
    templateId: TemplateId | null,
    { buildId, parameters, repeatable }: NewBuild,
    now: DateTime.Utc
  ): Build => {
    const builds = store.workspaces.get(workspaceId)?.builds ?? []
    const number = (builds.at(-1)?.number ?? 0) + 1
    const build = new Build({ buildId, workspaceId, number, transition, status: "pending", logTail: null })
    store.workspaces.set(workspaceId, { owner, builds: [...builds, build] })
    store.buildRows.set(buildId, MemoryStore.buildRow(now, { templateId, parameters, repeatable }))
    return build
  }

  const end = ({ build, row }: Entry, outcome: BuildOutcome, now: DateTime.Utc): Build => {
    const failure = outcome._tag === "Failed"
      ? { code: outcome.code, message: LogText.storable(outcome.message) }
      : null
    const logTail = failure === null
      ? null
      : LogText.tail((store.logs.get(build.buildId) ?? []).map(({ text }) => text))
    const status = ended[outcome._tag]
    const { transition, workspaceId } = build
    if (status === "succeeded" && transition === "start") {
      for (const { agentId } of store.agentsOf(build.buildId)) setAgent(agentId, { startedAt: now })
    }
    if (status === "succeeded" && transition === "delete") {
      store.workspaceRows.set(workspaceId, { ...workspaceRow(workspaceId, now), deletedAt: now })
    }
    return put(new Build({ ...build, status, logTail }), { ...row, failure, finishedAt: now }).build
  }

  const setAgent = (agentId: AgentId, fields: Partial<Agent>): void => {
    const row = store.agents.get(agentId)
    if (row !== undefined) store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, ...fields }) })
  }

  const bind = (seen: Binding, owner: OwnerId, workspaceId: WorkspaceId, buildId: BuildId): Binding => {
    const generation = (store.chats.get(seen.chatId)?.binding.generation ?? 0) + 1
    const binding = new Binding({ chatId: seen.chatId, workspaceId, buildId, agentId: null, generation })
    store.chats.set(seen.chatId, { owner, binding })
    return binding
  }

  /** The build, if the runner of this epoch still has it. */
  const held = (buildId: BuildId, epoch: number, now: DateTime.Utc): Entry | undefined => {
    const found = entry(buildId, now)
    return found?.build.status === "running" && found.row.epoch === epoch ? found : undefined
  }

  const record = ({ build, row }: Entry, asOf: DateTime.Utc): BuildRecord => {
    const pending = entries(asOf).filter((other) => other.build.status === "pending")
    // None while it is not pending itself.
    const ahead = Math.max(0, pending.findIndex((other) => other.build.buildId === build.buildId))
    return new BuildRecord({ ...row, build, ahead, asOf })
  }

  return {
    createWorkspace: ({ build, chat, limit, names, owner, templateId, workspaceId }) =>
      Effect.flatMap(
        DateTime.now,
        Effect.fnUntraced(function*(now) {
          if (chat !== null) {
            const { chatId } = chat
            const row = store.chats.get(chatId)
            if (row !== undefined && row.owner !== owner) {
              return yield* new BindingRefused({ chatId, workspaceId: null })
            }
            const binding = row?.binding ?? unbound(chatId)
            if (binding.generation !== chat.generation) return { _tag: "Superseded", binding }
            const since = DateTime.subtractDuration(now, limit.within)
            const made = Array.from(store.workspaceRows.values()).filter((row) =>
              row.chatId === chatId && DateTime.isGreaterThan(row.createdAt, since)
            )
            if (made.length >= limit.count) {
              return yield* new TooManyWorkspaces({ limit: limit.count, within: limit.within })
            }
          }
          const taken = new Set(
            Array.from(store.workspaces).filter(([, other]) => other.owner === owner)
              .map(([id]) => workspaceRow(id, now)).filter((row) => row.deletedAt === null)
              .map((row) => row.name?.toLowerCase())
          )
          const name = names.find((name) => !taken.has(name.toLowerCase()))
          if (name === undefined) return yield* new WorkspaceNameTaken({ name: names[0] })
          const chatId = chat?.chatId ?? null
          store.workspaceRows.set(workspaceId, MemoryStore.workspaceRow(now, { name, templateId, chatId }))
          return {
            _tag: "Created",
            build: append(workspaceId, owner, "start", templateId, build, now),
            workspace: workspaceOf(workspaceId, owner, now),
            binding: chat === null ? null : bind(chat, owner, workspaceId, build.buildId)
          }
        })
      ),
    request: ({ after, build, chat, owner, transition, workspaceId }) =>
      Effect.flatMap(
        DateTime.now,
        Effect.fnUntraced(function*(now) {
          const row = chat === null ? undefined : store.chats.get(chat.chatId)
          if (chat !== null && (row?.owner !== owner || row.binding.workspaceId !== workspaceId)) {
            return { _tag: "Superseded" }
          }
          if (!owned(workspaceId, owner, now)) return yield* new WorkspaceRefused({ workspaceId, owner })
          const latest = store.latestBuild(workspaceId)
          if ((latest?.number ?? 0) !== after || latest !== undefined && !isFinished(latest)) {
            return { _tag: "Superseded" }
          }
          const { templateId } = workspaceRow(workspaceId, now)
          return {
            _tag: "Queued",
            build: append(workspaceId, owner, transition, templateId, build, now),
            binding: chat === null ? null : bind(chat, owner, workspaceId, build.buildId)
          }
        })
      ),
    cancel: ({ owner, workspaceId }) =>
      Effect.flatMap(DateTime.now, (now) => {
        if (!owned(workspaceId, owner, now)) return new WorkspaceRefused({ workspaceId, owner })
        const latest = store.latestBuild(workspaceId)
        if (latest === undefined || isFinished(latest)) return Effect.succeedNone
        const found = entryOf(latest, now)
        return Effect.succeedSome(
          isHeld(found, now)
            ? put(latest, { ...found.row, cancelRequested: true }).build
            : end(found, { _tag: "Canceled" }, now)
        )
      }),

    take: ({ attempts, lease, limit, nodeId }) =>
      Effect.map(DateTime.now, (now): Option.Option<TakenBuild> => {
        for (const found of entries(now)) {
          const fate = fateOf(found, now, limit, attempts)
          if (fate !== null) end(found, BuildFate.outcomeOf(fate), now)
        }
        const next = entries(now).find((found) => !isFinished(found.build) && !isHeld(found, now))
        const workspace = next === undefined ? undefined : store.workspaces.get(next.build.workspaceId)
        if (next === undefined || workspace === undefined) return Option.none()
        const { build, row } = put(new Build({ ...next.build, status: "running" }), {
          ...next.row,
          attempt: next.row.attempt + 1,
          epoch: next.row.epoch + 1,
          nodeId,
          startedAt: next.row.startedAt ?? now,
          leaseUntil: DateTime.addDuration(now, lease)
        })
        return Option.some({
          build,
          workspace: workspaceOf(build.workspaceId, workspace.owner, now),
          parameters: row.parameters,
          epoch: row.epoch,
          attempt: row.attempt,
          remaining: Duration.subtract(limit, DateTime.distance(row.createdAt, now))
        })
      }),
    renew: ({ buildId, epoch, lease }) =>
      Effect.map(DateTime.now, (now) => {
        const found = held(buildId, epoch, now)
        if (found === undefined) return "lost"
        put(found.build, { ...found.row, leaseUntil: DateTime.addDuration(now, lease) })
        return found.row.cancelRequested ? "canceling" : "held"
      }),
    prepareAgents: ({ agents, buildId, epoch }) =>
      Effect.flatMap(DateTime.now, (now) => {
        const found = held(buildId, epoch, now)
        if (found === undefined) return new LeaseLost({ buildId })
        const before = new Map(store.agentsOf(buildId).map(({ agentId, name }) => [name, agentId]))
        const kept = new Map(agents.map(({ agentId, name }) => [agentId, before.get(name) ?? agentId]))
        const wanted = new Set(kept.values())
        for (const agentId of before.values()) if (!wanted.has(agentId)) store.agents.delete(agentId)
        for (const { secretHash, ...agent } of agents) {
          const agentId = kept.get(agent.agentId) ?? agent.agentId
          const epoch = store.agents.get(agentId)?.epoch
          store.agents.set(agentId, {
            agent: new Agent({
              ...agent,
              agentId,
              parentId: agent.parentId === null ? null : kept.get(agent.parentId) ?? agent.parentId,
              workspaceId: found.build.workspaceId,
              buildId,
              lifecycle: "created",
              startedAt: null,
              firstConnectedAt: null,
              lastConnectedAt: null,
              disconnectedAt: null
            }),
            secretHash,
            // The sessions of the runner before are fenced off.
            epoch: epoch === undefined ? 0 : epoch + 1,
            nodeId: null,
            incarnation: null,
            heardAt: 0
          })
        }
        return Effect.succeed(new Map(agents.map(({ agentId, name }) => [name, kept.get(agentId) ?? agentId])))
      }),
    appendLog: ({ buildId, epoch, lines }) =>
      Effect.flatMap(DateTime.now, (now) => {
        if (held(buildId, epoch, now) === undefined) return new LeaseLost({ buildId })
        const log = new Map((store.logs.get(buildId) ?? []).map((line) => [line.number, line]))
        for (const { number, text } of lines) {
          if (!log.has(number)) log.set(number, { number, at: now, text: LogText.storable(text) })
        }
        store.logs.set(buildId, Array.from(log.values()).sort((left, right) => left.number - right.number))
        return Effect.void
      }),
    lastLine: (buildId) => Effect.sync(() => store.logs.get(buildId)?.at(-1)?.number ?? 0),
    finish: ({ buildId, epoch, outcome }) =>
      Effect.flatMap(DateTime.now, (now) => {
        const found = held(buildId, epoch, now)
        return found === undefined ? new LeaseLost({ buildId }) : Effect.succeed(end(found, outcome, now))
      }),
    release: ({ buildId, epoch }) =>
      Effect.map(DateTime.now, (now) => {
        const found = held(buildId, epoch, now)
        if (found === undefined) return
        const { cancelRequested, repeatable } = found.row
        if (cancelRequested || !repeatable) {
          end(found, BuildFate.outcomeOf(cancelRequested ? "canceled" : "runner_lost"), now)
        } else put(found.build, { ...found.row, epoch: epoch + 1, leaseUntil: now })
      }),

    get: (buildId) =>
      Effect.map(
        DateTime.now,
        (now) => Option.map(Option.fromUndefinedOr(entry(buildId, now)), (found) => record(found, now))
      ),
    latest: (workspaceId) =>
      Effect.map(DateTime.now, (now) =>
        Option.map(
          Option.fromUndefinedOr(store.latestBuild(workspaceId)),
          (build) => record(entryOf(build, now), now)
        )),
    log: ({ after, buildId }) =>
      Effect.sync(() => (store.logs.get(buildId) ?? []).filter(({ number }) => number > after).slice(0, 1000)),
    workspace: (workspaceId) =>
      Effect.map(DateTime.now, (now) =>
        Option.map(
          Option.fromUndefinedOr(store.workspaces.get(workspaceId)),
          ({ owner }) => workspaceOf(workspaceId, owner, now)
        )),
    workspaces: (owner) =>
      Effect.map(DateTime.now, (now) =>
        Array.from(store.workspaces).filter(([id]) => owned(id, owner, now))
          .map(([id, { builds }]) => {
            const latest = builds.at(-1)
            return {
              workspace: workspaceOf(id, owner, now),
              latest: latest === undefined ? null : record(entryOf(latest, now), now)
            }
          })
          .sort((left, right) => DateTime.Order(left.workspace.createdAt, right.workspace.createdAt)))
  }
})

const ended = { Succeeded: "succeeded", Failed: "failed", Canceled: "canceled" } as const

/** A lease that ends now has ended. */
const isHeld = ({ row }: Entry, now: DateTime.Utc): boolean =>
  row.leaseUntil !== null && DateTime.isGreaterThan(row.leaseUntil, now)

const fateOf = (
  found: Entry,
  now: DateTime.Utc,
  limit: Duration.Duration,
  attempts: number
): BuildFate.BuildFate | null => {
  const { build, row } = found
  if (isFinished(build) || isHeld(found, now)) return null
  if (row.leaseUntil !== null && row.cancelRequested) return "canceled"
  if (row.leaseUntil !== null && (!row.repeatable || row.attempt >= attempts)) return "runner_lost"
  return DateTime.isGreaterThan(DateTime.addDuration(row.createdAt, limit), now) ? null : "timed_out"
}
