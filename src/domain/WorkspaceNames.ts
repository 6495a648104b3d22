/**
 * Names for workspaces that somebody named badly, or not at all.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { WorkspaceName } from "./Workspace.ts"

/**
 * The names to try, best first: the wished one if it can be one, then one made up for each suffix, from the wish or,
 * where there is none, from the name of the template. A suffix is four hexadecimal digits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const candidates = (options: {
  readonly wanted?: string | undefined
  readonly templateName: string
  readonly suffixes: readonly [string, ...ReadonlyArray<string>]
}): readonly [WorkspaceName, ...Array<WorkspaceName>] => {
  const wanted = (options.wanted ?? "").trim()
  const base = baseOf(wanted === "" ? options.templateName : wanted)
  const [suffix, ...suffixes] = options.suffixes
  const name = (suffix: string) => WorkspaceName.make(`${base}-${suffix}`)
  const made: readonly [WorkspaceName, ...Array<WorkspaceName>] = [name(suffix), ...suffixes.map(name)]
  return isName(wanted) ? [wanted, ...made] : made
}

const isName = Schema.is(WorkspaceName)

/** What is left of a text when all that a name cannot have is taken away, short enough for a suffix. */
const baseOf = (seed: string): string => {
  const letters = seed.toLowerCase().replace(/[^a-z0-9-]/g, "").replace(/-+/g, "-").replace(/^-/, "")
  const base = letters.slice(0, baseLength).replace(/-$/, "")
  return base === "" ? "workspace" : base
}

const baseLength = 27
