/** The callers' own ledger: what they asked for and were told, held against what the workspaces noted. */
import type { Workspace } from "./Agents.ts"

/**
 * - `done`: it ran to its end; `ended`: it began and came to no good end
 * - `notRun`: it did not run and will not
 * - `abandoned`: it may have run, and its caller asked no more
 * - `turn`: the model's to tell; nobody was told more than that it may have run
 */
export type Told = "done" | "ended" | "notRun" | "abandoned" | "turn"

export interface Operation {
  readonly id: string
  readonly workspace: Workspace
  told: Told | undefined
  code: string
  /** How often it had begun a while after it was abandoned; what has not begun by then must not begin any more. */
  seen: number | undefined
}

export class Ledger {
  readonly operations: Array<Operation> = []
  readonly violations: Array<string> = []
  private readonly reported = new Set<string>()

  begin(workspace: Workspace): Operation {
    const id = `op-${this.operations.length + 1}`
    const operation: Operation = { id, workspace, told: undefined, code: "", seen: undefined }
    this.operations.push(operation)
    return operation
  }

  told(operation: Operation, told: Told, code: string): void {
    operation.told = told
    operation.code = code
  }

  /** Notes what a workspace has of an operation whose caller gave it up. */
  look(operation: Operation): void {
    operation.seen = operation.workspace.begun().get(operation.id) ?? 0
  }

  /** Once each. */
  violate(text: string): void {
    if (this.reported.has(text)) return
    this.reported.add(text)
    this.violations.push(text)
  }

  judge(workspaces: ReadonlyArray<Workspace>): number {
    const of = new Map(workspaces.map((workspace) => [
      workspace,
      { begun: workspace.begun(), ended: workspace.ended() }
    ]))
    for (const { code, id, seen, told, workspace } of this.operations) {
      const what = `${id} in ${workspace.name}, told ${told ?? "nothing"} (${code}),`
      const begun = of.get(workspace)?.begun.get(id) ?? 0
      const ended = of.get(workspace)?.ended.get(id) ?? 0
      if (begun > 1) this.violate(`${what} ran ${begun} times`)
      if (told === "done" && begun === 0) this.violate(`${what} is lost`)
      if (told === "done" && ended === 0) this.violate(`${what} was acknowledged before its end`)
      if (told === "notRun" && begun > 0) this.violate(`${what} ran although its caller was told that it did not`)
      if (seen !== undefined && begun > seen) this.violate(`${what} began long after its caller had given it up`)
    }
    return Array.from(of.values()).reduce(
      (sum, { begun }) => sum + Array.from(begun.values()).reduce((all, times) => all + times, 0),
      0
    )
  }
}
