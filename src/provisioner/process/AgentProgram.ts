/**
 * Where the agent program is on this host.
 *
 * @since 0.1.0
 */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

/**
 * The path of the program: the one file that needs nothing beside it where this package was built, the program's source
 * where it runs from its sources. An application that is bundled has neither, and names the file itself.
 *
 * @since 0.1.0
 * @category accessors
 */
export const path = (): string => {
  const isSource = import.meta.url.endsWith(".ts")
  const bundle = beside("../../agent.mjs")
  return !isSource && existsSync(bundle) ? bundle : beside(`../../agent/program/main${isSource ? ".ts" : ".js"}`)
}

const beside = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
