/**
 * A list of tools on its way: each server, followed by its tools, in chunks that fit into a frame.
 *
 * @since 0.1.0
 */
import * as Stream from "effect/Stream"
import { chunkLimit, type McpListing, type McpPart } from "../Protocol.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const stream = ({ reason, servers }: McpListing): Stream.Stream<McpPart> => {
  const file: ReadonlyArray<McpPart> = reason === null ? [] : [{ _tag: "File", reason }]
  const parts = servers.flatMap(({ name, reason, state, tools }): ReadonlyArray<McpPart> => [
    { _tag: "Server", name, state, reason },
    ...tools.map((tool): McpPart => ({ _tag: "Tool", tool }))
  ])
  const chunks: Array<Array<McpPart>> = []
  let left = 0
  for (const part of [...file, ...parts]) {
    const size = Buffer.byteLength(JSON.stringify(part))
    if (size > left) {
      chunks.push([])
      left = chunkLimit
    }
    chunks.at(-1)?.push(part)
    left -= size
  }
  return Stream.flatMap(Stream.fromIterable(chunks), (chunk) => Stream.fromIterable(chunk))
}
