/** Folders of templates, in a folder. */
import { Effect, type Scope } from "effect"
import { cpSync, mkdirSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { folder } from "./commandLine.ts"

const shipped = fileURLToPath(new URL("../../../templates/local", import.meta.url))

/** Those given, by their ids, as the content of their files; and the shipped one for this host if it is wanted. */
export const templates = Effect.fnUntraced(function*(
  files: Readonly<Record<string, unknown>>,
  options: { readonly local: boolean }
): Effect.fn.Return<string, never, Scope.Scope> {
  const path = yield* folder
  if (options.local) cpSync(shipped, Path.join(path, "local"), { recursive: true })
  for (const [id, file] of Object.entries(files)) {
    mkdirSync(Path.join(path, id))
    writeFileSync(Path.join(path, id, "template.json"), JSON.stringify(file))
  }
  return path
})

/** The provider of a template by its command for a start; the others do nothing. */
export const command = (start: string, options: { readonly repeatable?: boolean } = {}) => ({
  type: "command",
  start,
  stop: "true",
  delete: "true",
  ...options
})
