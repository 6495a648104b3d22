/**
 * `chat-workspace workspace …`: workspaces by hand. A running `serve` on the same database does the building.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isFinished } from "../../domain/Build.ts"
import type { Transition } from "../../domain/Build.ts"
import { WorkspaceNameTaken } from "../../domain/Errors.ts"
import { ChatId } from "../../domain/Ids.ts"
import type { BuildId, OwnerId } from "../../domain/Ids.ts"
import { WorkspaceName } from "../../domain/Workspace.ts"
import { Readiness } from "../../provisioner/Readiness.ts"
import type { Ready } from "../../provisioner/Readiness.ts"
import { Workspaces } from "../../provisioner/Workspaces.ts"
import type { WorkspaceOverview } from "../../store/Builds.ts"
import { ChatBindings } from "../../store/ChatBindings.ts"
import * as Bounds from "../Bounds.ts"
import * as Database from "../Database.ts"
import * as Overview from "../Overview.ts"
import * as Owner from "../Owner.ts"
import * as Provisioning from "../Provisioning.ts"
import * as WaitDisplay from "../WaitDisplay.ts"

/**
 * The workspace is not as it was asked to be; the text says what it is.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkspaceNotReady extends Schema.TaggedError<WorkspaceNotReady>()("WorkspaceNotReady", {
  text: Schema.String
}) {
  override get message(): string {
    return this.text
  }
}

const common = { ...Database.flags, ...Provisioning.flags, owner: Owner.flag }

const named = Argument.String("workspace").pipe(Argument.withDescription("Name or id of the workspace"))

/** Over a database that runs already: one that was started here would end with the command, and nobody builds on it. */
const provided = (options: Database.Options & Provisioning.Options & { readonly schema: string }) =>
  Layer.unwrap(Effect.map(Database.find(options), ({ url }) =>
    Provisioning.layerFromOutside.pipe(
      Layer.provideMerge(Provisioning.layerTemplates(options)),
      Layer.provideMerge(Database.layerStores(url, { schema: options.schema })),
      Layer.provide(Database.layerSignals(url, { schema: options.schema })),
      Layer.provide(Bounds.layer)
    )))

/** Waits for a build, and shows the wait; `old` is one that has ended before, whose log is no news. */
const watch = Effect.fnUntraced(
  function*(_name: string, buildId: BuildId, old = false) {
    const readiness = yield* Readiness
    const show = yield* WaitDisplay.make(WaitDisplay.standardError())
    return yield* readiness.of(buildId, {
      dial: false,
      report: (progress) => old && progress._tag === "Building" ? Effect.void : show(progress)
    })
  },
  Effect.scoped,
  (waiting, name) =>
    Effect.onInterrupt(
      waiting,
      () => Console.error(`What was begun goes on. Follow it with: chat-workspace workspace log ${name}`)
    )
)

/** What the workspace is in the end. */
const answer = (name: string, ready: Ready) => {
  const text = Overview.ready(name, ready)
  return ready.failure === null && ready.agentStatus === null
    ? Effect.succeed(text)
    : Effect.fail(new WorkspaceNotReady({ text }))
}

/** Asks for a build until it is the one that was asked for: what is under way is waited for first. */
const bring = Effect.fnUntraced(function*(owner: OwnerId, idOrName: string, transition: Transition) {
  const service = yield* Workspaces
  const { workspace: { name, workspaceId } } = yield* service.find(owner, idOrName)
  const shown = name ?? workspaceId
  while (true) {
    const requested = yield* service.request({ owner, workspaceId, transition, chat: null })
    const ready = yield* watch(shown, requested.build.buildId, requested._tag === "Unneeded")
    const another = requested._tag === "Unfinished" && requested.build.transition !== transition
    // One that nobody has ended in its time would be waited for again and again.
    if (!another || !isFinished(ready.record.build)) return yield* answer(shown, ready)
  }
})

const hasName = (name: string) => ({ workspace }: WorkspaceOverview) =>
  workspace.name?.toLowerCase() === name.toLowerCase()

const list = Command.make(
  "list",
  common,
  Effect.fn(function*(options) {
    const all = yield* Effect.flatMap(Workspaces, (service) => service.list(options.owner)).pipe(
      Effect.provide(provided(options))
    )
    yield* Console.log(Overview.workspaces(all))
  }, Effect.scoped)
).pipe(Command.withDescription("List the workspaces of an owner"))

