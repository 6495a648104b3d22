/** NATS in memory: what nodes say to each other, and what can happen to it on the way. */
import { Stream } from "effect"
import type { Message, Nats } from "../../../src/cluster/Nats.ts"

type Hear = (message: Message) => void

interface Subscription {
  readonly matches: (subject: string) => boolean
  readonly hear: Hear
}

/** One node's connection, and hands on it. */
export interface Line {
  readonly nats: Nats["Service"]
  /** What is said by and to this node gets lost, until `reconnect`. It is told that it was. */
  readonly disconnect: () => void
  readonly reconnect: () => void
  /** The same, but nobody is told. */
  readonly hang: (on: boolean) => void
  /** The process has gone, and the server knows. */
  readonly die: () => void
  /** What comes waits, as in the socket of a process that stands still. */
  readonly hold: () => void
  readonly release: () => void
  /** Loses the next message by this node for which this holds. */
  readonly loseNext: (which: (subject: string, data: Uint8Array) => boolean) => void
  /** The subjects that this node listens to now. */
  readonly subjects: () => ReadonlyArray<string>
}

const matcher = (pattern: string) => {
  const parts = pattern.split(".")
  return (subject: string): boolean => {
    const tokens = subject.split(".")
    return parts.at(-1) === ">"
      ? tokens.length >= parts.length &&
        parts.slice(0, -1).every((part, index) => part === "*" || part === tokens[index])
      : tokens.length === parts.length && parts.every((part, index) => part === "*" || part === tokens[index])
  }
}

export const make = () => {
  const lines = new Set<{ readonly subscriptions: Map<Subscription, string>; readonly deliver: Deliver }>()
  type Deliver = (subscription: Subscription, message: Message) => void
  /** What was handed over, also what got lost. */
  const said: Array<{ readonly subject: string; readonly data: Uint8Array; readonly reply: string | undefined }> = []

  const line = (): Line => {
    const subscriptions = new Map<Subscription, string>()
    const queue: Array<() => void> = []
    let offline = false
    let hung = false
    let held = false
    let lose: ((subject: string, data: Uint8Array) => boolean) | undefined
    let draining = false
    const drain = (): void => {
      draining = false
      for (let next = held ? undefined : queue.shift(); next !== undefined; next = held ? undefined : queue.shift()) {
        next()
      }
    }
    const deliver: Deliver = (subscription, message) => {
      if (offline || hung) return
      queue.push(() => subscription.hear(message))
      if (draining || held) return
      draining = true
      queueMicrotask(drain)
    }
    const entry = { subscriptions, deliver }
    lines.add(entry)
    const notify = (change: "lost" | "back"): void => {
      events.push(change)
      wake()
    }
    const events: Array<"lost" | "back"> = []
    let wake = (): void => undefined
    async function* status(): AsyncGenerator<"lost" | "back"> {
      while (true) {
        const next = events.shift()
        if (next !== undefined) yield next
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    }
    return {
      nats: {
        publish: (subject, data, reply) => {
          said.push({ subject, data, reply })
          if (offline || hung) return
          if (lose?.(subject, data) === true) {
            lose = undefined
            return
          }
          let heard = false
          for (const { deliver, subscriptions } of lines) {
            for (const [subscription] of subscriptions) {
              if (!subscription.matches(subject)) continue
              heard = true
              deliver(subscription, { subject, data, reply, unheard: false })
            }
          }
          if (heard || reply === undefined) return
          for (const [subscription] of subscriptions) {
            if (!subscription.matches(reply)) continue
            deliver(subscription, { subject: reply, data: new Uint8Array(), reply: undefined, unheard: true })
          }
        },
        subscribe: (subject, hear) => {
          const subscription = { matches: matcher(subject), hear }
          subscriptions.set(subscription, subject)
          return () => subscriptions.delete(subscription)
        },
        changes: Stream.fromAsyncIterable(status(), (cause) => cause).pipe(Stream.orDie)
      },
      disconnect: () => {
        offline = true
        notify("lost")
      },
      reconnect: () => {
        offline = false
        notify("back")
      },
      hang: (on) => {
        hung = on
      },
      die: () => {
        hung = true
        lines.delete(entry)
      },
      hold: () => {
        held = true
      },
      release: () => {
        held = false
        drain()
      },
      loseNext: (which) => {
        lose = which
      },
      subjects: () => Array.from(subscriptions.values())
    }
  }
  return { line, said }
}
