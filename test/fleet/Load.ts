/** Chats that work all the time, from every node in rotation on the agents of every node. */
import { Effect, Fiber, Option, Schema, type Scope } from "effect"
import { ChatId, MessageId, OperationId } from "../../src/domain/Ids.ts"
import * as Outcome from "../chaos/Outcome.ts"
import { command } from "../chaos/Workspaces.ts"
import type { Chance } from "../security/fuzz/Chance.ts"
import type { Workspace } from "./Agents.ts"
import type { Ledger, Operation } from "./Ledger.ts"
import type { Node, Nodes } from "./Nodes.ts"

/** One answer to one call, as its caller had it; a call that is repeated has several. */
export interface Sample {
  readonly operation: Operation
  readonly node: Node
  /** How long its command runs. */
  readonly millis: number
  readonly began: number
  readonly lost: number | null
  readonly ended: number
  readonly outcome: Outcome.Outcome
  readonly code: string
  /** Whether an earlier answer left open what became of the operation. */
  readonly isRepeat: boolean
}

export interface Load {
  readonly samples: ReadonlyArray<Sample>
  /** How turns ended that were heard to their end, and how often messages had to be sent again. */
  readonly turns: ReadonlyMap<string, number>
  /** Runs a command on an agent, until it is known what became of it. True when it ran to its end. */
  readonly run: (workspace: Workspace, options: Run) => Effect.Effect<boolean>
  /** Those who are told that an operation may have run give up half of the time. */
  readonly abandoning: (on: boolean) => void
  /** How many operations are asked for and not settled. */
  readonly open: () => number
  readonly start: Effect.Effect<void, never, Scope.Scope>
  /** No chat begins anything more; returns when all that was begun is over. */
  readonly stop: Effect.Effect<void>
}

export interface Run {
  readonly millis: number
  readonly timeoutMillis?: number | undefined
  /** Those that a call may be made at; of those in rotation unless said otherwise. */
  readonly from?: (() => ReadonlyArray<Node>) | undefined
}

export interface Options {
  readonly nodes: Nodes
  readonly workspaces: ReadonlyArray<Workspace>
  /** Of these workspaces, each has a chat with a model beside the one that calls. */
  readonly talking: number
  readonly ledger: Ledger
  readonly chance: Chance
  /** Between two calls of a chat, at most. */
  readonly pauseMillis: number
}

/** On top of what its command takes; then the caller is told that it timed out. */
export const timeout = 8000

/** An operation that is asked for again and again is settled by then. */
const settleWithin = "90 seconds"

/** What was given up has begun by now, or never will. */
const abandonedFor = "3 seconds"

export const chatOf = ({ name }: Workspace): ChatId => ChatId.make(`chat-of-${name}`)
export const talkOf = ({ name }: Workspace): ChatId => ChatId.make(`talk-of-${name}`)

