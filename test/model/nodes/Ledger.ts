/**
 * What ran in the workspaces. A command names its operation; the part before `#` is what somebody wanted done once, the
 * part behind it tells attempts apart.
 */
export class Ledger {
  private readonly runs = new Map<string, number>()
  private readonly never = new Set<string>()
  private readonly violate: (text: string) => void
  private readonly onRun: (wish: string) => void

  constructor(violate: (text: string) => void, onRun: (wish: string) => void) {
    this.violate = violate
    this.onRun = onRun
  }

  ran(operation: string): void {
    const wish = wishOf(operation)
    const runs = (this.runs.get(wish) ?? 0) + 1
    this.runs.set(wish, runs)
    if (runs > 1) this.violate("a command ran twice")
    if (this.never.has(operation)) this.violate("a command ran after its caller was told that it did not")
    this.onRun(wish)
  }

  hasRun(operation: string): boolean {
    return this.runs.has(wishOf(operation))
  }

  /** The caller was told that the command did not run, and will not. */
  ruledOut(operation: string): void {
    if (this.hasRun(operation)) this.violate("a caller was told that its command did not run, and it did")
    this.never.add(operation)
  }
}

export const wishOf = (operation: string): string => operation.slice(0, operation.indexOf("#"))
