/** Chats whose workspaces have a real agent, which can be led to another node; and what is stored of their turns. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { ChatId } from "../../../../../src/domain/Ids.ts"
import { ChatBindings, TurnStore } from "../../../../../src/store/index.ts"
import * as Migrations from "../../../../../src/store/Migrations.ts"
import * as SqlStore from "../../../../../src/store/SqlStore.ts"
import * as h from "../../../../agent/support/harness.ts"
import { cuttable } from "../../../../agent/support/proxy.ts"
import { emptyDatabase } from "../../../../postgres.ts"
import { emptied } from "../../../../tool/program/support/Place.ts"
import { until } from "../../../../tool/program/support/Program.ts"
import { schema } from "./Nodes.ts"
import type { Node } from "./Nodes.ts"

export type Chat = Effect.Success<typeof chat>

/** An empty database with its tables, and the stores over it. */
export const layer = SqlStore.layer({ schema }).pipe(
  Layer.provideMerge(Migrations.layerMigrations({ schema })),
  Layer.provideMerge(emptyDatabase())
)

/** A chat with a workspace, whose agent comes when a test starts it. */
export const chat = Effect.gen(function*() {
  const { token, workspaceId } = yield* h.enroll()
  const chatId = ChatId.make(h.fresh("chat"))
  const { bindWorkspace } = yield* ChatBindings.ChatBindings
  yield* bindWorkspace({ chatId, owner: h.owner, workspaceId })
  return { chatId, token }
})

/** Starts the agent of a chat, which calls this node. It goes with the scope, and all that it started. */
export const agent = Effect.fnUntraced(function*({ token }: Chat, node: Node, env?: Readonly<Record<string, string>>) {
  const proxy = yield* cuttable(node.port)
  const { directory } = yield* h.startProgram(proxy.port, token, env)
  // Before the folder goes.
  yield* Effect.addFinalizer(() => emptied(directory))
  const lines = (name: string): ReadonlyArray<string> => {
    const path = Path.join(directory, name)
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []
  }
  return {
    directory,
    /** What the commands have noted. */
    ledger: () => lines("ledger"),
    /** Waits until they have noted so much. */
    untilNoted: (count: number) => until(`${count} lines are noted`, () => lines("ledger").length >= count),
    /** Its link ends, if it is there still, and the next is to this node. */
    moveTo: ({ port }: Node) => Effect.andThen(proxy.redirect(port), proxy.cut(true))
  }
})

/** The messages of a chat. */
export const history = ({ chatId }: Chat) =>
  Effect.flatMap(
    TurnStore.TurnStore,
    ({ history }) => Effect.map(history({ chatId, owner: h.owner }), (all) => all.map(({ message }) => message))
  )

/** Everything that is stored of the turns of a chat, up to this one. */
export const stored = Effect.fnUntraced(function*({ chatId }: Chat, epoch: number) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    select to_jsonb(t) as row,
      (select jsonb_agg(m order by number) from ${
    sql(`${schema}.turn_messages`)
  } as m where m.chat_id = t.chat_id and m.epoch = t.epoch) as messages,
      (select jsonb_agg(e order by number) from ${
    sql(`${schema}.turn_events`)
  } as e where e.turn_id = t.turn_id) as events
    from ${sql(`${schema}.turns`)} as t where t.chat_id = ${chatId} and t.epoch <= ${epoch}::integer order by t.epoch`
})

/** How many calls are stored among the events of a turn. */
export const calls = Effect.fnUntraced(function*({ chatId }: Chat, epoch: number) {
  const sql = yield* SqlClient.SqlClient
  const found = yield* sql`
    select 1 from ${sql(`${schema}.turn_events`)} as e join ${sql(`${schema}.turns`)} as t on t.turn_id = e.turn_id
    where t.chat_id = ${chatId} and t.epoch = ${epoch}::integer and e.event ->> '_tag' = 'Call'`
  return found.length
})