export const make = ({ chance, ledger, nodes, pauseMillis, talking, workspaces }: Options): Load => {
  const samples: Array<Sample> = []
  const turns = new Map<string, number>()
  const working: Array<Fiber.Fiber<void>> = []
  let isOver = false
  let abandons = false
  let open = 0
  let messages = 0

  const choose = (from: () => ReadonlyArray<Node>): Effect.Effect<Node> =>
    Effect.suspend(() => {
      const all = from()
      return all.length === 0 ? Effect.delay(choose(from), "50 millis") : Effect.succeed(chance.pick(all))
    })

  const once = Effect.fnUntraced(function*(operation: Operation, run: Run, isRepeat: boolean) {
    const { from = nodes.rotation, millis, timeoutMillis = millis + timeout } = run
    const node = yield* choose(from)
    const asked = Date.now()
    const answer = yield* node.ask((id) => ({
      _tag: "Run",
      id,
      chat: chatOf(operation.workspace),
      operation: OperationId.make(operation.id),
      command: command(operation.id, millis),
      timeoutMillis
    }))
    const told = answer._tag === "Died"
      ? { began: asked, lost: null, ended: Date.now(), outcome: "lost", code: "the node ended" } as const
      : { ...answer, ...Outcome.of(operation.id, answer.result) }
    const { began, code, ended, lost, outcome } = told
    const sample: Sample = { operation, node, millis, began, lost, ended, outcome, code, isRepeat }
    samples.push(sample)
    return sample
  })

  const abandon = Effect.fnUntraced(function*(operation: Operation, code: string) {
    ledger.told(operation, "abandoned", code)
    yield* Effect.sleep(abandonedFor)
    ledger.look(operation)
  })

  const settle = Effect.fnUntraced(function*(operation: Operation, run: Run) {
    let mayHaveRun = false
    while (true) {
      const { code, outcome } = yield* once(operation, run, mayHaveRun)
      switch (outcome) {
        case "done":
          ledger.told(operation, outcome, code)
          return true
        case "ended":
          // Nobody has asked for its end.
          ledger.violate(`${operation.id} in ${operation.workspace.name} came to no good end`)
          ledger.told(operation, outcome, code)
          return false
        case "wrong":
          ledger.violate(`${operation.id} was answered with ${code}`)
          return false
        case "notRun":
          // What is known of the first asking is not changed by a later one that did not get through.
          if (!mayHaveRun) {
            ledger.told(operation, "notRun", code)
            return false
          }
          break
        case "mayHaveRun":
          if (abandons && chance.sometimes(0.5)) {
            yield* abandon(operation, code)
            return false
          }
          mayHaveRun = true
          break
        case "lost":
          mayHaveRun = true
      }
      yield* Effect.sleep("100 millis")
    }
  })

  const run: Load["run"] = (workspace, options) =>
    Effect.suspend(() => {
      const operation = ledger.begin(workspace)
      open += 1
      return settle(operation, options).pipe(
        Effect.timeoutOrElse({
          duration: settleWithin,
          orElse: () => {
            ledger.violate(`${operation.id} in ${workspace.name} is not settled after ${settleWithin}`)
            return Effect.succeed(false)
          }
        }),
        Effect.ensuring(Effect.sync(() => {
          open -= 1
        }))
      )
    })

  const count = (what: string): void => {
    turns.set(what, (turns.get(what) ?? 0) + 1)
  }

  /** A message is sent until its turn is heard to its end, as by a client that does not know what became of it. */
  const say = Effect.fnUntraced(function*(workspace: Workspace) {
    const operation = ledger.begin(workspace)
    ledger.told(operation, "turn", "not heard")
    const message = MessageId.make(`m${++messages}`)
    const text = command(operation.id, lengthOf(chance))
    for (let sent = 1;; sent++) {
      const node = yield* choose(nodes.rotation)
      const answer = yield* node.ask((id) => ({ _tag: "Turn", id, chat: talkOf(workspace), message, text }))
      const heard = answer._tag === "Died" ? undefined : Option.getOrUndefined(asTurn(answer.result))
      if (heard?.end !== undefined && heard.end !== null) {
        count(`${heard.end}${sent > 1 ? ", sent again" : ""}`)
        if (heard.end === "done" && heard.results.length === 1 && heard.results[0] === true) {
          ledger.told(operation, "done", "turn")
        }
        return
      }
      yield* Effect.sleep("200 millis")
    }
  })

  const chat = (work: Effect.Effect<unknown>): Effect.Effect<void> =>
    Effect.suspend(() => Effect.sleep(chance.below(pauseMillis))).pipe(
      Effect.andThen(Effect.suspend(() => isOver ? Effect.void : work)),
      Effect.repeat({ until: () => isOver }),
      Effect.asVoid
    )

  return {
    samples,
    turns,
    run,
    abandoning: (on) => {
      abandons = on
    },
    open: () => open,
    start: Effect.gen(function*() {
      for (const workspace of workspaces) {
        working.push(
          yield* Effect.forkScoped(
            chat(Effect.suspend(() => run(workspace, { millis: lengthOf(chance) })))
          )
        )
      }
      for (const workspace of workspaces.slice(0, talking)) {
        working.push(yield* Effect.forkScoped(chat(Effect.suspend(() => say(workspace)))))
      }
    }),
    stop: Effect.suspend(() => {
      isOver = true
      return Effect.asVoid(Fiber.awaitAll(working))
    })
  }
}

/** Long enough that a fault meets many that run. */
const lengthOf = (chance: Chance): number => 50 + chance.below(3000)

const asTurn = Schema.decodeUnknownOption(Schema.Struct({
  end: Schema.NullOr(Schema.String),
  results: Schema.Array(Schema.Boolean)
}))
