/**
 * Runs a schedule against real nodes (gateway, connecting, turns) over one memory store, and watches what must hold in
 * every schedule: after each step what `Rows`, `Callers` and `Ledger` look for, and at the end, when all that was broken
 * works again, that the world comes to rest and every chat is served, or told the truth.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import { currentAgent } from "../../../src/domain/AgentSelection.ts"
import { statusAt } from "../../../src/domain/AgentStatus.ts"
import type { ConnectError, ProcessError } from "../../../src/domain/Errors.ts"
import type { ChatId } from "../../../src/domain/Ids.ts"
import type { Outcome, Schedule } from "../Schedule.ts"
import { gaveUp } from "./Callers.ts"
import type { Call } from "./Callers.ts"
import type { Node } from "./Node.ts"
import type { Step } from "./Schedule.ts"
import { World } from "./World.ts"

/**
 * In milliseconds: what every chat works after, once nothing is broken any more (calls of before have ended, links that
 * lost everything are found out, lost turns are swept); a call; the end of a node.
 */
const bounds = { rest: 80_000, call: 45_000, close: 20_000, stubborn: 60_000 }

class Ending {
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  run(): void {
    const { world } = this
    world.settle()
    world.heal()
    world.advance(bounds.rest)
    if (world.violation !== undefined) return
    this.checkRest()
    const probes = world.chats.flatMap((chatId) =>
      world.nodes.map((node) => world.callers.call(node, chatId, { waits: 0, takes: 0, within: 5_000, anew: true }))
    )
    world.advanceUntil(bounds.call, () => probes.every(({ exit }) => exit !== undefined))
    for (const probe of probes) this.checkAnswer(probe)
    this.close()
  }

  /** Who is alive is linked to one node, and known to be there; nothing runs that nobody wants. */
  private checkRest(): void {
    const { world } = this
    const owned = new Set(world.nodes.flatMap(({ turns }) => turns))
    for (const turnId of world.rows.running()) if (!owned.has(turnId)) world.violate("a turn runs on no node")
    for (const [agentId, program] of world.programs) {
      const lenders = world.nodes.filter((node) => presence(node, agentId) === "live")
      const row = world.database.store.agents.get(agentId)
      const valid = row !== undefined && world.database.store.isValid(row.agent)
      if (!valid || !program.alive) {
        if (lenders.length > 0) world.violate("a session is lent whose agent was revoked, or is gone")
        continue
      }
      if (program.revoked) continue
      if (lenders.length > 1) world.violate("two nodes lend a session of one agent")
      if (lenders.length === 0) world.violate("an agent is alive and no node lends its session")
      const { status } = statusAt(row.agent, DateTime.makeUnsafe(world.now), Duration.seconds(30))
      if (status !== "connected") world.violate(`a living agent is called ${status}`)
    }
    for (const call of world.callers.all) {
      const { node, operation } = call
      if (!gaveUp(call) || node.machine.gone) continue
      for (const { cloned, linked, running } of world.programs.values()) {
        // A node pays what it owes when that incarnation comes back to it: through another node it cannot.
        if (!cloned && linked === node && running.includes(operation)) {
          world.violate("a command runs on although its caller left")
        }
      }
    }
  }

  private checkAnswer({ chatId, exit, node }: Call): void {
    const { world } = this
    if (exit === undefined) return world.violate("a call at the end did not end")
    const wrong = whatIsWrong(world, node, chatId, exit)
    if (wrong !== undefined) world.violate(wrong)
  }

  private close(): void {
    const { world } = this
    for (const node of world.nodes) node.close(world.now)
    world.advance(bounds.close)
    for (const node of world.nodes) if (!node.hasClosed) world.violate("a node did not end in its time")
    if (world.rows.running().length > 0) world.violate("a node that ended left a turn running")
    world.advance(bounds.stubborn)
    for (const { machine } of world.nodes) {
      if (machine.fibers > 0) world.violate(`${machine.fibers} fibers are left on a node that ended`)
      if (machine.timers.length > 0) world.violate(`${machine.timers.length} timers are left on a node that ended`)
    }
  }
}

const presence = (node: Node, agentId: Parameters<AgentTransport["Service"]["presence"]>[0]) =>
  node.services === undefined ? "absent" : Context.get(node.services, AgentTransport).presence(agentId)

/** In a world at rest there is one right answer to each chat. */
const whatIsWrong = (
  world: World,
  node: Node,
  chatId: ChatId,
  exit: Exit.Exit<unknown, ConnectError | ProcessError>
): string | undefined => {
  const { store } = world.database
  const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  const said = error?._tag ?? "nothing wrong"
  const workspaceId = store.chats.get(chatId)?.binding.workspaceId ?? null
  if (workspaceId === null) return said === "NoWorkspace" ? undefined : `a chat without a workspace was told ${said}`
  const build = store.latestBuild(workspaceId)
  const now = DateTime.makeUnsafe(world.now)
  const truth = currentAgent(
    workspaceId,
    build === undefined
      ? Option.none()
      : Option.some({ build, agents: store.agentsOf(build.buildId), asOf: now, coveredSince: now })
  )
  if (Result.isFailure(truth)) {
    // A workspace that is about to end serves those that are connected, to its end.
    const bound = store.chats.get(chatId)?.binding.agentId ?? null
    const row = bound === null ? undefined : store.agents.get(bound)
    if (error === undefined && row !== undefined && store.isValid(row.agent)) return undefined
    const right = truth.failure
    const same = said === right._tag &&
      (error?._tag !== "NoWorkspaceAgent" || right._tag === "NoWorkspaceAgent" && error.reason === right.reason)
    return same ? undefined : `a chat whose workspace gives ${right._tag} was told ${said}`
  }
  const { agentId } = truth.success
  const program = world.programs.get(agentId)
  if (program?.alive !== true || program.revoked) {
    const right = error?._tag === "AgentDisconnected" || error?._tag === "DialTimeout"
    return right ? undefined : `a chat whose agent is gone was told ${said}`
  }
  if (program.linked === node) return error === undefined ? undefined : `a chat whose agent is here was told ${said}`
  const right = error?._tag === "DialFailed" && error.reason === "sessionOnOtherNode"
  return right ? undefined : `a chat whose agent is on another node was told ${said}`
}

export const run = (schedule: Schedule<Step>): Outcome => {
  const world = new World(schedule.seed)
  for (const action of schedule.actions) {
    world.perform(action)
    if (action.settle) world.settle()
    if (world.violation !== undefined) break
  }
  if (world.violation === undefined) new Ending(world).run()
  return {
    violation: world.violation,
    calls: world.callers.all.length,
    connected: world.callers.all.filter(({ exit }) => exit !== undefined && Exit.isSuccess(exit)).length
  }
}
