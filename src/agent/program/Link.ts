/**
 * The way out to the gateway: one link at a time, kept up for ever.
 *
 * The agent dials, and on the socket it is the server: what the gateway calls is served as if it had connected to us. A
 * link that ends is followed by another after a delay, exponential with full jitter. A gateway that is to go asks us to
 * move: then the next link is opened first, both are served, and the old one is left when the new one is used. To be
 * greeted there is not enough: until the store has been told, the other nodes find us over the old link alone.
 *
 * **Stale frames.** A program that was frozen finds, when it thaws, frames that its callers have given up long ago. What
 * is read too long after the frame before it is dropped with its link, unexecuted. That is decided where frames are read
 * and against two clocks of the system: a timer may come after the frame, and while a machine is suspended one of the
 * clocks stands still.
 *
 * **Gotchas.** Every link has a socket of its own: a socket that dialed again would send what was meant for the link
 * before. Writes do not wait for the network; streams wait for the acknowledgement of their last chunk instead.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { CloseCode } from "../Protocol.ts"
import { OutboundSocket, type Refusal } from "./OutboundSocket.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings } from "./Settings.ts"

/**
 * The clocks of the stale frame rule, in milliseconds. They are the system's, since Effect's clock is one of them at most.
 *
 * @since 0.1.0
 * @category references
 */
export const FrameClocks = Context.Reference<{ readonly wall: () => number; readonly monotonic: () => number }>(
  "chat-workspace/agent/program/Link/FrameClocks",
  { defaultValue: () => ({ wall: () => Date.now(), monotonic: () => performance.now() }) }
)

/**
 * One link, as the calls that arrive on it see it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link {
  /** The gateway has said hello: it knows us on this link. */
  readonly greeted: Deferred.Deferred<void>
  /** It has called anything after that: this is the link that others find us over. */
  readonly used: Deferred.Deferred<void>
  /** The gateway asked us to move within this time. */
  readonly moving: Deferred.Deferred<Duration.Duration>
  /** Counts a call as long as it runs: a link that is left waits for them. */
  readonly call: Effect.Effect<void, never, Scope.Scope>
}

/**
 * The link that a call arrived on; none outside of a call.
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentLink = Context.Reference<Link | undefined>("chat-workspace/agent/program/Link/CurrentLink", {
  defaultValue: () => undefined
})

/** How a link ended: what the gateway said, and how long the link had lived. */
interface End {
  readonly verdict: Verdict
  readonly lived: Duration.Duration
}

type Verdict =
  | { readonly _tag: "Lost"; readonly why: string }
  | { readonly _tag: "Refused"; readonly why: string }
  | { readonly _tag: "Displaced" }
  | { readonly _tag: "Later"; readonly why: string; readonly delay: Duration.Duration }

interface Running extends Link {
  readonly end: Deferred.Deferred<End>
  readonly idle: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
}

