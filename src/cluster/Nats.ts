/**
 * The little of NATS that nodes need: messages that may get lost, and to hear that nobody listens.
 *
 * **Gotchas**
 *
 * - A message is gone when the connection is lost, and nobody is told. What must not get lost counts its messages.
 * - The credentials need `publish` and `subscribe` of everything below the subject prefix, and nothing else: there is no
 *   inbox. Agents and workspaces need none: keep the servers private.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

/**
 * What came. `unheard` stands for an answer of the server: nobody listened to a message of ours that named this subject
 * for the reply.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly subject: string
  readonly data: Uint8Array
  readonly reply: string | undefined
  readonly unheard: boolean
}

/**
 * @since 0.1.0
 * @category services
 */
export class Nats extends Context.Service<Nats, {
  /** Hands a message over and waits for nothing. */
  readonly publish: (subject: string, data: Uint8Array, reply?: string) => void
  /** Hears what comes from now on. What it answers ends that: what is under way then is still heard. */
  readonly subscribe: (subject: string, hear: (message: Message) => void) => () => void
  /** That the connection was lost, and that it is back with all subscriptions. */
  readonly changes: Stream.Stream<"lost" | "back">
}>()("chat-workspace/cluster/Nats") {}

/**
 * What is used of a connection, which is one of `@nats-io/transport-node` as it is, or of a package beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  readonly isClosed: () => boolean
  readonly isDraining: () => boolean
  readonly publish: (subject: string, data: Uint8Array, options: { readonly reply?: string }) => void
  readonly subscribe: (subject: string, options: {
    callback: (error: Error | null, message: Received) => void
  }) => { readonly isClosed: () => boolean; readonly drain: () => Promise<void> }
  /** Says `disconnect` and `reconnect`, among others. */
  readonly status: () => AsyncIterable<{ readonly type: string }>
}

/**
 * A message as a connection gives it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Received {
  readonly subject: string
  readonly data: Uint8Array
  readonly reply?: string | undefined
  readonly headers?: { readonly code: number } | undefined
}

/**
 * Over a connection of the application's, which stays its own to close. It should reconnect for ever, and ping every few
 * seconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConnection = (connection: Connection): Nats["Service"] =>
  Nats.of({
    publish: (subject, data, reply) => {
      // It throws once the connection is closed for good, which is one more way to lose a message.
      if (connection.isClosed()) return
      connection.publish(subject, data, reply === undefined ? {} : { reply })
    },
    subscribe: (subject, hear) => {
      if (connection.isClosed() || connection.isDraining()) return () => undefined
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) return
          hear({
            subject: message.subject,
            data: message.data,
            reply: message.reply === "" ? undefined : message.reply,
            unheard: message.headers?.code === 503
          })
        }
      })
      return () => {
        // Not `unsubscribe`, which drops what the server had sent already: who asked would get no answer at all.
        if (!subscription.isClosed()) void subscription.drain().catch(() => undefined)
      }
    },
    changes: Stream.suspend(() => Stream.fromAsyncIterable(connection.status(), (cause) => cause)).pipe(
      Stream.flatMap((status) => Stream.fromIterable(changeOf(status))),
      Stream.catchCause(() => Stream.empty),
      // A connection that was closed for good is lost for good.
      Stream.concat(Stream.succeed("lost" as const))
    )
  })

/**
 * The same as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (connection: Connection): Layer.Layer<Nats> =>
  Layer.effect(Nats, Effect.sync(() => fromConnection(connection)))

const changeOf = ({ type }: { readonly type: string }): ReadonlyArray<"lost" | "back"> =>
  type === "disconnect" ? ["lost"] : type === "reconnect" ? ["back"] : []
