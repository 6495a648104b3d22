/**
 * The cases of the kit of transports in which something dies, is slow, or comes in a crowd.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import type { ProcessEvent } from "../agent/Protocol.ts"
import type { OperationId } from "../domain/Ids.ts"
import { type Definition, definition, expect, failureOf, operation, patience, textOf } from "./TransportWords.ts"

/** Until the process is there and runs. */
const running = (connection: AgentConnection, id: OperationId) =>
  Effect.sleep("20 millis").pipe(
    Effect.andThen(Effect.exit(connection.processes.output(id))),
    Effect.repeat({ until: (exit) => Exit.isSuccess(exit) && exit.value.state._tag === "Running" }),
    Effect.timeout(patience)
  )

/** Until the process has ended. */
const ended = (connection: AgentConnection, id: OperationId) =>
  Effect.sleep("20 millis").pipe(
    Effect.andThen(connection.processes.output(id)),
    Effect.repeat({ until: ({ state }) => state._tag === "Exited" }),
    Effect.timeout(patience)
  )

/** Where the output goes on, if nothing of it is missing unsaid and nothing comes twice. */
const endOf = (events: ReadonlyArray<ProcessEvent>): Effect.Effect<number, unknown> =>
  Effect.reduce(events, () => 0, (at, event) => {
    if (event._tag === "Gap") return Effect.as(expect("a gap begins where the output ended", event.from, at), event.to)
    if (event._tag !== "Data") return Effect.succeed(at)
    return Effect.as(
      expect("output goes on where it ended", event.offset, at),
      event.offset + event.bytes.length
    )
  })