const make = Effect.gen(function*() {
  const config = yield* ProgramConfig
  const settings = yield* Settings
  const clocks = yield* FrameClocks
  const outbound = yield* OutboundSocket
  const { host, pathname } = new URL(settings.url)
  yield* Effect.logInfo(`Connecting to the gateway at ${host}${pathname}.`)

  /** Opens a link in the background and serves it until it ends. */
  const open = Effect.fnUntraced(function*<R, E, _>(
    scope: Scope.Scope,
    handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>
  ): Effect.fn.Return<Running, never, R> {
    const calls = new Calls()
    const left = yield* Deferred.make<void>()
    const used = yield* Deferred.make<void>()
    const link: Running = {
      greeted: yield* Deferred.make<void>(),
      used,
      moving: yield* Deferred.make<Duration.Duration>(),
      call: Effect.acquireRelease(
        Effect.sync(() => {
          calls.add()
          Deferred.doneUnsafe(used, Effect.void)
        }),
        () => Effect.sync(() => calls.remove())
      ),
      end: yield* Deferred.make<End>(),
      idle: calls.idleFor(config.moveGrace),
      leave: Deferred.succeed(left, undefined)
    }
    const reply: Reply = { refusal: undefined, ending: undefined }
    const socket = yield* Socket.fromWebSocket(dial(outbound, settings, reply), { openTimeout: config.openTimeout })
    const begun = yield* Clock.currentTimeMillis
    yield* Effect.suspend(() => handler(guarded(socket, reply, config, clocks))).pipe(
      Effect.provideService(CurrentLink, link),
      Effect.catchCause((cause) =>
        // The end of a link comes as a defect too; that one is told below.
        reply.ending === undefined && !Cause.hasInterruptsOnly(cause)
          ? Effect.logError("Serving a link failed.", cause)
          : Effect.void
      ),
      Effect.raceFirst(Deferred.await(left)),
      Effect.andThen(Clock.currentTimeMillis),
      Effect.flatMap((now) =>
        Deferred.succeed(link.end, { verdict: verdictOf(reply, config), lived: Duration.millis(now - begun) })
      ),
      Effect.forkIn(scope)
    )
    return link
  })

  /** One link after the other; the one that is being left lives beside its successor. */
  const keep = Effect.fnUntraced(function*<R, E, _>(
    handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>
  ): Effect.fn.Return<never, never, R | Scope.Scope> {
    const scope = yield* Effect.scope
    let leaving: Running | undefined
    let failures = 0
    let said: string | undefined
    while (true) {
      const link = yield* open(scope, handler)
      yield* Effect.raceFirst(Deferred.await(link.greeted), Deferred.await(link.end))
      if (Deferred.isDoneUnsafe(link.greeted)) {
        said = undefined
        yield* Effect.logInfo("The gateway greets this agent.")
        if (leaving !== undefined && (yield* inUse(link))) {
          yield* Effect.forkIn(part(leaving), scope)
          leaving = undefined
        }
      }
      const moved = yield* Effect.raceFirst(
        Deferred.await(link.moving).pipe(Effect.flatMap(randomPart), Effect.flatMap(Effect.sleep), Effect.as(true)),
        Effect.as(Deferred.await(link.end), false)
      )
      if (moved) {
        yield* Effect.logInfo("Moving to another link, as the gateway asked.")
        leaving = link
        continue
      }
      const { lived, verdict } = yield* Deferred.await(link.end)
      if (Duration.isGreaterThanOrEqualTo(lived, config.healthyAfter)) failures = 0
      const delay = yield* delayAfter(verdict, failures++)
      // A gateway that is down for a day is one line, not one for each attempt.
      const why = text(verdict)
      if (why !== said) yield* Effect.logInfo(`The link to the gateway ended: ${why}.`)
      said = why
      yield* Effect.sleep(delay)
    }
  })

  /** Waits until a link is used, or has ended before. A gateway that calls nothing is not waited for without end. */
  const inUse = (link: Running): Effect.Effect<boolean> =>
    Effect.raceFirst(
      Effect.as(Effect.timeoutOption(Deferred.await(link.used), config.moveDrain), true),
      Effect.as(Deferred.await(link.end), false)
    )

  const delayAfter = (verdict: Verdict, failures: number): Effect.Effect<Duration.Duration> => {
    switch (verdict._tag) {
      case "Displaced":
        return Effect.succeed(config.displacedPause)
      case "Refused":
        return Effect.succeed(config.backoffCap)
      case "Later":
        return Effect.succeed(verdict.delay)
      case "Lost": {
        const grown = Duration.toMillis(config.backoffBase) * 2 ** Math.min(failures, 30)
        return randomPart(Duration.min(Duration.millis(grown), config.backoffCap))
      }
    }
  }

  /** Leaves a link whose successor is there: its calls may end first, new ones go the new way. */
  const part = (link: Running): Effect.Effect<void> =>
    link.idle.pipe(
      Effect.timeoutOrElse({ duration: config.moveDrain, orElse: () => Effect.void }),
      Effect.raceFirst(Deferred.await(link.end)),
      Effect.andThen(link.leave)
    )

  return SocketServer.SocketServer.of({
    // Required by the type; nobody can connect to an agent.
    address: NetAddress.unixPathAddress("outbound"),
    run: (handler) => Effect.scoped(keep(handler))
  })
})

/**
 * Gives each link to the gateway to the handler as a socket.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SocketServer.SocketServer, never, Settings> = Layer.effect(
  SocketServer.SocketServer,
  make
)

/** What the other side said beside frames. */
interface Reply {
  refusal: Refusal | undefined
  ending: Socket.SocketError | undefined
}

class Calls {
  #count = 0
  #seen = 0
  readonly #waiting = new Set<() => void>()

  add(): void {
    this.#count++
    this.#seen++
  }

