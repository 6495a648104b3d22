/**
 * The same decision by hand, with promises and abort signals: what the lazy dial is measured against.
 *
 * It makes the same promises: the dial starts at once, validation at the delay or at the failure, one validation, at
 * most two dials, a late connection is released, and a dial that ignores its signal delays nobody.
 */

export interface PlainOptions<Id, C> {
  readonly id: Id
  readonly dial: (id: Id, signal: AbortSignal) => Promise<C>
  readonly release: (connection: C) => void
  /** Answers the right id, or `undefined` when there is none. */
  readonly validate: (signal: AbortSignal) => Promise<Id | undefined>
  readonly validationDelayMillis: number
  readonly signal: AbortSignal
}

export interface PlainDialed<Id, C> {
  readonly connection: C
  readonly id: Id
  readonly path: "fast" | "confirmed" | "redialed" | "switched"
}

type Settled<A> = { readonly ok: true; readonly value: A } | { readonly ok: false; readonly error: unknown }

const settle = async <A>(promise: Promise<A>): Promise<Settled<A>> => {
  try {
    return { ok: true, value: await promise }
  } catch (error) {
    return { ok: false, error }
  }
}

const aborted = (signal: AbortSignal): { readonly promise: Promise<never>; readonly stop: () => void } => {
  let listener: () => void = () => {}
  const promise = new Promise<never>((_, reject) => {
    listener = () => reject(signal.reason)
    signal.addEventListener("abort", listener, { once: true })
  })
  promise.catch(() => {})
  return { promise, stop: () => signal.removeEventListener("abort", listener) }
}

const late = Symbol("late")

export const dialPlain = async <Id, C>(options: PlainOptions<Id, C>): Promise<PlainDialed<Id, C>> => {
  options.signal.throwIfAborted()
  const caller = aborted(options.signal)
  const attempt = new AbortController()
  let validating: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let settled: Settled<C> | undefined
  const original = settle(options.dial(options.id, attempt.signal)).then((result) => settled = result)
  const abandon = () => {
    attempt.abort()
    void original.then((result) => {
      if (result.ok) options.release(result.value)
    })
  }
  const redial = async (id: Id, path: "redialed" | "switched"): Promise<PlainDialed<Id, C>> => {
    const second = new AbortController()
    const dialing = options.dial(id, second.signal)
    try {
      return { connection: await Promise.race([dialing, caller.promise]), id, path }
    } catch (error) {
      second.abort()
      dialing.then(options.release, () => {})
      throw error
    }
  }
  try {
    const delay = new Promise<typeof late>((resolve) => {
      timer = setTimeout(resolve, options.validationDelayMillis, late)
    })
    const early = await Promise.race([original, delay, caller.promise])
    clearTimeout(timer)
    if (early !== late && early.ok) return { connection: early.value, id: options.id, path: "fast" }

    validating = new AbortController()
    const validation = settle(options.validate(validating.signal))
    const won = await Promise.race([
      validation.then((result) => result.ok ? undefined : original),
      original.then((result) => result.ok ? result : validation.then(() => undefined)),
      caller.promise
    ])
    if (won !== undefined && won.ok) return { connection: won.value, id: options.id, path: "fast" }
    const current = await validation
    if (!current.ok) throw current.error
    if (current.value === undefined) throw new Error("there is none")
    if (current.value !== options.id) {
      abandon()
      return await redial(current.value, "switched")
    }
    if (settled?.ok === false) return await redial(options.id, "redialed")
    const result = await Promise.race([original, caller.promise])
    if (!result.ok) throw result.error
    return { connection: result.value, id: options.id, path: "confirmed" }
  } catch (error) {
    abandon()
    throw error
  } finally {
    clearTimeout(timer)
    validating?.abort()
    caller.stop()
  }
}

/** One open connection by agent id, lent while it is live, closed by a timer when nobody has used it for a while. */
export class PlainConnections<C extends { readonly liveness: () => string }> {
  private readonly entries = new Map<string, { connection: C; users: number; idle: NodeJS.Timeout | undefined }>()
  private readonly connection: C
  private readonly idleMillis: number

  constructor(connection: C, idleMillis: number) {
    this.connection = connection
    this.idleMillis = idleMillis
  }

  lend(id: string) {
    let entry = this.entries.get(id)
    if (entry === undefined || entry.connection.liveness() !== "live") {
      entry = { connection: this.connection, users: 0, idle: undefined }
      this.entries.set(id, entry)
    }
    entry.users++
    clearTimeout(entry.idle)
    return entry
  }

  async use<A>(id: string, f: (connection: C) => Promise<A>): Promise<A> {
    const entry = this.lend(id)
    try {
      return await f(entry.connection)
    } finally {
      if (--entry.users === 0) entry.idle = setTimeout(() => this.entries.delete(id), this.idleMillis)
    }
  }
}