export const deaths: ReadonlyArray<Definition> = [
  definition(
    "an interrupted command is ended at the agent, and a follower who leaves ends nothing",
    ["run", "processes"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const connection = yield* connect
      const { processes } = connection
      const id = yield* operation
      const call = yield* Effect.forkChild(processes.run({ id, argv: commands.endless }))
      yield* running(connection, id)
      const follower = yield* Effect.forkChild(Stream.runDrain(processes.follow(id)), { startImmediately: true })
      yield* Effect.timeout(Fiber.interrupt(follower), patience)
      yield* expect("it still runs", (yield* processes.output(id)).state._tag, "Running")
      yield* Effect.timeout(Fiber.interrupt(call), patience)
      yield* ended(connection, id)
    })
  ),
  definition(
    "what was answered before the link is cut is answered the same after it",
    ["run", "drop"],
    Effect.fnUntraced(function*({ commands, dial, drop, up }) {
      const agentId = yield* up
      const id = yield* operation
      const connection = yield* dial(agentId)
      const first = yield* connection.processes.run({ id, argv: commands.unique })
      yield* drop(agentId)
      yield* Effect.timeout(connection.closed, patience)
      const { processes } = yield* dial(agentId)
      const again = yield* Effect.timeout(processes.run({ id, argv: commands.unique }), patience)
      yield* expect("nothing ran twice", textOf(again.output.pieces), textOf(first.output.pieces))
    })
  ),
  definition(
    "a command under way when the link is cut runs on, once, and its caller learns of its end or that it may have run",
    ["run", "processes", "drop"],
    Effect.fnUntraced(function*({ commands, dial, drop, up }) {
      const agentId = yield* up
      const id = yield* operation
      const connection = yield* dial(agentId)
      const call = yield* Effect.forkChild(Effect.result(connection.processes.run({ id, argv: commands.endless })))
      yield* running(connection, id)
      yield* drop(agentId)
      yield* Effect.timeout(connection.closed, patience)
      const next = yield* dial(agentId)
      yield* expect("it runs on", (yield* next.processes.output(id)).state._tag, "Running")
      const listed = (yield* next.processes.list).filter((info) => info.id === id)
      yield* expect("it runs once", listed.length, 1)
      yield* next.processes.signal(id, "SIGKILL")
      const result = yield* Effect.timeout(Fiber.join(call), patience)
      if (result._tag === "Success") {
        yield* expect("its caller learns how it ended", result.success.signal, "SIGKILL")
        return
      }
      const { failure } = result
      yield* expect("the failure is CallInterrupted", failure._tag, "CallInterrupted")
      if (failure._tag !== "CallInterrupted") return
      yield* expect("it says that the command may have run", failure.sent, "mayHaveRun")
      yield* expect("it names the operation", failure.operationId, id)
      const outcome = yield* Effect.timeout(next.processes.run({ id, argv: commands.endless }), patience)
      yield* expect("the outcome is known by its id", outcome.signal, "SIGKILL")
    })
  ),
  definition(
    "calls over a link that was cut end in their time, with their answer or a typed failure",
    ["run", "drop"],
    Effect.fnUntraced(function*({ commands, dial, drop, up }) {
      const agentId = yield* up
      const { closed, processes } = yield* dial(agentId)
      yield* drop(agentId)
      yield* Effect.timeout(closed, patience)
      const id = yield* operation
      const result = yield* Effect.result(
        Effect.timeout(processes.run({ id, argv: commands.print("late", 0) }, { timeout: "2 seconds" }), patience)
      )
      // A transport may send it over the next link as well.
      if (result._tag === "Success") {
        yield* expect("the answer is its own", textOf(result.success.output.pieces), "late")
      } else {
        const known = result.failure._tag === "CallInterrupted" || result.failure._tag === "CallTimedOut"
        yield* expect("the failure is CallInterrupted or CallTimedOut", known ? "" : result.failure._tag, "")
      }
    })
  ),
  definition(
    "a follower whose link is cut goes on without a hole, or is told that it was interrupted",
    ["processes", "drop", "chatty"],
    Effect.fnUntraced(function*({ chatty, dial, drop, up }) {
      const agentId = yield* up
      const id = yield* operation
      const { closed, processes } = yield* dial(agentId)
      yield* processes.start({ id, argv: chatty })
      const heard: Array<ProcessEvent> = []
      const begun = yield* Deferred.make<void>()
      const follower = yield* processes.follow(id).pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => void heard.push(event)).pipe(Effect.andThen(Deferred.succeed(begun, undefined)))
        ),
        failureOf,
        Effect.forkChild
      )
      yield* Effect.timeout(Deferred.await(begun), patience)
      yield* drop(agentId)
      yield* Effect.timeout(closed, patience)
      const next = yield* dial(agentId)
      yield* next.processes.signal(id, "SIGKILL")
      const failure = yield* Effect.timeout(Fiber.join(follower), patience)
      const end = yield* endOf(heard)
      if (failure === "success") {
        const last = heard.at(-1)
        yield* expect("it hears the end", last?._tag === "Exited" ? last.end : last?._tag, end)
        return
      }
      yield* expect("the failure is CallInterrupted", failure, "CallInterrupted")
      const rest = yield* Effect.timeout(Stream.runCollect(next.processes.follow(id, { from: end })), patience)
      const [first] = rest
      const from = first?._tag === "Data" ? first.offset : first?._tag === "Gap" ? first.from : end
      yield* expect("another goes on where it ended", from, end)
    })
  ),
  definition(
    "a reader who is stuck holds up no other call, and goes on without a hole",
    ["run", "processes", "chatty"],
    Effect.fnUntraced(function*({ chatty, commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      yield* processes.start({ id, argv: chatty })
      const heard: Array<ProcessEvent> = []
      const [stuck, free] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const reader = yield* processes.follow(id).pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => void heard.push(event)).pipe(
            Effect.andThen(Deferred.succeed(stuck, undefined)),
            Effect.andThen(Deferred.await(free))
          )
        ),
        Effect.forkChild
      )
      yield* Effect.timeout(Deferred.await(stuck), patience)
      for (let times = 0; times < 20; times++) {
        const text = `fast ${times}`
        const { output } = yield* Effect.timeout(
          processes.run({ id: yield* operation, argv: commands.print(text, 0) }),
          patience
        )
        yield* expect("a call beside it is answered", textOf(output.pieces), text)
      }
      const other = yield* processes.follow(id).pipe(Stream.take(3), Stream.runCollect, Effect.timeout(patience))
      yield* expect("another reader of the same output is not held up", other.length, 3)
      yield* processes.signal(id, "SIGKILL")
      yield* Deferred.succeed(free, undefined)
      yield* Effect.timeout(Fiber.join(reader), patience)
      const last = heard.at(-1)
      yield* expect("it hears the end", last?._tag === "Exited" ? last.end : last?._tag, yield* endOf(heard))
    })
  ),
  definition(
    "of a crowd of calls each gets its own answer or AgentBusy, and the connection is as good as before",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const answers = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => `call ${index}`),
        Effect.fnUntraced(function*(text) {
          const result = yield* Effect.result(processes.run({ id: yield* operation, argv: commands.print(text, 0) }))
          return result._tag === "Failure" ? result.failure._tag : textOf(result.success.output.pieces) === text
        }),
        { concurrency: "unbounded" }
      )
      const others = answers.filter((answer) => answer !== true && answer !== "AgentBusy")
      yield* expect("no other answers", others.join(), "")
      yield* expect("some were answered", answers.includes(true), true)
      const next = yield* processes.run({ id: yield* operation, argv: commands.print("next", 0) })
      yield* expect("the next is answered", textOf(next.output.pieces), "next")
    })
  ),
  definition(
    "a link that is half open ends calls in their time, is found out, and another takes its place",
    ["run", "halfOpen", "heal"],
    Effect.fnUntraced(function*({ commands, dial, halfOpen, heal, up }) {
      const agentId = yield* up
      const { closed, liveness, processes } = yield* dial(agentId)
      yield* halfOpen(agentId)
      const call = processes.run({ id: yield* operation, argv: commands.print("lost", 0) }, { timeout: "300 millis" })
      const failure = yield* Effect.timeout(failureOf(call), patience)
      yield* expect(
        "the failure is CallTimedOut or CallInterrupted",
        failure === "CallTimedOut" || failure === "CallInterrupted" ? "" : failure,
        ""
      )
      yield* expect("the reason is that it was lost", yield* closed, "lost")
      yield* expect("it is closed", liveness(), "closed")
      yield* heal(agentId)
      const next = yield* dial(agentId)
      const { output } = yield* Effect.timeout(
        next.processes.run({ id: yield* operation, argv: commands.print("healed", 0) }),
        patience
      )
      yield* expect("it answers again", textOf(output.pieces), "healed")
    })
  )
]