  remove(): void {
    this.#count--
    if (this.#count > 0) return
    for (const done of this.#waiting) done()
    this.#waiting.clear()
  }

  /**
   * Waits until there was no call for so long: the last answer leaves after its call has ended, and a call may be on its
   * way whose sender did not know of the other link yet.
   */
  idleFor(grace: Duration.Duration): Effect.Effect<void> {
    return Effect.flatMap(this.#idle, () => {
      const seen = this.#seen
      return Effect.flatMap(Effect.sleep(grace), () => this.#seen === seen ? Effect.void : this.idleFor(grace))
    })
  }

  readonly #idle: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.#count === 0) return resume(Effect.void)
    const done = (): void => resume(Effect.void)
    this.#waiting.add(done)
    return Effect.sync(() => this.#waiting.delete(done))
  })
}

const dial = (
  open: OutboundSocket,
  settings: Settings["Service"],
  reply: Reply
): Effect.Effect<Socket.WebSocketLike, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      open({
        url: settings.url,
        token: settings.token,
        refused: (refusal) => {
          reply.refusal = refusal
        }
      })
    ),
    (socket) => Effect.sync(() => socket.close(1000))
  )

const guarded = (
  socket: Socket.Socket,
  reply: Reply,
  config: Pick<ProgramConfig, "readSilence" | "staleFrame">,
  clocks: { readonly wall: () => number; readonly monotonic: () => number }
): Socket.Socket => {
  const stale = Duration.toMillis(config.staleFrame)
  return Socket.make({
    writer: socket.writer,
    reader: socket.reader.pipe(
      Effect.map((reader) => {
        let wall = clocks.wall()
        let monotonic = clocks.monotonic()
        const pull = Effect.timeoutOrElse(reader.pull, {
          duration: config.readSilence,
          orElse: () => Effect.fail(readError("the gateway is silent"))
        }).pipe(
          Effect.flatMap((frames) => {
            const gap = Math.max(clocks.wall() - wall, clocks.monotonic() - monotonic)
            wall = clocks.wall()
            monotonic = clocks.monotonic()
            return gap > stale
              ? Effect.fail(readError(`nothing was read for ${Math.round(gap)} ms, what came since is dropped`))
              : Effect.succeed(frames)
          }),
          Effect.tapError((error) =>
            Effect.sync(() => {
              reply.ending = error
            })
          )
        )
        return { ...reader, pull }
      }),
      Effect.tapError((error) =>
        Effect.sync(() => {
          reply.ending = error
        })
      )
    )
  })
}

const readError = (message: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error(message) }) })

const verdictOf = (
  { ending, refusal }: Reply,
  config: Pick<ProgramConfig, "backoffCap" | "displacedPause">
): Verdict => {
  if (refusal !== undefined) {
    const why = refusal.status === 503
      ? "the gateway is overloaded"
      : refusal.status === 429
      ? "this agent has come too often"
      : `answered ${refusal.status}`
    if (refusal.status === 503 || refusal.status === 429) {
      const seconds = Number(refusal.retryAfter)
      return seconds > 0
        ? { _tag: "Later", why, delay: Duration.min(Duration.seconds(seconds), config.displacedPause) }
        : { _tag: "Lost", why }
    }
    // No other answer to a handshake becomes right by asking more often.
    return refusal.status >= 400 && refusal.status < 500 ? { _tag: "Refused", why } : { _tag: "Lost", why }
  }
  const reason = ending?.reason
  if (reason === undefined) return { _tag: "Lost", why: "left" }
  if (reason._tag !== "SocketCloseError") return { _tag: "Lost", why: describe(reason) }
  switch (reason.code) {
    case CloseCode.displaced:
      return { _tag: "Displaced" }
    case CloseCode.revoked:
      return { _tag: "Refused", why: "the token was revoked" }
    case CloseCode.incompatible:
      return { _tag: "Refused", why: "the gateway does not speak this version" }
    default:
      return { _tag: "Lost", why: `closed with ${reason.message}` }
  }
}

const describe = (reason: Exclude<Socket.SocketErrorReason, Socket.SocketCloseError>): string => {
  const cause: unknown = "cause" in reason ? reason.cause : undefined
  const message = typeof cause === "object" && cause !== null && "message" in cause ? cause.message : undefined
  return typeof message === "string" && message !== "" ? message : reason._tag
}

const text = (verdict: Verdict): string => {
  switch (verdict._tag) {
    case "Lost":
    case "Refused":
    case "Later":
      return verdict.why
    case "Displaced":
      return "another run of this agent has taken its place"
  }
}

const randomPart = (whole: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.next, (part) => Duration.millis(Duration.toMillis(whole) * part))
