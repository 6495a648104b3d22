/**
 * Files of an agent, called over its sessions.
 *
 * Content is put in parts under the id of the write and then written in one step, the only one with an effect: parts
 * can be put again on another link, and the write answers what the first came to.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { FileError } from "../domain/Errors.ts"
import type { AgentBusy, FileChanged, OperationRefused } from "../domain/Errors.ts"
import type { OperationId } from "../domain/Ids.ts"
import type { FileContent, Files } from "./AgentConnection.ts"
import * as Calls from "./Calls.ts"
import { Handed } from "./Link.ts"
import type { Handing } from "./Link.ts"
import { chunkLimit } from "./Protocol.ts"
import type { FileVersion, Incarnation, ReadPart } from "./Protocol.ts"
import * as ReadRange from "./ReadRange.ts"
import { fits, needs, sizeOf } from "./SessionProcesses.ts"
import type { Means } from "./SessionProcesses.ts"
import type { Session } from "./Sessions.ts"

/**
 * Bytes that one write takes, at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const writeLimit = 10 * 1024 * 1024

/**
 * Entries that one listing answers, at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const listLimit = 1000

/**
 * The files of the agent of this session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (home: Session, { calls, config }: Means): Files => {
  const deadline = config.fileCall

  const read: Files["read"] = (path, options) =>
    calls.make(
      { method: "read", home, operationId: null, deadline, repeat: "always" },
      (session) => content(session, path, ReadRange.make(options))
    )

  const write: Files["write"] = ({ bytes, expect, id, path }) =>
    Effect.suspend(() => {
      if (bytes.length > writeLimit) return refused(path, "tooLarge", `more than ${writeLimit} bytes`)
      let put = 0
      let holder: Incarnation | undefined
      return calls.make(
        { method: "write", home, operationId: id, deadline, repeat: "byId" },
        Effect.fnUntraced(function*(session: Session, handing: Handing) {
          // Parts are kept by the incarnation that got them.
          if (holder !== session.incarnation) put = 0
          holder = session.incarnation
          // A write that was handed over may have taken its parts already; it is asked for first.
          if (!handing.handed) {
            while (put < bytes.length) {
              const part = bytes.subarray(put, put + chunkLimit)
              yield* putPart(session, id, put, part)
              put += part.length
            }
          }
          return yield* Calls.ask(session, (client) =>
            Effect.provideService(
              client.Write({ id, path, size: bytes.length, expect: expect ?? null }),
              Handed,
              handing
            ))
        })
      )
    })

  const edit: Files["edit"] = ({ files, id }) =>
    Effect.suspend(() => {
      const size = sizeOf(files)
      if (!fits(size)) return refused(files[0]?.path ?? "", "tooLarge", "the edits are more than one message holds")
      return calls.make(
        { method: "edit", home, operationId: id, deadline, repeat: "byId" },
        Effect.fnUntraced(function*(session: Session, handing: Handing) {
          const versions = yield* Calls.ask(
            session,
            (client) => Effect.provideService(client.Edit({ id, files }), Handed, handing),
            size
          )
          if (versions.length !== files.length) return yield* Calls.violated(session, "versions of other files")
          return versions
        })
      )
    })

  const stat: Files["stat"] = (path) =>
    calls.make(
      { method: "stat", home, operationId: null, deadline: config.shortCall, repeat: "always" },
      (session) => Calls.ask(session, (client) => client.Stat({ path }))
    )

  const list: Files["list"] = (path) =>
    calls.make(
      { method: "list", home, operationId: null, deadline: config.shortCall, repeat: "always" },
      Effect.fnUntraced(function*(session: Session) {
        const listing = yield* Calls.ask(session, (client) => client.List({ path }))
        return listing.entries.length > listLimit
          ? yield* Calls.violated(session, "a listing that is too long")
          : listing
      })
    )

  return {
    read: (path, options) => needs(home, "files", withPath(path, read(path, options))),
    write: (options) => needs(home, "files", withPath(options.path, write(options))),
    edit: (options) => needs(home, "files", edit(options)),
    stat: (path) => needs(home, "directories", withPath(path, stat(path))),
    list: (path) => needs(home, "directories", withPath(path, list(path)))
  }
}

const refused = (path: string, reason: "tooLarge" | "invalid", detail: string): Effect.Effect<never, FileError> =>
  Effect.fail(new FileError({ path: path.slice(0, 256), reason, detail, changed: [] }))

/** A frame that is too large would cost everybody the link. */
const withPath = <A, E>(path: string, call: Effect.Effect<A, E>): Effect.Effect<A, E | FileError> =>
  path.length <= pathLimit ? call : refused(path, "invalid", "the path is too long")

const pathLimit = 16 * 1024

const putPart = (
  session: Session,
  id: OperationId,
  offset: number,
  bytes: Uint8Array
): Effect.Effect<void, FileError | FileChanged | AgentBusy | OperationRefused | Calls.LinkLost | Calls.Unanswered> =>
  Calls.ask(session, (client) => client.Put({ id, offset, bytes }), Math.ceil(bytes.length * 4 / 3))

/** One head, then parts that together are no more than was asked for. */
const content = Effect.fnUntraced(function*(
  session: Session,
  path: string,
  range: ReadRange.ReadRange
): Effect.fn.Return<FileContent, FileError | AgentBusy | Calls.LinkLost | Calls.Unanswered> {
  const { limit, offset } = range
  const parts: Array<Uint8Array> = []
  let length = 0
  let head: { readonly size: number; readonly version: FileVersion } | undefined
  const outOfOrder = Calls.violated(session, "a read out of order")
  const take = (part: ReadPart): Effect.Effect<void, FileError | Calls.Unanswered> => {
    if (part._tag === "Head") {
      if (head !== undefined) return outOfOrder
      head = part
      return ReadRange.check(range, path, part.size)
    }
    length += part.bytes.length
    if (head === undefined || part.bytes.length === 0 || length > limit) return outOfOrder
    parts.push(part.bytes)
    return Effect.void
  }
  yield* Calls.ask(
    session,
    (client) => Stream.runForEach(client.Read({ path, offset, limit }, { streamBufferSize: 1 }), take)
  )
  if (head === undefined) return yield* outOfOrder
  const bytes = new Uint8Array(length)
  let position = 0
  for (const part of parts) {
    bytes.set(part, position)
    position += part.length
  }
  return { bytes, offset, size: head.size, version: head.version }
})
