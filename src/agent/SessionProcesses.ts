/**
 * Processes of an agent, called over its sessions.
 *
 * A start is sent again after a lost link until it is acknowledged, then only its output is followed from the next
 * offset on; the agent remembers the id, so the command runs once. Interrupting a foreground run kills it, its deadline
 * does not.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { CommandNotFound, Unsupported } from "../domain/Errors.ts"
import type { AgentBusy, OperationRefused, ProcessError } from "../domain/Errors.ts"
import type { OperationId } from "../domain/Ids.ts"
import type { Command, Processes } from "./AgentConnection.ts"
import * as Calls from "./Calls.ts"
import type { Feature } from "./Feature.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { Handed } from "./Link.ts"
import type { Handing } from "./Link.ts"
import * as Output from "./Output.ts"
import { frameLimit } from "./Protocol.ts"
import type { ProcessInfo, ProcessState } from "./Protocol.ts"
import type { Session } from "./Sessions.ts"

/**
 * What the calls of a connection work with. `giveUp` ends a process whose caller has gone.
 *
 * @since 0.1.0
 * @category models
 */
export interface Means {
  readonly config: GatewayConfig
  readonly calls: Calls.Calls
  readonly giveUp: (session: Session, handing: Handing, id: OperationId) => Effect.Effect<void>
}

/**
 * The processes of the agent of this session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (home: Session, means: Means): Processes => {
  const { calls, config, giveUp } = means

  const start: Processes["start"] = (command) =>
    calls.make(
      { method: "start", home, operationId: command.id, deadline: config.shortCall, repeat: "byId" },
      (session, handing) => started(session, handing, command)
    )

  const run: Processes["run"] = (command, options) =>
    Effect.suspend(() => {
      const output = Output.makeBuffer(0)
      let acknowledged = false
      return calls.make(
        {
          method: "run",
          home,
          operationId: command.id,
          deadline: options?.timeout === undefined
            ? config.runTimeout
            : Duration.fromInputUnsafe(options.timeout),
          repeat: "byId"
        },
        Effect.fnUntraced(function*(session: Session, handing: Handing) {
          if (!acknowledged) {
            yield* started(session, handing, command)
            acknowledged = true
          }
          const state = yield* followed(
            session,
            { id: command.id, from: output.next(), wait: true },
            (piece) => Effect.succeed(output.add(piece))
          )
          if (state._tag === "Running") return yield* Calls.violated(session, "the end of a process that runs")
          return { code: state.code, signal: state.signal, output: { state, pieces: output.pieces() } }
        }),
        (handing) => giveUp(home, handing, command.id)
      )
    })

  const output: Processes["output"] = (id, options) =>
    Effect.suspend(() => {
      const buffer = Output.makeBuffer(options?.from ?? 0)
      return calls.make(
        { method: "output", home, operationId: id, deadline: config.fileCall, repeat: "always" },
        (session) =>
          Effect.map(
            followed(session, { id, from: buffer.next(), wait: false }, (piece) => Effect.succeed(buffer.add(piece))),
            (state) => ({ state, pieces: buffer.pieces() })
          )
      )
    })

  const follow: Processes["follow"] = (id, options) =>
    Stream.callback((queue) =>
      Effect.suspend(() => {
        let next = options?.from ?? 0
        return calls.make(
          {
            method: "follow",
            home,
            operationId: id,
            deadline: Duration.infinity,
            patience: config.reattach,
            repeat: "always"
          },
          (session) =>
            followed(
              session,
              { id, from: next, wait: true },
              Effect.fnUntraced(function*(piece) {
                const pieces = Output.advance(next, piece)
                for (const each of pieces ?? []) {
                  yield* Queue.offer(queue, each)
                  next = Output.endOf(each)
                }
                return pieces !== undefined
              })
            )
        ).pipe(
          Effect.flatMap((state) => Queue.offer(queue, state)),
          Effect.andThen(Queue.end(queue))
        )
      }), { bufferSize: 1 })

  const list: Processes["list"] = calls.make<ReadonlyArray<ProcessInfo>, never>(
    { method: "processes", home, operationId: null, deadline: config.shortCall, repeat: "always" },
    (session) => Calls.ask(session, (client) => client.Processes())
  )

  const signal: Processes["signal"] = (id, name) =>
    calls.make(
      { method: "signal", home, operationId: id, deadline: config.shortCall, repeat: "never" },
      (session, handing) =>
        Calls.ask(
          session,
          (client) => Effect.provideService(client.Signal({ id, signal: name }), Handed, handing)
        )
    )

  return {
    run: (command, options) => needs(home, "run", run(command, options)),
    start: (command) => needs(home, "processes", start(command)),
    output: (id, options) => needs(home, "processes", output(id, options)),
    follow: (id, options) =>
      home.features.has("processes") ? follow(id, options) : Stream.fail(new Unsupported({ feature: "processes" })),
    list: needs(home, "processes", list),
    signal: (id, name) => needs(home, "processes", signal(id, name))
  }
}

/**
 * The call, if the agent of this session said that it can do that.
 *
 * @since 0.1.0
 * @category combinators
 */
export const needs = <A, E>(
  session: Session,
  feature: Feature,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E | Unsupported> => session.features.has(feature) ? call : Effect.fail(new Unsupported({ feature }))

/**
 * The size of a request in characters, about; base64 and quoting included.
 *
 * @since 0.1.0
 * @category getters
 */
export const sizeOf = (payload: unknown): number => new TextEncoder().encode(JSON.stringify(payload)).length

/** What a frame holds beside its payload. */
const frameMargin = 4096

/**
 * Whether a request of this size fits into a frame.
 *
 * @since 0.1.0
 * @category guards
 */
export const fits = (size: number): boolean => size <= frameLimit - frameMargin

const started = (
  session: Session,
  handing: Handing,
  { argv, cwd, env, id }: Command
): Effect.Effect<ProcessState, Exclude<ProcessError, Unsupported> | Calls.LinkLost | Calls.Unanswered> => {
  const payload = { id, argv, cwd: cwd ?? null, env: env ?? {} }
  const size = sizeOf(payload)
  return fits(size)
    ? Calls.ask(session, (client) => Effect.provideService(client.Start(payload), Handed, handing), size)
    : Effect.fail(new CommandNotFound({ command: argv[0], detail: "arguments and environment are too large" }))
}

/**
 * Follows output to the state that closes it. `onPiece` says whether the piece keeps to the protocol, and may wait: the
 * agent sends no more meanwhile.
 */
const followed = Effect.fnUntraced(function*(
  session: Session,
  payload: { readonly id: OperationId; readonly from: number; readonly wait: boolean },
  onPiece: (piece: Output.Piece) => Effect.Effect<boolean>
): Effect.fn.Return<ProcessState, OperationRefused | AgentBusy | Calls.LinkLost | Calls.Unanswered> {
  let state: ProcessState | undefined
  yield* Calls.ask(session, (client) =>
    Stream.runForEach(client.Follow(payload, { streamBufferSize: 1 }), (event) => {
      if (state !== undefined) return outOfOrder(session)
      if (event._tag === "Data" || event._tag === "Gap") {
        return Effect.flatMap(onPiece(event), (accepted) => accepted ? Effect.void : outOfOrder(session))
      }
      state = event
      return Effect.void
    }))
  return state ?? (yield* outOfOrder(session))
})

const outOfOrder = (session: Session): Effect.Effect<never, Calls.Unanswered> =>
  Calls.violated(session, "output out of order")
