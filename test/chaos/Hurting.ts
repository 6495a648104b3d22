/** Does what a fault says to the part that it names, and makes it good again. */
import { Effect, Schedule, type Semaphore } from "effect"
import type { NodeId } from "../../src/domain/Ids.ts"
import type { PostgresServer } from "../../src/testing/PostgresServer.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"
import type * as NatsServer from "../cluster/support/server.ts"
import type { Backend } from "./Backends.ts"
import * as Bounds from "./Bounds.ts"
import type { Built, Gate } from "./Built.ts"
import type * as Child from "./Child.ts"
import type { Fault, Part } from "./Faults.ts"
import type { Outages } from "./Outages.ts"
import type * as Proxy from "./Proxy.ts"
import type { User } from "./Users.ts"
import type { Workspace } from "./Workspaces.ts"

export interface World {
  readonly database: PostgresServer["Service"]
  readonly backends: ReadonlyArray<Backend>
  readonly workspaces: ReadonlyArray<Workspace>
  readonly built: ReadonlyArray<Built>
  readonly gate: Gate
  /** Some come while the world is made. */
  readonly users: Array<User>
  /** The nodes that run builds now. */
  readonly runners: Effect.Effect<ReadonlyArray<NodeId>>
  readonly outages: Outages
  /** A part that is not whole yet is hurt when it is: starting a program takes what it takes. */
  readonly lockOf: (part: Part, index: number) => Semaphore.Semaphore
  /** Hears of a process that did not end when it was asked to. */
  readonly violate: (text: string) => void
  readonly nats: Effect.Success<ReturnType<typeof NatsServer.start>> | undefined
}

/** Returns when the part is whole again, and whatever there is to say of it; how it fares then is for the callers to see. */
export const inflict = Effect.fnUntraced(function*(world: World, fault: Fault) {
  if (fault.part !== "runner") return yield* one(world, fault)
  const index = yield* runner(world)
  if (index === undefined) return "nobody built"
  const over = world.outages.begin("runner", index)
  yield* Effect.ensuring(one(world, { ...fault, part: "backend", index }), Effect.sync(over))
  return `it was backend ${index + 1}`
})

const one = (world: World, fault: Fault): Effect.Effect<string | undefined> =>
  Effect.suspend(() => {
    const over = world.outages.begin(fault.part, fault.index)
    return Effect.ensuring(act(world, fault), Effect.sync(over))
  }).pipe(world.lockOf(fault.part, fault.index).withPermit, Effect.as(undefined))

/** Waits a while for a build, since one is asked for every few seconds. */
const runner = (world: World): Effect.Effect<number | undefined> =>
  world.runners.pipe(
    Effect.map((nodes) => world.backends.findIndex(({ nodeId }) => nodes.some((node) => node === nodeId()))),
    Effect.repeat({ until: (index) => index >= 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeoutOption("6 seconds"),
    Effect.map((found) => found._tag === "Some" ? found.value : undefined)
  )

const act = (world: World, fault: Fault): Effect.Effect<void> => {
  const { hurt, index, millis, part } = fault
  const until = Effect.sleep(millis)
  const backend = world.backends[index]
  const workspace = world.workspaces[index]
  switch (part) {
    case "runner":
      return Effect.void
    case "builtAgent": {
      const pid = world.built[index]?.agent()
      return pid === undefined ? Effect.void : hurtBuilt(pid, fault)
    }
    case "gate":
      return hurtLink(world.gate.link, fault, world.gate.move)
    case "userLink": {
      const user = world.users[index]
      return user === undefined ? Effect.void : hurtLink(user.link, fault)
    }
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
      for (const { home, move } of [...world.workspaces, world.gate]) if (home() === backend) move()
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

/** Nobody starts it again: that is for the chat to do, which has its workspace built. */
const hurtBuilt = (pid: number, { hurt, millis }: Fault): Effect.Effect<void> => {
  const signal = (name: NodeJS.Signals): Effect.Effect<void> => Effect.sync(() => void ProcessFamily.send(pid, name))
  return hurt === "frozen"
    ? Effect.andThen(signal("SIGSTOP"), Effect.ensuring(Effect.sleep(millis), signal("SIGCONT")))
    : signal("SIGKILL")
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
