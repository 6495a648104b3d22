/**
 * Who calls: commands of chats on nodes, with what was true when they began. A call ends within its bound, an interrupted
 * one at once; none sees a defect or an interruption not its own; and what it says of its command is so.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { ProcessResult } from "../../../src/agent/AgentConnection.ts"
import { ChatWorkspaces } from "../../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../../src/dial/ChatWorkspaces.ts"
import type { Binding } from "../../../src/domain/Binding.ts"
import type { ConnectError, ProcessError } from "../../../src/domain/Errors.ts"
import { OperationId } from "../../../src/domain/Ids.ts"
import type { ChatId } from "../../../src/domain/Ids.ts"
import { told } from "../Told.ts"
import type { Ledger } from "./Ledger.ts"
import type { Node } from "./Node.ts"

export interface Command {
  readonly waits: number
  readonly takes: number
  readonly within: number
  readonly anew: boolean
}

export interface Call {
  readonly node: Node
  readonly chatId: ChatId
  readonly operation: OperationId
  readonly command: Command
  fiber: Fiber.Fiber<ProcessResult, ConnectError | ProcessError> | undefined
  /** It begins when its node runs. */
  startedAt: number | undefined
  /** How long its node had been frozen by then: what it owes while it is, is due when it thaws. */
  frozenBefore: number
  /** When it asked its agent, having a connection. */
  askedAt: number | undefined
  /** When its caller left. */
  leftAt: number | undefined
  exit: Exit.Exit<ProcessResult, ConnectError | ProcessError> | undefined
}

/** Read the binding, connect, and in milliseconds of a clock nothing more. */
const connectBound = 3_000 + 40_000

export class Callers {
  readonly all: Array<Call> = []
  /** The turns that nodes have open, by node and chat. */
  private readonly open = new Map<string, ChatWorkspace>()
  private waiting: Array<Call> = []
  private readonly ledger: Ledger
  private readonly violate: (text: string) => void

  constructor(ledger: Ledger, violate: (text: string) => void) {
    this.ledger = ledger
    this.violate = violate
  }

  call(node: Node, chatId: ChatId, command: Command): Call {
    const call: Call = {
      node,
      chatId,
      operation: OperationId.make(`op${this.all.length}#`),
      command,
      fiber: undefined,
      startedAt: undefined,
      frozenBefore: 0,
      askedAt: undefined,
      leftAt: undefined,
      exit: undefined
    }
    if (!node.isUp) return call
    this.all.push(call)
    this.waiting.push(call)
    node.machine.post(() => this.begin(call))
    return call
  }

  leave(index: number): void {
    const running = this.waiting.filter(({ fiber, leftAt }) => fiber !== undefined && leftAt === undefined)
    const call = running[index % Math.max(1, running.length)]
    if (call === undefined) return
    call.node.machine.post(() => {
      call.leftAt = call.node.now()
      call.fiber?.interruptUnsafe()
    })
  }

  /** Tells the turns of a chat of a row that was written. */
  tell(binding: Binding): void {
    for (const [key, workspace] of this.open) {
      if (key.endsWith(` ${binding.chatId}`)) Effect.runSync(workspace.select(binding))
    }
  }

  check(now: number): void {
    if (this.waiting.length === 0) return
    this.waiting = this.waiting.filter(({ exit, node }) => exit === undefined && !node.machine.gone)
    for (const { askedAt, command, frozenBefore, leftAt, node, startedAt } of this.waiting) {
      if (startedAt === undefined || node.machine.frozen) continue
      if (askedAt !== undefined && node.hasClosed) this.violate("a call waits on a node that has ended")
      if (leftAt !== undefined) this.violate("an interrupted call did not end at once")
      const took = now - startedAt - (node.machine.frozenFor - frozenBefore)
      if (took > connectBound + command.waits + command.within) this.violate("a call took longer than its bound")
    }
  }

  private begin(call: Call): void {
    const { chatId, command, node, operation } = call
    const { services } = node
    call.startedAt = node.now()
    call.frozenBefore = node.machine.frozenFor
    if (services === undefined) {
      this.waiting = this.waiting.filter((other) => other !== call)
      return
    }
    const key = `${node.name} ${chatId}`
    const known = command.anew ? undefined : this.open.get(key)
    const workspace = known !== undefined
      ? Effect.succeed(known)
      : Effect.tap(
        Context.get(services, ChatWorkspaces).open(chatId),
        (opened) => Effect.sync(() => this.open.set(key, opened))
      )
    call.fiber = node.machine.fork(
      Effect.flatMap(
        workspace,
        ({ use }) =>
          use(({ processes }) =>
            Effect.andThen(
              Effect.sleep(command.waits),
              Effect.suspend(() => {
                call.askedAt = node.now()
                return processes.run({ id: operation, argv: ["work", String(command.takes)] }, {
                  timeout: command.within
                })
              })
            )
          )
      )
    )
    call.fiber.addObserver((exit) => {
      call.exit = exit
      this.onEnded(call, exit)
    })
  }

  private onEnded({ leftAt, operation }: Call, exit: NonNullable<Call["exit"]>): void {
    if (Exit.isSuccess(exit)) {
      if (!this.ledger.hasRun(operation)) this.violate("a command succeeded that never ran")
      return
    }
    const { cause } = exit
    if (Cause.hasDies(cause)) return this.violate(`a call ended with a defect: ${Cause.pretty(cause)}`)
    if (Cause.hasInterrupts(cause) && leftAt === undefined) {
      return this.violate("a call saw an interruption not its own")
    }
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error === undefined) return
    told(error)
    if (provesNotRun(error)) this.ledger.ruledOut(operation)
  }
}

/** Its caller left while it was waited for. One whose deadline was over by then had ended, and left its command to run. */
export const gaveUp = ({ askedAt, command, exit, leftAt }: Call): boolean =>
  leftAt !== undefined && exit !== undefined && Exit.isFailure(exit) &&
  (askedAt === undefined || leftAt < askedAt + command.within)

/** What never came to an agent, says so. Where an agent refuses an id, another attempt may have been the first. */
const provesNotRun = (error: ConnectError | ProcessError): boolean => {
  switch (error._tag) {
    case "CallInterrupted":
    case "CallTimedOut":
      return error.sent === "notSent"
    case "OperationRefused":
      return error.reason === "killed"
    default:
      return true
  }
}
