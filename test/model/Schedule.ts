/**
 * What every schedule is: a seed, which decides all chance, and what happens, in order, as plain data. Every action has a
 * meaning in every state (indices count modulo what there is), so that any part of a schedule is a schedule.
 */

/** With `settle` false the next action happens before any fiber runs. */
export type Action<Step> = Step & { readonly settle: boolean }

export interface Schedule<Step> {
  readonly seed: number
  readonly actions: ReadonlyArray<Action<Step>>
}

/** How much a schedule exercised, and what went wrong first. */
export interface Outcome {
  readonly violation: string | undefined
  readonly calls: number
  readonly connected: number
}

/** Indices count modulo what there is. */
export const at = <A>(all: ReadonlyArray<A>, index: number): A | undefined => all[index % Math.max(1, all.length)]

/** Draws what a schedule is made of. */
export class Draw {
  readonly next: () => number

  constructor(random: () => number) {
    this.next = random
  }

  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  chance(p: number): boolean {
    return this.next() < p
  }

  pick<const A>(from: ReadonlyArray<A>): A {
    const found = from[this.below(from.length)]
    if (found === undefined) throw new Error("nothing to pick from")
    return found
  }

  /** One of these, as often as their weights say. */
  weighted<A>(choices: ReadonlyArray<readonly [weight: number, choice: () => A]>): A {
    let left = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, choice] of choices) {
      left -= weight
      if (left < 0) return choice()
    }
    throw new Error("nothing to choose from")
  }
}

/** Violations of one kind differ in numbers only. */
export const kindOf = (violation: string | undefined): string | undefined => violation?.replace(/\d+/g, "#")

/** The smallest part of a schedule, found by leaving parts out, that still goes wrong in the same way. */
export const shrink = <Step>(
  schedule: Schedule<Step>,
  fails: (schedule: Schedule<Step>) => boolean
): Schedule<Step> => {
  let smallest = schedule
  let size = Math.max(1, Math.ceil(smallest.actions.length / 2))
  for (;;) {
    let smaller = false
    for (let from = 0; from < smallest.actions.length; from += size) {
      const actions = [...smallest.actions.slice(0, from), ...smallest.actions.slice(from + size)]
      const candidate = { ...smallest, actions }
      if (fails(candidate)) {
        smallest = candidate
        smaller = true
        from -= size
      }
    }
    if (size === 1 && !smaller) return smallest
    if (!smaller) size = Math.ceil(size / 2)
  }
}
