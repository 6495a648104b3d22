/**
 * Reads instruction files through an agent: regular files inside the workspace folder, in bounded size.
 *
 * Before a file is read every part of its path is looked at, without following links: the file must be a regular one and
 * what leads to it folders. So a link to a private key, as a repository can hold one, is not read.
 *
 * **Gotchas**
 *
 * What changes between the look and the read is not seen, nor is a hard link. Both take somebody who runs programs in the
 * workspace, and who could as well have copied the key into the file.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { AgentConnection, Files } from "../agent/AgentConnection.ts"
import { Unsupported } from "../domain/Errors.ts"
import type { FilesError } from "../domain/Errors.ts"
import type { InstructionFile } from "../store/InstructionStore.ts"
import * as ModelText from "../tool/ModelText.ts"
import type { TurnConfig } from "./TurnConfig.ts"

/**
 * The files there are, in the order of their names in the configuration. Fails where the agent did not answer; what it
 * refuses to read is not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (
  connection: AgentConnection,
  config: TurnConfig
): Effect.Effect<ReadonlyArray<InstructionFile>, FilesError> => {
  // Without a look at what stands at a path, a link cannot be told from a file.
  const missing = (["files", "directories"] as const).find((feature) => !connection.features.has(feature))
  if (missing !== undefined) return Effect.fail(new Unsupported({ feature: missing }))
  const names = config.instructionNames.filter(isInside).slice(0, config.instructionFiles)
  return Effect.map(
    Effect.forEach(names, (name) => readOne(connection.files, name, config.instructionFileBytes), { concurrency: 4 }),
    (files) => fitting(files.filter((file) => file !== undefined), config.instructionBytes)
  )
}

/** A path that names nothing but what is in the folder. */
const isInside = (name: string): boolean =>
  name.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\\"))

const readOne = Effect.fnUntraced(function*(
  files: Files,
  path: string,
  limit: number
): Effect.fn.Return<InstructionFile | undefined, FilesError> {
  if (!(yield* isRegular(files, path))) return undefined
  const { bytes, size } = yield* files.read(path, { offset: 0, limit })
  // As git decides it: text has no zero bytes.
  if (bytes.subarray(0, 8000).includes(0)) return undefined
  const truncated = size > bytes.length || bytes.length > limit
  const shown = ModelText.head(bytes, limit)
  const { text } = ModelText.fromBytes(
    truncated ? shown.subarray(0, shown.length - ModelText.incomplete(shown)) : shown
  )
  return text.trim() === "" ? undefined : { path, content: text, size: Math.max(size, bytes.length), truncated }
}, Effect.catchTag("FileError", () => Effect.undefined))

const isRegular = Effect.fnUntraced(function*(files: Files, path: string): Effect.fn.Return<boolean, FilesError> {
  const parts = path.split("/")
  for (let count = 1; count < parts.length; count++) {
    const { type } = yield* files.stat(parts.slice(0, count).join("/"))
    if (type !== "directory") return false
  }
  return (yield* files.stat(path)).type === "file"
})

/** The first files whole, the one that does not fit cut, of those behind it nothing but that they are there. */
const fitting = (files: ReadonlyArray<InstructionFile>, limit: number): ReadonlyArray<InstructionFile> => {
  let room = limit
  return files.map((file) => {
    const bytes = new TextEncoder().encode(file.content)
    const shown = ModelText.head(bytes, room)
    room -= shown.length
    return shown.length === bytes.length
      ? file
      : { ...file, content: new TextDecoder().decode(shown), truncated: true }
  })
}
