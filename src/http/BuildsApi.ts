/**
 * Builds over HTTP: what became of one, its log, and both as they go on. The handlers are in `BuildsHandlers`.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Lifecycle } from "../domain/Agent.ts"
import { BuildRecord, LogLine } from "../domain/Build.ts"
import { BuildProgress } from "../domain/BuildProgress.ts"
import { BuildId } from "../domain/Ids.ts"
import { Authorization } from "./Authentication.ts"
import * as EventStream from "./EventStream.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

/** As large as a line number can be where it is stored. */
const LineNumber = Schema.Natural.check(Schema.isLessThanOrEqualTo(2_147_483_647))

/**
 * Lines of a log. `next` is the `after` of the page that follows, also while nothing follows yet; null when the build has
 * ended and no more lines come.
 *
 * @since 0.1.0
 * @category models
 */
export const LogPage = Schema.Struct({
  lines: Schema.Array(LogLine),
  next: Schema.NullOr(LineNumber)
})

/**
 * What is told of a build while it is followed: each line of its log, how far the wait for it is, and in the end what it
 * came to. `failure` says why it did not succeed. The rest is about the agent of a start that succeeded, null where
 * nothing is wrong: it did not come, there is none, or which one is not clear; its start-up scripts failed, took too long,
 * or could not be asked about.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildEvent = Schema.Union([
  Schema.TaggedStruct("Line", LogLine.fields),
  Schema.TaggedStruct("Progress", { progress: BuildProgress }),
  Schema.TaggedStruct("End", {
    record: BuildRecord,
    failure: Schema.NullOr(Schema.String),
    agentStatus: Schema.NullOr(Schema.Literals(["not_ready", "no_agent", "selection_error"])),
    agentError: Schema.NullOr(Schema.String),
    startupScripts: Schema.NullOr(
      Schema.Literals(["startup_scripts_failed", "startup_scripts_timeout", "startup_scripts_unknown"])
    ),
    lifecycle: Schema.NullOr(Lifecycle)
  })
]).annotate({ identifier: "BuildEvent" })

/**
 * @since 0.1.0
 * @category models
 */
export type BuildEvent = typeof BuildEvent.Type

const params = { buildId: BuildId }

const get = HttpApiEndpoint.get("get", "/builds/:buildId", {
  params,
  success: BuildRecord,
  error: [Problems.notFound, Problems.storeError]
}).annotateMerge(
  OpenApi.annotations({ summary: "Read a build", description: "How far a build is, or what it came to." })
)

const log = HttpApiEndpoint.get("log", "/builds/:buildId/log", {
  params,
  query: {
    after: Schema.optionalKey(LineNumber).pipe(Schema.annotateKey({ description: "The `next` of the page before" }))
  },
  success: LogPage,
  error: [Problems.notFound, Problems.storeError]
}).annotateMerge(OpenApi.annotations({
  summary: "Read the log of a build",
  description:
    "The lines behind the one with the number `after`, a page at a time. `next` is the `after` of the page that " +
    "follows, null at the end."
}))

const events = HttpApiEndpoint.get("events", "/builds/:buildId/events", {
  params,
  headers: EventStream.headers,
  query: EventStream.query,
  success: EventStream.schema(Schema.toCodecJson(BuildEvent)),
  error: [Problems.notFound, Problems.tooManyStreams, Problems.storeError]
}).annotateMerge(OpenApi.annotations({
  summary: "Follow a build",
  description: "Server-sent events until the build has ended and, where it is a start, its agent has come and the " +
    "start-up scripts are done: `Line`, `Progress` and, last, `End`. The id of each is the number of the last line before " +
    "or in it, so that `Last-Event-ID` goes on behind that line."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class BuildsApi extends HttpApiGroup.make("builds")
  .add(get, log, events)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Builds", description: "Starts, stops and deletions of workspaces." }))
{}
