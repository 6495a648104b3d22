/**
 * Chats that have their workspaces built: they make one, stop and start it, sometimes at two nodes at once, and run
 * commands in between. They do what their tools tell a model to do.
 */
import { Effect, Option, Schema } from "effect"
import { WorkspaceId } from "../../src/domain/Ids.ts"
import { CreateWorkspaceResult, StartWorkspaceResult, StopWorkspaceResult } from "../../src/tool/LifecycleTools.ts"
import type { Chance } from "../security/fuzz/Chance.ts"
import type { Backend, Told } from "./Backends.ts"
import type { Book } from "./Book.ts"
import type * as Bounds from "./Bounds.ts"
import type { Built } from "./Built.ts"
import { type Chat, lengthOf, running } from "./Chats.ts"
import * as Leftovers from "./Leftovers.ts"
import * as Outcome from "./Outcome.ts"
import * as SlowProvider from "./SlowProvider.ts"
import * as Workspaces from "./Workspaces.ts"

export interface Options {
  readonly built: Built
  readonly book: Book
  readonly chance: Chance
  /** Where its agent can be reached. */
  readonly home: () => Backend
  /** Any. */
  readonly node: () => Backend
}

export const make = ({ book, built, chance, home, node }: Options): Chat => {
  const { chatId: chat } = built
  /** Calls in a row that the agent did not answer. */
  let silent = 0

  const ask = (method: Bounds.Method, tool: string, args: Schema.Json, at: () => Backend): Effect.Effect<Told> =>
    Effect.flatMap(
      running(at),
      (backend) =>
        book.timed(method, backend.child.frozen, backend.ask((id) => ({ _tag: "Tool", id, chat, tool, args })))
    )

  const tally = (method: string, what: string): void => book.tally("Workspaces that are built", `${method}: ${what}`)

  /** Whether the workspace is as wished now. */
  const wish = Effect.fnUntraced(function*(method: "create" | "start" | "stop", at: () => Backend) {
    const told = yield* ask(method, tools[method].name, tools[method].args, at)
    if (told._tag === "Died") {
      tally(method, "unknown")
      return false
    }
    const result = Option.getOrUndefined(asResult(told.result))
    if (result === undefined || !tools[method].isResult(told.result)) {
      const { code, outcome } = Outcome.of("", told.result)
      if (outcome === "wrong") book.violate(`${tools[method].name} was answered with ${code}`)
      tally(method, code)
      return false
    }
    built.found(result.workspace_id)
    const what = result.error ?? result.agent_status ?? result.status
    tally(method, what ?? (result.no_build === true ? "no build" : "done"))
    return what === undefined || what === "already_exists"
  })

  /** At once at two nodes: there is still one build. */
  const wishTwice = (method: "create" | "start") =>
    Effect.map(
      Effect.all([wish(method, home), wish(method, node)], { concurrency: 2 }),
      ([here]) => here
    )

  const execute = Effect.gen(function*() {
    const operation = book.begin("execute", built)
    const command = Workspaces.command(operation.id, lengthOf(chance))
    const told = yield* ask("execute", "execute", { command }, home)
    if (told._tag === "Died") {
      book.told(operation, "lost", "the backend died")
      return false
    }
    const { code, outcome } = Outcome.of(operation.id, told.result)
    book.told(operation, outcome, code)
    silent = unreachable.has(code) ? silent + 1 : 0
    if (code === "no_workspace_agent") yield* wish("start", home)
    return outcome === "done"
  })

  /** Runs until the workspace is stopped. */
  const leave = Effect.gen(function*() {
    const operation = book.begin("background", built)
    const command = Workspaces.command(operation.id, forever)
    yield* ask("background", "execute", { command, background: true }, home)
    book.told(operation, "mayHaveRun", "left behind")
  })

  const restart = Effect.gen(function*() {
    silent = 0
    if (chance.sometimes(0.5)) yield* leave
    if (!(yield* wish("stop", chance.sometimes(0.5) ? home : node))) return false
    for (const left of Leftovers.processesOf(built.folder()?.path ?? "nowhere")) {
      book.violate(`${built.name} was stopped, and ${left} has not ended`)
    }
    // Somebody who stops a workspace does not want it back at once.
    yield* Effect.sleep(chance.below(300))
    return chance.sometimes(0.3) ? yield* wishTwice("start") : yield* wish("start", home)
  })

  const work: Effect.Effect<boolean> = Effect.suspend(() => {
    if (built.workspaceId() === undefined) return Effect.as(wishTwice("create"), false)
    const isStuck = silent >= patience
    return isStuck || chance.sometimes(0.3) ? Effect.andThen(restart, execute) : execute
  })

  return { chatId: chat, workspace: undefined, work, messages: [] }
}

const forever = 300_000

/** Then the workspace is stopped and started, as a person would that sees nothing happen. */
const patience = 2

const unreachable: ReadonlySet<string> = new Set(["agent_disconnected", "dial_timeout", "dial_failed"])

const asResult = Schema.decodeUnknownOption(Schema.Struct({
  workspace_id: WorkspaceId,
  no_build: Schema.optionalKey(Schema.Boolean),
  error: Schema.optionalKey(Schema.String),
  agent_status: Schema.optionalKey(Schema.String),
  status: Schema.optionalKey(Schema.String)
}))

const tools = {
  create: {
    name: "create_workspace",
    args: { template_id: SlowProvider.templateId },
    isResult: Schema.is(CreateWorkspaceResult)
  },
  start: { name: "start_workspace", args: {}, isResult: Schema.is(StartWorkspaceResult) },
  stop: { name: "stop_workspace", args: {}, isResult: Schema.is(StopWorkspaceResult) }
} as const
