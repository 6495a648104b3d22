/** The dials and connections of the transport under test, and what must hold of them whoever uses them. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { AgentConnection } from "../../../src/agent/AgentConnection.ts"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"

export interface Dial {
  readonly agentId: AgentId
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
}

/** Whether a dial runs and was not told to end. One may not listen, and Effect has no public word for that. */
const isWanted = ({ fiber }: Dial): boolean =>
  fiber !== undefined && fiber.pollUnsafe() === undefined &&
  !("_interruptedCause" in fiber && fiber._interruptedCause !== undefined)

export class Links {
  private readonly dials = new Set<Dial>()
  /** Connections, with how often they were released. */
  private readonly releases = new Map<AgentConnection, number>()
  private readonly violate: (text: string) => void
  private readonly onRelease: (connection: AgentConnection) => void

  constructor(options: {
    readonly violate: (text: string) => void
    readonly onRelease: (connection: AgentConnection) => void
  }) {
    this.violate = options.violate
    this.onRelease = options.onRelease
  }

  /** Opened and not released. */
  open(agentId: AgentId | null | undefined): ReadonlyArray<AgentConnection> {
    return Array.from(this.releases).flatMap(([connection, releases]) =>
      releases === 0 && connection.agentId === agentId ? [connection] : []
    )
  }

  isReleased(connection: AgentConnection): boolean {
    return this.releases.get(connection) !== 0
  }

  /** Connections whose session has ended. */
  ended(): ReadonlySet<AgentConnection> {
    return new Set(Array.from(this.releases.keys()).filter((connection) => connection.liveness() === "closed"))
  }

  someWanted(): boolean {
    for (const dial of this.dials) {
      if (dial.fiber?.pollUnsafe() !== undefined) this.dials.delete(dial)
      else if (isWanted(dial)) return true
    }
    return false
  }

  /** Between the transport and who dials. */
  readonly layer: Layer.Layer<AgentTransport, never, AgentTransport> = Layer.effect(
    AgentTransport,
    Effect.map(AgentTransport, (transport) => ({
      ...transport,
      dial: (agentId) =>
        Effect.suspend(() => {
          const dial: Dial = { agentId, fiber: Fiber.getCurrent() }
          this.begin(dial)
          return Effect.acquireRelease(Effect.void, () => Effect.sync(() => this.end(dial))).pipe(
            Effect.andThen(transport.dial(agentId)),
            Effect.tap((connection) =>
              Effect.acquireRelease(
                Effect.sync(() => this.releases.set(connection, 0)),
                () => Effect.sync(() => this.release(connection))
              )
            )
          )
        })
    }))
  )

  private begin(dial: Dial): void {
    this.dials.add(dial)
    let wanted = 0
    for (const other of this.dials) if (other.agentId === dial.agentId && isWanted(other)) wanted++
    if (wanted > 1) this.violate("an agent has two wanted dials")
  }

  /** The scope of a dial closes. */
  private end(dial: Dial): void {
    if (dial.fiber?.pollUnsafe() === undefined) this.violate("what a dial acquired was released while the dial ran")
  }

  private release(connection: AgentConnection): void {
    const releases = (this.releases.get(connection) ?? 0) + 1
    this.releases.set(connection, releases)
    if (releases > 1) this.violate("a connection was released twice")
    this.onRelease(connection)
  }
}
