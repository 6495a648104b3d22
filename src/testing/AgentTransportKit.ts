/**
 * What every transport has to keep, as cases to run against one's own.
 *
 * The kit knows no test framework: a case is a name and an Effect that fails with `KitFailure`. A transport is asked only
 * for what it declares: each case names the features it needs, and the verbs of the harness (an agent that arrives late,
 * a link that is cut, a program that freezes) that a transport may not have.
 *
 * **Example** (With any runner of tests)
 *
 * ```ts
 * import { AgentTransportKit } from "chat-workspace/testing"
 * import { Effect } from "effect"
 *
 * declare const harness: AgentTransportKit.Harness
 *
 * for (const { name, run } of AgentTransportKit.casesFor(harness)) {
 *   test(name, () => Effect.runPromise(Effect.scoped(run)))
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Feature } from "../agent/Feature.ts"
import { type Case, KitFailure, type Skipped } from "./Kit.ts"
import { deaths } from "./TransportDeaths.ts"
import {
  bytesOf,
  caseTimeout,
  type Definition,
  definition,
  expect,
  failureOf,
  type Harness,
  type Kit,
  operation,
  patience,
  textOf,
  type Verb
} from "./TransportWords.ts"

export { type Commands, type Harness, shellChatty, shellCommands, type Verb } from "./TransportWords.ts"

/**
 * The cases whose features the transport declares and whose verbs the harness has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = (harness: Harness): ReadonlyArray<Case> => {
  const absent = (verb: Verb): () => Effect.Effect<never, KitFailure> => () =>
    Effect.fail(new KitFailure({ expectation: "a case names the verbs it uses", actual: verb }))
  const dial: Kit["dial"] = (agentId) => Effect.timeout(harness.transport.dial(agentId), patience)
  const kit: Kit = {
    ...harness,
    absent: harness.absent ?? absent("absent")(),
    arrive: harness.arrive ?? absent("arrive"),
    drop: harness.drop ?? absent("drop"),
    replace: harness.replace ?? absent("replace"),
    freeze: harness.freeze ?? absent("freeze"),
    thaw: harness.thaw ?? absent("thaw"),
    halfOpen: harness.halfOpen ?? absent("halfOpen"),
    heal: harness.heal ?? absent("heal"),
    chatty: harness.chatty ?? harness.commands.missing,
    dial,
    connect: Effect.flatMap(harness.up, dial)
  }
  return definitions.filter((definition) => missing(harness, definition).length === 0)
    .map(({ name, run }) => ({ name, run: Effect.timeout(run(kit), caseTimeout) }))
}

/**
 * The others, and what they lack.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = (harness: Harness): ReadonlyArray<Skipped> =>
  definitions.map((definition) => ({ name: definition.name, missing: missing(harness, definition) }))
    .filter(({ missing }) => missing.length > 0)

const missing = (harness: Harness, { features, verbs }: Definition): ReadonlyArray<string> => [
  ...features.filter((feature) => !harness.transport.features.has(feature)),
  ...verbs.filter((verb) => harness[verb] === undefined)
]

/** More than one chunk, and characters of several bytes across its border. */
const longText = "häuser – 工作区 – ".repeat(20_000)

