/** The nodes, what they are asked, which of them should get calls, and which agents each of them holds. */
import { Effect, Redacted, Schema } from "effect"
import * as Child from "../chaos/Child.ts"
import * as Proxy from "../chaos/Proxy.ts"
import { Event, Options, Request } from "./program.ts"

/** An answer with its times, or that the process ended before it came. */
export type Answer = Omit<Extract<typeof Event.Type, { readonly _tag: "Answer" }>, "id"> | { readonly _tag: "Died" }

export interface Node {
  readonly name: string
  readonly child: Child.Child
  /** Whether a balancer sends it anything: it has said lately that it is ready. */
  readonly isInRotation: () => boolean
  readonly ask: (request: (id: string) => typeof Request.Type) => Effect.Effect<Answer>
}

/** One session of an agent with a node, in milliseconds of the machine's clock. */
export interface Held {
  readonly node: Node
  readonly agent: string
  readonly epoch: number
  readonly from: number
  to: number | undefined
  reason: string | undefined
}

export interface Nodes {
  readonly all: ReadonlyArray<Node>
  /** Those in rotation, which whoever calls chooses from. */
  readonly rotation: () => ReadonlyArray<Node>
  /** Where agents connect to: a balancer over the nodes in rotation. */
  readonly port: number
  /** Every session that there was, in the order in which they began. */
  readonly sessions: ReadonlyArray<Held>
  /** The newest session of an agent that is open. */
  readonly holder: (agent: string) => Held | undefined
}

const pollInterval = "200 millis"
const pollTimeout = 1000

export const make = Effect.fnUntraced(function*(options: {
  readonly count: number
  readonly url: Redacted.Redacted<string>
  readonly env: Readonly<Record<string, string>>
  readonly program: typeof Options.Type
}) {
  const sessions: Array<Held> = []
  const made = yield* Effect.forEach(
    Array.from({ length: options.count }, (_, index) => `node ${index + 1}`),
    (name) => one({ ...options, name, sessions }),
    { concurrency: options.count }
  )
  const all = made.map(({ node }) => node)
  yield* Effect.forEach(made, ({ look }) => look, { concurrency: "unbounded" })
  for (const { look } of made) yield* Effect.forkScoped(Effect.forever(Effect.delay(look, pollInterval)))
  let turn = 0
  const balancer = yield* Proxy.make(() => {
    const ready = made.filter(({ node }) => node.isInRotation())
    const address = ready[++turn % ready.length]?.address()
    return address === undefined ? undefined : { host: address.hostname, port: Number(address.port) }
  })
  const nodes: Nodes = {
    all,
    rotation: () => all.filter(({ isInRotation }) => isInRotation()),
    port: balancer.port,
    sessions,
    holder: (agent) => sessions.findLast((held) => held.agent === agent && held.to === undefined)
  }
  return nodes
})

const one = Effect.fnUntraced(function*({ env, name, program, sessions, url }: {
  readonly name: string
  readonly url: Redacted.Redacted<string>
  readonly env: Readonly<Record<string, string>>
  readonly program: typeof Options.Type
  readonly sessions: Array<Held>
}) {
  const waiting = new Map<string, (answer: Answer) => void>()
  let requests = 0
  let address: URL | undefined
  let isReady = false

  const gone = (): void => {
    address = undefined
    isReady = false
    const at = Date.now()
    for (const held of sessions) {
      if (held.node !== node || held.to !== undefined) continue
      held.to = at
      held.reason = "died"
    }
    for (const answer of waiting.values()) answer({ _tag: "Died" })
    waiting.clear()
  }

  const hear = (event: typeof Event.Type): void => {
    switch (event._tag) {
      case "Ready":
        address = new URL(`http://${event.address}`)
        return
      case "Gone":
        return gone()
      case "Lent":
        sessions.push({
          node,
          agent: event.agent,
          epoch: event.epoch,
          from: event.at,
          to: undefined,
          reason: undefined
        })
        return
      case "Left": {
        const held = sessions.find(({ agent, epoch }) => agent === event.agent && epoch === event.epoch)
        if (held === undefined || held.to !== undefined) return
        held.to = event.at
        held.reason = event.reason
        return
      }
      case "Answer":
        waiting.get(event.id)?.(event)
        waiting.delete(event.id)
    }
  }

  const child = yield* Child.make({
    name,
    args: [file, encodeOptions(program)],
    env: () => ({ ...env, DATABASE_URL: Redacted.value(url) }),
    onLine: (line) => hear(decode(line)),
    onExit: gone,
    isReady: () => address !== undefined
  })

  const node: Node = {
    name,
    child,
    isInRotation: () => isReady,
    ask: (request) =>
      Effect.callback<Answer>((resume) => {
        // It may have ended since it was chosen.
        if (address === undefined) return resume(Effect.succeed({ _tag: "Died" }))
        const id = `${name}-${++requests}`
        waiting.set(id, (answer) => resume(Effect.succeed(answer)))
        child.write(encode(request(id)))
      })
  }

  /** As a balancer asks: what does not answer in time is not ready. */
  const look = Effect.promise(async () => {
    const asked = address
    const answer = asked === undefined
      ? false
      : await fetch(new URL("/readyz", asked), { signal: AbortSignal.timeout(pollTimeout) })
        .then(({ ok }) => ok)
        .catch(() => false)
    isReady = answer && asked === address
  })

  yield* child.start
  return { node, look, address: () => address }
})

const file = new URL("./program.ts", import.meta.url).pathname

const encodeOptions = Schema.encodeSync(Schema.fromJsonString(Options))
const encode = Schema.encodeSync(Schema.fromJsonString(Request))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Event))
