/** What is stored of the builds when all is over: one workspace for each chat, builds that ended, logs that are whole. */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { NodeId, WorkspaceId } from "../../src/domain/Ids.ts"
import { ChatBindings, WorkspaceAgents } from "../../src/store/index.ts"
import { schema } from "./Backends.ts"
import type { Book } from "./Book.ts"
import type { Built } from "./Built.ts"
import * as Leftovers from "./Leftovers.ts"
import * as SlowProvider from "./SlowProvider.ts"

const Row = Schema.Struct({
  buildId: Schema.String,
  number: Schema.Int,
  transition: Schema.String,
  status: Schema.String,
  failure: Schema.NullOr(Schema.String),
  attempt: Schema.Int,
  lines: Schema.Array(Schema.String)
})

type Row = typeof Row.Type

/** The nodes that run builds now. */
export const runners = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql`select distinct node_id from ${sql(`${schema}.builds`)} where status = 'running'`
  return (yield* decodeNodes(rows)).flatMap(({ node_id }) => node_id === null ? [] : [node_id])
})

/** Reads everything, and says what is wrong. */
export const judge = Effect.fnUntraced(function*(book: Book, all: ReadonlyArray<Built>) {
  const sql = yield* SqlClient.SqlClient
  const bindings = yield* ChatBindings.ChatBindings
  const { latestBuild } = yield* WorkspaceAgents.WorkspaceAgents
  for (const built of all) {
    const { chatId } = built
    const workspaces = yield* sql`
      select workspace_id from ${sql(`${schema}.workspaces`)} where chat_id = ${chatId}`.pipe(
      Effect.flatMap(decodeWorkspaces)
    )
    const [only] = workspaces
    if (only === undefined || workspaces.length > 1 || only.workspace_id !== built.workspaceId()) {
      book.violate(`${chatId} has ${workspaces.length} workspaces, and was told of ${built.workspaceId()}`)
      continue
    }
    const rows = yield* sql`
      select build_id as "buildId", number, transition, status, failure_code || ': ' || failure as failure, attempt,
        array(select text from ${
      sql(`${schema}.build_logs`)
    } as l where l.build_id = b.build_id order by number) as lines
      from ${sql(`${schema}.builds`)} as b where workspace_id = ${only.workspace_id} order by number`.pipe(
      Effect.flatMap(decodeRows)
    )
    for (const row of rows) judgeBuild(book, chatId, row)
    const latest = yield* latestBuild(only.workspace_id)
    const agents = latest._tag === "Some" ? latest.value.agents.map(({ agentId }) => agentId) : []
    const { agentId } = yield* bindings.get(chatId)
    if (agents.length !== 1 || agents[0] !== agentId) {
      book.violate(`${chatId} is bound to the agent ${agentId}, and its latest build has ${agents.join(" and ")}`)
    }
    const running = agentsOf(built)
    if (running.length !== 1) book.violate(`${running.length} agents run in ${built.name}: ${running.join(", ")}`)
  }
})

/** One build: that it ended, as it may, and that its log is whole. */
export const judgeBuild = (book: Book, chatId: string, row: Row): void => {
  const { attempt, failure, lines, number, status, transition } = row
  const what = `build ${number} of ${chatId}, a ${transition} that was taken ${attempt} times,`
  book.tally("Builds", `${transition}: ${status}${attempt > 1 ? ", taken over" : ""}`)
  if (status === "running" || status === "pending") book.violate(`${what} has no end`)
  if (status === "failed" && !isExcused(failure ?? "")) book.violate(`${what} failed: ${failure}`)
  const read = lines.flatMap((line) => SlowProvider.parse(line) ?? [])
  const runs = [...new Set(read.map(({ run }) => run))]
  for (const run of runs) {
    const steps = read.filter((line) => line.run === run).map(({ step }) => step)
    const isWhole = steps.length === SlowProvider.steps || status !== "succeeded" || run !== runs.at(-1)
    if (!isWhole || steps.some((step, index) => step !== index + 1)) {
      book.violate(`${what} is ${status}, and run ${run} of it left the lines ${steps.join(", ")}`)
    }
  }
  if (runs.length > attempt || status === "succeeded" && runs.length === 0) {
    book.violate(`${what} was run ${runs.length} times`)
  }
}

/** Its runners were lost too often, it took too long, or a fault met the agent while it came up. */
const isExcused = (failure: string): boolean => /^(runner_lost|timed_out):|The agent main ended at once/.test(failure)

/** In all of the folder: one that an earlier build has left is there too. */
const agentsOf = (built: Built): ReadonlyArray<string> => {
  const folder = built.folder()
  return folder === undefined
    ? []
    : Leftovers.processesOf(folder.path).filter((process) => process.includes("chaos/agent.ts"))
}

const decodeNodes = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ node_id: Schema.NullOr(NodeId) })))
const decodeWorkspaces = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ workspace_id: WorkspaceId })))
const decodeRows = Schema.decodeUnknownEffect(Schema.Array(Row))
