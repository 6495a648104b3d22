/** Faults, drawn from a seed: which part, when, for how long; one after the other, and some over others. */
import type { Chance } from "../security/fuzz/Chance.ts"

/** The parts that can be hurt, and how many there are of each. */
export interface Parts {
  readonly backends: number
  readonly workspaces: number
  readonly nats: boolean
  /** Agents in workspaces that the backends built; they hang on one gate. */
  readonly built: number
  /** At the API, each behind a link. */
  readonly users: number
}

/** A `runner` is the backend that holds a build just then. */
export type Part =
  | "backend"
  | "runner"
  | "agent"
  | "link"
  | "builtAgent"
  | "gate"
  | "userLink"
  | "database"
  | "databaseLink"
  | "nats"

export type Hurt =
  | "killed"
  | "frozen"
  | "restarted"
  | "rebuilt"
  | "cut"
  | "flapping"
  | "refused"
  | "delayed"
  | "halfOpen"
  | "silent"
  | "moved"

export interface Fault {
  /** Milliseconds from the start. */
  readonly at: number
  readonly millis: number
  readonly part: Part
  readonly index: number
  readonly hurt: Hurt
  /** A detail that the kind of fault makes something of. */
  readonly way: boolean
}

const kinds: ReadonlyArray<readonly [Part, Hurt]> = [
  ["backend", "killed"],
  ["backend", "frozen"],
  ["backend", "restarted"],
  ["agent", "killed"],
  ["agent", "frozen"],
  ["agent", "restarted"],
  ["agent", "rebuilt"],
  ["database", "killed"],
  ["database", "frozen"],
  ["database", "restarted"],
  ["link", "cut"],
  ["link", "flapping"],
  ["link", "refused"],
  ["link", "delayed"],
  ["link", "halfOpen"],
  ["link", "silent"],
  ["link", "moved"],
  ["databaseLink", "cut"],
  ["databaseLink", "refused"],
  ["databaseLink", "delayed"],
  ["databaseLink", "halfOpen"],
  ["databaseLink", "silent"],
  ["userLink", "cut"],
  ["userLink", "flapping"],
  ["userLink", "refused"],
  ["userLink", "delayed"],
  ["userLink", "halfOpen"],
  ["userLink", "silent"],
  ["runner", "killed"],
  ["runner", "frozen"],
  ["builtAgent", "killed"],
  ["builtAgent", "frozen"],
  ["gate", "cut"],
  ["gate", "moved"]
]

const withNats: ReadonlyArray<readonly [Part, Hurt]> = [["nats", "killed"], ["nats", "frozen"]]

/** Every kind comes once before any comes again, as far as there is time. A part has one fault at a time. */
export const draw = (chance: Chance, parts: Parts, millis: number): ReadonlyArray<Fault> => {
  const all = parts.nats ? [...kinds, ...withNats] : kinds
  const faults: Array<Fault> = []
  const deck: Array<readonly [Part, Hurt]> = []
  const isBusy = (part: Part, index: number, at: number): boolean =>
    faults.some((fault) => fault.part === part && fault.index === index && fault.at + fault.millis + 500 > at)
  let at = 500 + chance.below(500)
  while (at < millis) {
    if (deck.length === 0) deck.push(...shuffled(chance, all))
    const length = longest(chance)
    const [part, hurt] = deck.shift() ?? ["link", "cut"]
    const fault: Fault = {
      at,
      millis: Math.min(length, millis - at + 500),
      part,
      index: chance.below(countOf(parts, part)),
      hurt,
      way: chance.sometimes(0.5)
    }
    // What was drawn for nothing comes again later.
    if (isBusy(part, fault.index, at)) deck.push([part, hurt])
    else faults.push(fault)
    at += chance.sometimes(0.4) ? 200 + chance.below(400) : Math.min(length, 1500) + 300 + chance.below(700)
  }
  return faults
}

const countOf = ({ backends, built, users, workspaces }: Parts, part: Part): number => {
  switch (part) {
    case "backend":
    case "databaseLink":
      return backends
    case "agent":
    case "link":
      return workspaces
    case "builtAgent":
      return built
    case "userLink":
      return users
    default:
      return 1
  }
}

/** Most are short. Some are longer than the bounds by which the other side notices. */
const longest = (chance: Chance): number => chance.sometimes(0.7) ? 200 + chance.below(1800) : 3500 + chance.below(1500)

const shuffled = <A>(chance: Chance, all: ReadonlyArray<A>): ReadonlyArray<A> => {
  const left = [...all]
  return all.flatMap(() => left.splice(chance.below(left.length), 1))
}

const single: ReadonlySet<Part> = new Set(["database", "nats", "runner", "gate"])

/** How the account names it. */
export const describe = ({ hurt, index, millis, part, way }: Fault): string => {
  const which = single.has(part) ? part : `${part} ${index + 1}`
  const detail = hurt === "cut" ? (way ? "reset" : "ended") : hurt
  return hurt === "cut" || hurt === "halfOpen" || hurt === "moved"
    ? `${which} ${detail}`
    : `${which} ${detail}, ${(millis / 1000).toFixed(1)} s`
}