const create = Command.make(
  "create",
  {
    ...common,
    template: Argument.String("template").pipe(Argument.withDescription("Id of the template")),
    name: Flag.String("name").pipe(
      Flag.withDescription("Name of the workspace (made up)"),
      Flag.withSchema(WorkspaceName),
      Flag.optional
    ),
    param: Flag.KeyValuePair("param").pipe(
      Flag.withDescription("Value of a parameter, as name=value; may be repeated"),
      Flag.withDefault({})
    ),
    chat: Flag.String("chat").pipe(
      Flag.withDescription("Chat that will work in it"),
      Flag.withSchema(ChatId),
      Flag.optional
    )
  },
  Effect.fn(function*(options) {
    const text = yield* Effect.gen(function*() {
      const service = yield* Workspaces
      const bindings = yield* ChatBindings
      const name = Option.getOrUndefined(options.name)
      // A model gets another name then, and reads which; a person who chose one means it.
      if (name !== undefined && (yield* service.list(options.owner)).some(hasName(name))) {
        return yield* new WorkspaceNameTaken({ name })
      }
      while (true) {
        const chat = Option.isSome(options.chat) ? yield* bindings.get(options.chat.value) : null
        const created = yield* service.create({
          owner: options.owner,
          chat,
          templateId: options.template,
          name,
          parameters: options.param
        })
        if (created._tag === "Superseded") continue
        const { build, workspace } = created
        const shown = workspace.name ?? workspace.workspaceId
        return yield* answer(shown, yield* watch(shown, build.buildId))
      }
    }).pipe(Effect.provide(provided(options)))
    yield* Console.log(text)
  }, Effect.scoped)
).pipe(
  Command.withDescription("Make a workspace and wait until it can be used"),
  Command.withExamples([{
    command: "chat-workspace workspace create local --name web --chat chat-1",
    description: "A folder on this host, for one chat"
  }])
)

const bringing = (name: string, transition: Transition, description: string) =>
  Command.make(
    name,
    { ...common, workspace: named },
    Effect.fn(function*(options) {
      const text = yield* bring(options.owner, options.workspace, transition).pipe(Effect.provide(provided(options)))
      yield* Console.log(text)
    }, Effect.scoped)
  ).pipe(Command.withDescription(description))

const cancel = Command.make(
  "cancel",
  { ...common, workspace: named },
  Effect.fn(function*({ owner, workspace: idOrName, ...options }) {
    const canceled = yield* Effect.gen(function*() {
      const service = yield* Workspaces
      const { workspace } = yield* service.find(owner, idOrName)
      return yield* service.cancel({ owner, workspaceId: workspace.workspaceId })
    }).pipe(Effect.provide(provided(options)))
    yield* Console.log(canceled ? "Its build is being canceled." : "No build of it is under way.")
  }, Effect.scoped)
).pipe(Command.withDescription("Cancel the build of a workspace that is under way"))

const log = Command.make(
  "log",
  { ...common, workspace: named },
  Effect.fn(function*(options) {
    yield* Effect.gen(function*() {
      const service = yield* Workspaces
      const { latest, workspace } = yield* service.find(options.owner, options.workspace)
      if (latest === null) return yield* Console.error("It was never built here.")
      // Nothing may come for a long time.
      if (!isFinished(latest.build)) yield* Console.error(`— ${Overview.state(latest)}`)
      yield* Stream.runForEach(service.log(latest.build.buildId), ({ text }) => Console.log(text))
      const now = yield* service.find(options.owner, workspace.workspaceId)
      if (now.latest !== null) yield* Console.error(`— ${Overview.state(now.latest)}`)
    }).pipe(Effect.provide(provided(options)))
  }, Effect.scoped)
).pipe(Command.withDescription("Print the log of the latest build, to its end while it runs"))

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make("workspace").pipe(
  Command.withDescription("Workspaces by hand; `serve` on the same database builds them"),
  Command.withSubcommands([
    list,
    create,
    bringing("start", "start", "Start a workspace and wait until it can be used"),
    bringing("stop", "stop", "Stop a workspace; its files stay"),
    bringing("delete", "delete", "Delete a workspace and its files"),
    cancel,
    log
  ])
)
