/** Sessions without sockets, for rules that need only time. */
import { Deferred, Effect } from "effect"
import type { Client, End } from "../../../src/agent/Link.ts"
import type { Session } from "../../../src/agent/Sessions.ts"
import { AgentId, Incarnation } from "../../../src/domain/Ids.ts"

export const agent = (name: string): AgentId => AgentId.make(name)

/** Says what its link was ended with; `heardAt` can be set. */
export interface FakeSession extends Session {
  readonly ends: ReadonlyArray<End>
  heard: number
}

export const fakeSession = (
  agentId: AgentId,
  options: { readonly epoch: number; readonly incarnation?: string; readonly at?: number }
): FakeSession => {
  const ends: Array<End> = []
  const at = options.at ?? 0
  const session: FakeSession = {
    agentId,
    incarnation: Incarnation.make(options.incarnation ?? "one"),
    epoch: options.epoch,
    features: new Set(),
    tellsLifecycle: false,
    link: {
      // Nothing is sent in these tests.
      client: {} as Client,
      heardAt: () => session.heard,
      end: (end) => {
        ends.push(end)
        session.closeReason ??= end.reason
      },
      ended: Deferred.makeUnsafe(),
      sayEnd: () => Effect.void,
      withRoom: () => (request) => request
    },
    openedAt: at,
    confirmedAt: at,
    closeReason: undefined,
    closed: Deferred.makeUnsafe(),
    ends,
    heard: at
  }
  return session
}
