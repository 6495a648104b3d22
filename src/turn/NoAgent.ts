/**
 * The errors that are no failure of the work before a turn: there is nobody in the workspace who could be asked, or the
 * agent there never answers that.
 *
 * @since 0.1.0
 */
import type { NoCurrentAgent, Unsupported } from "../domain/Errors.ts"

/**
 * @since 0.1.0
 * @category guards
 */
export const isNoAgent = <E extends { readonly _tag: string }>(
  error: E
): error is Extract<E, NoCurrentAgent | Unsupported> => tags.has(error._tag)

const tags: ReadonlySet<string> = new Set<(NoCurrentAgent | Unsupported)["_tag"]>([
  "NoWorkspace",
  "NoWorkspaceAgent",
  "AgentSelectionFailed",
  "Unsupported"
])
