/** Does what a fault says to the part that it names, and makes it good again. */
import { Effect, Schedule } from "effect"
import type { PostgresServer } from "../../src/testing/PostgresServer.ts"
import type * as NatsServer from "../cluster/support/server.ts"
import type { Backend } from "./Backends.ts"
import * as Bounds from "./Bounds.ts"
import type * as Child from "./Child.ts"
import type { Fault } from "./Faults.ts"
import type * as Proxy from "./Proxy.ts"
import type { Workspace } from "./Workspaces.ts"

export interface World {
  readonly database: PostgresServer["Service"]
  readonly backends: ReadonlyArray<Backend>
  readonly workspaces: ReadonlyArray<Workspace>
  /** Hears of a process that did not end when it was asked to. */
  readonly violate: (text: string) => void
  readonly nats: Effect.Success<ReturnType<typeof NatsServer.start>> | undefined
}

/** Returns when the part is whole again; how it fares then is for the callers to see. */
export const inflict = (world: World, fault: Fault): Effect.Effect<void> => {
  const { hurt, index, millis, part } = fault
  const until = Effect.sleep(millis)
  const backend = world.backends[index]
  const workspace = world.workspaces[index]
  switch (part) {
    case "backend":
      return backend === undefined ? Effect.void : hurtBackend(world, backend, fault)
    case "agent":
      if (workspace === undefined) return Effect.void
      return hurt === "rebuilt" ? workspace.rebuild(millis) : hurtProcess(world, workspace.child, fault)
    case "link":
      return workspace === undefined ? Effect.void : hurtLink(workspace.link, fault, workspace.move)
    case "databaseLink":
      return backend === undefined ? Effect.void : hurtLink(backend.database, fault)
    case "database": {
      const { kill, pause, restart, resume, stop } = world.database
      const up = Effect.orDie(restart)
      return hurt === "frozen"
        ? Effect.andThen(pause, Effect.ensuring(until, resume))
        : (hurt === "killed" ? kill : stop).pipe(Effect.andThen(until), Effect.andThen(up))
    }
    case "nats": {
      if (world.nats === undefined) return Effect.void
      const { restart, signal, stop } = world.nats
      return hurt === "frozen"
        ? Effect.andThen(signal("SIGSTOP"), Effect.ensuring(until, signal("SIGCONT")))
        : stop.pipe(Effect.andThen(until), Effect.andThen(restart))
    }
  }
}

/** Agents of a node that is gone either wait for it or are led to the next, as a balancer would. */
const hurtBackend = (world: World, backend: Backend, fault: Fault): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (fault.way && fault.hurt === "killed") {
      for (const { home, move } of world.workspaces) if (home() === backend) move()
    }
    return hurtProcess(world, backend.child, fault)
  })

const hurtProcess = (world: World, child: Child.Child, { hurt, millis }: Fault): Effect.Effect<void> => {
  const until = Effect.sleep(millis)
  switch (hurt) {
    case "frozen":
      return Effect.andThen(child.freeze, Effect.ensuring(until, child.thaw))
    case "restarted":
      return Effect.andThen(endInOrder(world, child), child.start)
    default:
      return child.kill.pipe(Effect.andThen(until), Effect.andThen(child.start))
  }
}

const hurtLink = (link: Proxy.Proxy, { hurt, millis, way }: Fault, move?: () => void): Effect.Effect<void> => {
  const during = (on: () => void, off: () => void): Effect.Effect<void> =>
    Effect.andThen(Effect.sync(on), Effect.ensuring(Effect.sleep(millis), Effect.sync(off)))
  switch (hurt) {
    case "flapping":
      // Often enough that some calls are cut off between what was sent and what was acknowledged.
      return Effect.sync(() => link.cut(way)).pipe(
        Effect.repeat(Schedule.spaced("700 millis")),
        Effect.timeoutOption(millis),
        Effect.asVoid
      )
    case "refused":
      return during(() => {
        link.refuse(true)
        link.cut(way)
      }, () => link.refuse(false))
    case "delayed":
      return during(() => link.delay(way ? 50 : 400), () => link.delay(0))
    case "silent":
      return during(() => link.silence(true), () => link.silence(false))
    case "halfOpen":
      return Effect.sync(link.halfOpen)
    case "moved":
      return Effect.sync(() => {
        move?.()
        link.cut(way)
      })
    default:
      return Effect.sync(() => link.cut(way))
  }
}

/** Asks a process to end, which it must do within a bound. */
export const endInOrder = ({ violate }: World, child: Child.Child): Effect.Effect<void> =>
  Effect.map(child.stop(Bounds.stop * 1000), (ended) => {
    if (!ended) violate(`${child.name} did not end within ${Bounds.stop} s when it was asked to`)
  })