const definitions: ReadonlyArray<Definition> = [
  definition(
    "a dial of an agent that is there opens a connection to it",
    [],
    Effect.fnUntraced(function*({ dial, transport, up }) {
      const agentId = yield* up
      const connection = yield* dial(agentId)
      yield* expect("the connection is to the agent that was dialed", connection.agentId, agentId)
      yield* expect("it is not closed", connection.liveness() === "closed", false)
      yield* expect("the agent is not called absent", transport.presence(agentId) === "absent", false)
      const more = Array.from(connection.features).filter((feature) => !transport.features.has(feature))
      yield* expect("it can do no more than its transport declares", more.length, 0)
    })
  ),
  definition(
    "what is not declared is unsupported, and says so at once",
    [],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { features, files, mcp, processes } = yield* connect
      const id = yield* operation
      const calls: ReadonlyArray<readonly [Feature, Effect.Effect<unknown, { readonly _tag: string }>]> = [
        ["run", processes.run({ id, argv: commands.endless })],
        ["processes", processes.start({ id, argv: commands.endless })],
        ["processes", processes.output(id)],
        ["processes", Stream.runDrain(processes.follow(id))],
        ["processes", processes.list],
        ["processes", processes.signal(id, "SIGTERM")],
        ["files", files.read("x")],
        ["files", files.write({ id, path: "x", bytes: new Uint8Array() })],
        ["files", files.edit({ id, files: [] })],
        ["directories", files.stat("x")],
        ["directories", files.list("x")],
        // Where there is no such call nobody can make it.
        ...(mcp === undefined ? [] : [
          ["mcp", mcp.tools()] as const,
          ["mcp", mcp.call({ server: "x", tool: "x", arguments: {} })] as const
        ])
      ]
      for (const [feature, call] of calls) {
        if (features.has(feature)) continue
        yield* expect(
          `a call that needs ${feature} fails with Unsupported`,
          yield* Effect.timeout(failureOf(call), patience),
          "Unsupported"
        )
      }
    })
  ),
  definition(
    "the tools of the workspace's own servers can be listed, and a server that it does not have refuses the call",
    ["mcp"],
    Effect.fnUntraced(function*({ connect }) {
      const { mcp } = yield* connect
      if (mcp === undefined) return yield* expect("a connection that declares mcp has its calls", false, true)
      const { reason, servers } = yield* Effect.timeout(mcp.tools({ wait: "1 second" }), patience)
      yield* expect("nothing is wrong with the file that names them", reason, null)
      const server = `not-${servers.map(({ name }) => name).join("-")}`
      const call = mcp.call({ server, tool: "x", arguments: {} })
      yield* expect("the call is refused", yield* Effect.timeout(failureOf(call), patience), "McpRefused noServer")
    })
  ),
  definition(
    "a command answers its output and its code",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const result = yield* processes.run({ id: yield* operation, argv: commands.print("grüße", 3) })
      yield* expect("the code is that of the command", result.code, 3)
      yield* expect("the output is that of the command", textOf(result.output.pieces), "grüße")
      yield* expect("the state is the end", result.output.state._tag, "Exited")
    })
  ),
  definition(
    "an operation id runs its command once, and another command not at all",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      const first = yield* processes.run({ id, argv: commands.unique })
      const again = yield* processes.run({ id, argv: commands.unique })
      yield* expect(
        "the same id answers the first outcome",
        textOf(again.output.pieces),
        textOf(first.output.pieces)
      )
      const other = yield* processes.run({ id: yield* operation, argv: commands.unique })
      yield* expect(
        "another id runs it anew",
        textOf(other.output.pieces) === textOf(first.output.pieces),
        false
      )
      yield* expect(
        "the same id for another command is refused",
        yield* failureOf(processes.run({ id, argv: commands.print("other", 0) })),
        "OperationRefused conflict"
      )
    })
  ),
  definition(
    "a program that is not there is CommandNotFound",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      yield* expect(
        "the failure is CommandNotFound",
        yield* failureOf(processes.run({ id: yield* operation, argv: commands.missing })),
        "CommandNotFound"
      )
    })
  ),
  definition(
    "a deadline is kept, and says that the command may have run",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      const error = yield* processes.run({ id, argv: commands.endless }, { timeout: "300 millis" }).pipe(
        Effect.flip,
        Effect.timeout(patience)
      )
      yield* expect("the failure is CallTimedOut", error._tag, "CallTimedOut")
      if (error._tag !== "CallTimedOut") return
      yield* expect("it names the operation", error.operationId, id)
      yield* expect("it says that the command may have run", error.sent, "mayHaveRun")
      const next = yield* processes.run({ id: yield* operation, argv: commands.print("next", 0) })
      yield* expect("the connection is as good as before", textOf(next.output.pieces), "next")
    })
  ),
  definition(
    "an interrupted command gives its caller back at once",
    ["run"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const call = yield* Effect.forkChild(processes.run({ id: yield* operation, argv: commands.endless }))
      yield* Effect.sleep("100 millis")
      yield* Effect.timeout(Fiber.interrupt(call), patience)
      const next = yield* processes.run({ id: yield* operation, argv: commands.print("next", 0) })
      yield* expect("the connection is as good as before", textOf(next.output.pieces), "next")
    })
  ),
  definition(
    "a started process is listed, followed to its end, and its output kept",
    ["processes"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      yield* processes.start({ id, argv: commands.print("kept output", 4) })
      const events = yield* Effect.timeout(Stream.runCollect(processes.follow(id)), patience)
      const last = events.at(-1)
      yield* expect("a follower hears the output", textOf(events), "kept output")
      yield* expect("a follower hears the end last", last?._tag === "Exited" ? last.code : last?._tag, 4)
      const kept = yield* processes.output(id, { from: 5 })
      yield* expect("the output is there by id, from an offset on", textOf(kept.pieces), "output")
      yield* expect("it is listed", (yield* processes.list).some((info) => info.id === id), true)
      yield* expect(
        "a start that is repeated answers the present state",
        (yield* processes.start({ id, argv: commands.print("kept output", 4) }))._tag,
        "Exited"
      )
    })
  ),
  definition(
    "a process runs on by itself until it is signalled",
    ["processes"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      const argv = commands.endless
      yield* expect("it runs", (yield* processes.start({ id, argv }))._tag, "Running")
      yield* expect("its output is there without waiting", (yield* processes.output(id)).state._tag, "Running")
      yield* processes.signal(id, "SIGKILL")
      const events = yield* Effect.timeout(Stream.runCollect(processes.follow(id)), patience)
      const last = events.at(-1)
      yield* expect("it ended by the signal", last?._tag === "Exited" ? last.signal : last?._tag, "SIGKILL")
    })
  ),
  definition(
    "a deadline leaves the process running under its id",
    ["run", "processes"],
    Effect.fnUntraced(function*({ commands, connect }) {
      const { processes } = yield* connect
      const id = yield* operation
      yield* failureOf(processes.run({ id, argv: commands.endless }, { timeout: "300 millis" }))
      yield* expect("it still runs", (yield* processes.output(id)).state._tag, "Running")
      yield* processes.signal(id, "SIGKILL")
    })
  ),
  definition(
    "an id that was never seen is refused as unknown",
    ["processes"],
    Effect.fnUntraced(function*({ connect }) {
      const { processes } = yield* connect
      yield* expect(
        "its output is refused",
        yield* failureOf(processes.output(yield* operation)),
        "OperationRefused unknown"
      )
    })
  ),
  definition(
    "a file is written and read, whole and in part",
    ["files"],
    Effect.fnUntraced(function*({ connect, path }) {
      const { files } = yield* connect
      const file = path("written")
      const bytes = bytesOf(longText)
      const version = yield* files.write({ id: yield* operation, path: file, bytes })
      const whole = yield* files.read(file)
      yield* expect("what is read is what was written", new TextDecoder().decode(whole.bytes), longText)
      yield* expect("its size is known", whole.size, bytes.length)
      yield* expect("its version is the one that the write answered", whole.version, version)
      const part = yield* files.read(file, { offset: 300_000, limit: 100 })
      yield* expect("a part has its offset", part.offset, 300_000)
      yield* expect(
        "a part is what lies there",
        Array.from(part.bytes).join(),
        Array.from(bytes.slice(300_000, 300_100)).join()
      )
      const large = path("large")
      yield* files.write({ id: yield* operation, path: large, bytes: new Uint8Array(2 ** 20 + 1) })
      yield* expect(
        "a file larger than one answer is not cut",
        yield* failureOf(files.read(large)),
        "FileError tooLarge"
      )
      const rest = yield* files.read(large, { offset: 2 ** 20 - 1 })
      yield* expect("but its parts are read", rest.bytes.length, 2)
      const empty = path("empty")
      yield* files.write({ id: yield* operation, path: empty, bytes: new Uint8Array() })
      yield* expect("an empty file is one", (yield* files.read(empty)).size, 0)
      yield* expect(
        "a file that is not there is notFound",
        yield* failureOf(files.read(path("missing"))),
        "FileError notFound"
      )
    })
  ),
  definition(
    "a call that was made ready before looks when it is run, and anew each time",
    ["files"],
    Effect.fnUntraced(function*({ connect, path }) {
      const { files } = yield* connect
      const file = path("later")
      const read = Effect.map(files.read(file), ({ bytes }) => new TextDecoder().decode(bytes))
      for (const text of ["first", "second"]) {
        yield* files.write({ id: yield* operation, path: file, bytes: bytesOf(text) })
        yield* expect("it reads what is there now", yield* read, text)
      }
    })
  ),
  definition(
    "a write happens once by its id, and only on the version it expects",
    ["files"],
    Effect.fnUntraced(function*({ connect, path }) {
      const { files } = yield* connect
      const file = path("once")
      const id = yield* operation
      const write = files.write({ id, path: file, bytes: bytesOf("first"), expect: "absent" })
      const first = yield* write
      yield* files.write({ id: yield* operation, path: file, bytes: bytesOf("second"), expect: first })
      yield* expect("the same id answers what the first came to", yield* write, first)
      const content = yield* files.read(file)
      yield* expect("and writes nothing again", new TextDecoder().decode(content.bytes), "second")
      for (const expectation of ["absent", first] as const) {
        yield* expect(
          "a file that is another than expected is left alone",
          yield* failureOf(
            files.write({ id: yield* operation, path: file, bytes: bytesOf("third"), expect: expectation })
          ),
          "FileChanged"
        )
      }
    })
  ),
  definition(
    "edits are checked together before the first file is changed",
    ["files"],
    Effect.fnUntraced(function*({ connect, path }) {
      const { files } = yield* connect
      const [one, two] = [path("one"), path("two")]
      const text = (file: string) => Effect.map(files.read(file), ({ bytes }) => new TextDecoder().decode(bytes))
      yield* files.write({ id: yield* operation, path: one, bytes: bytesOf("a b a") })
      yield* files.write({ id: yield* operation, path: two, bytes: bytesOf("c") })
      yield* expect(
        "a text that is not there fails all",
        yield* failureOf(files.edit({
          id: yield* operation,
          files: [
            { path: one, edits: [{ find: "b", replace: "x" }] },
            { path: two, edits: [{ find: "nowhere", replace: "x" }] }
          ]
        })),
        "FileError noMatch"
      )
      yield* expect("nothing was changed", yield* text(one), "a b a")
      yield* expect(
        "a text that is there twice is not guessed at",
        yield* failureOf(
          files.edit({ id: yield* operation, files: [{ path: one, edits: [{ find: "a", replace: "x" }] }] })
        ),
        "FileError manyMatches"
      )
      const versions = yield* files.edit({
        id: yield* operation,
        files: [
          { path: one, edits: [{ find: "a", replace: "x", all: true }, { find: "b", replace: "y" }] },
          { path: two, edits: [{ find: "c", replace: "$& z" }] }
        ]
      })
      yield* expect("all are edited", [yield* text(one), yield* text(two)].join(), "x y x,$& z")
      yield* expect("the versions are those of the files", versions[1], (yield* files.read(two)).version)
    })
  ),
  definition(
    "stat and list tell what stands at a path",
    ["files", "directories"],
    Effect.fnUntraced(function*({ connect, path }) {
      const { files } = yield* connect
      const file = path("stat")
      yield* files.write({ id: yield* operation, path: file, bytes: bytesOf("12345") })
      const stat = yield* files.stat(file)
      yield* expect("a file has its type and size", `${stat.type} ${stat.size}`, "file 5")
      yield* expect(
        "nothing is notFound",
        yield* failureOf(files.stat(path("missing"))),
        "FileError notFound"
      )
      const folder = file.slice(0, Math.max(0, file.lastIndexOf("/")))
      const { entries } = yield* files.list(folder === "" ? "." : folder)
      const names = entries.map(({ name }) => name)
      yield* expect("a listing names the file", names.includes(file.slice(file.lastIndexOf("/") + 1)), true)
      yield* expect("and is sorted by name", names.join(), names.toSorted().join())
    })
  ),
  definition(
    "a dial of an agent that is not there waits, and ends at once when it is interrupted",
    ["absent"],
    Effect.fnUntraced(function*({ absent, transport }) {
      const agentId = yield* absent
      const dial = yield* Effect.forkChild(transport.dial(agentId))
      yield* Effect.sleep("100 millis")
      yield* expect("it waits", dial.pollUnsafe()?._tag, undefined)
      yield* Effect.timeout(Fiber.interrupt(dial), patience)
      yield* expect("the agent is not called live", transport.presence(agentId) === "live", false)
    })
  ),
  definition(
    "all dials that wait are answered when the agent comes",
    ["absent", "arrive"],
    Effect.fnUntraced(function*({ absent, arrive, transport }) {
      const agentId = yield* absent
      const scope = yield* Effect.scope
      const dials = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.forkChild(Scope.provide(transport.dial(agentId), scope))
      )
      yield* Effect.sleep("50 millis")
      yield* arrive(agentId)
      for (const dial of dials) {
        const connection = yield* Effect.timeout(Fiber.join(dial), patience)
        yield* expect("each leads to the agent", connection.agentId, agentId)
      }
    })
  ),
  definition(
    "a connection whose link is cut says so, and the agent can be dialed again",
    ["drop"],
    Effect.fnUntraced(function*({ dial, drop, up }) {
      const agentId = yield* up
      const connection = yield* dial(agentId)
      yield* drop(agentId)
      yield* expect("the reason is that it was lost", yield* Effect.timeout(connection.closed, patience), "lost")
      yield* expect("it is closed", connection.liveness(), "closed")
      const next = yield* dial(agentId)
      yield* expect("the next one is not", next.liveness() === "closed", false)
    })
  ),
  definition(
    "a newer session takes the place of the one there is",
    ["replace"],
    Effect.fnUntraced(function*({ dial, replace, up }) {
      const agentId = yield* up
      const connection = yield* dial(agentId)
      yield* replace(agentId)
      yield* expect("the old connection was replaced", yield* Effect.timeout(connection.closed, patience), "replaced")
      const next = yield* dial(agentId)
      yield* expect("the next one is open", next.liveness() === "closed", false)
    })
  ),
  definition(
    "calls to a frozen agent end at their deadline, and work when it is thawed",
    ["run", "freeze", "thaw"],
    Effect.fnUntraced(function*({ commands, dial, freeze, thaw, up }) {
      const agentId = yield* up
      const { processes } = yield* dial(agentId)
      yield* freeze(agentId)
      const error = yield* processes.run({ id: yield* operation, argv: commands.print("x", 0) }, {
        timeout: "300 millis"
      })
        .pipe(Effect.flip, Effect.timeout(patience))
      yield* expect("the failure is CallTimedOut", error._tag, "CallTimedOut")
      yield* thaw(agentId)
      const { processes: again } = yield* dial(agentId)
      const next = yield* Effect.timeout(
        again.run({ id: yield* operation, argv: commands.print("thawed", 0) }),
        patience
      )
      yield* expect("it answers again", textOf(next.output.pieces), "thawed")
    })
  ),
  ...deaths
]
