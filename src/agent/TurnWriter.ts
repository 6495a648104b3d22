/**
 * Writes to a socket what is said in one turn of the event loop as one frame.
 *
 * Many calls in flight are answered together, since that is how bytes come, and their callers go on in one turn. A write
 * for each of them costs more than all else that is done for a call. One call alone waits for nothing: its frame goes out
 * at the end of the same turn.
 *
 * **Gotchas**
 *
 * A write ends before its frame has left, and does not tell that it could not: the reader of the socket does. It is for
 * serializations whose texts can stand one behind the other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"

/**
 * Characters of frames that are put together; a longer one goes alone. Far below what a peer takes as one frame, also
 * when each character is three bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const togetherLimit = 64 * 1024

/**
 * For one opening of a socket: frames that are not written when the scope closes are dropped.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (writer: Socket.Writer): Effect.Effect<Socket.Writer, never, Scope.Scope> =>
  Effect.map(Scope.Scope, (scope) => {
    let frames: Array<string | Uint8Array> = []
    const flush = Effect.suspend(() => {
      const [first, ...others] = frames
      frames = []
      return first === undefined ? Effect.void : Effect.ignore(writer.writeAll([first, ...others]))
    })
    const write: Socket.Writer["write"] = (chunk) =>
      Effect.suspend(() => {
        if (Socket.isCloseEvent(chunk)) return writer.write(chunk)
        const last = frames.at(-1)
        if (typeof chunk === "string" && typeof last === "string" && last.length + chunk.length <= togetherLimit) {
          frames[frames.length - 1] = last + chunk
          return Effect.void
        }
        frames.push(chunk)
        if (frames.length > 1) return Effect.void
        // In a fiber of the socket's: a caller that is interrupted must not take the frames of others with it.
        return Effect.asVoid(Effect.forkIn(Effect.andThen(endOfTurn, flush), scope, { startImmediately: true }))
      })
    return { write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) }
  })

const endOfTurn = Effect.callback<void>((resume) => queueMicrotask(() => resume(Effect.void)))
