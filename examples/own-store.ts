/**
 * Your chats stand in a store of another kind, with no SQL: `ChatBindings` over it, and the kit that says whether it keeps
 * what every store has to keep (`test/examples/own-store.test.ts` runs it: `ChatBindingsKit.casesFor`).
 */
import { Binding, Errors, type Ids } from "chat-workspace/domain"
import { Builds, ChatBindings } from "chat-workspace/store"
import { type Duration, Effect, Layer, Option, Schema } from "effect"

/** Your client: documents with a version. `replace` writes only over the version that was read, and says whether it did. */
export interface Documents {
  readonly read: (key: string) => Promise<{ readonly version: number; readonly document: unknown } | null>
  readonly replace: (key: string, version: number, document: unknown) => Promise<boolean>
}

const Row = Schema.Struct({ owner: Schema.String, binding: Schema.NullOr(Binding.Binding) })

export const make = Effect.fnUntraced(function*(documents: Documents, bound: Duration.Input = "3 seconds") {
  const builds = yield* Builds.Builds

  // A call ends in its time, whatever the store does, and says nothing but that it could not answer.
  const ask = <A>(operation: string, call: () => Promise<A>) =>
    Effect.tryPromise({ try: call, catch: (cause) => new Errors.StoreError({ operation, cause }) }).pipe(
      Effect.timeoutOrElse({ duration: bound, orElse: () => new Errors.StoreError({ operation }) })
    )
  const read = Effect.fnUntraced(function*(chatId: Ids.ChatId) {
    const found = yield* ask("read", () => documents.read(chatId))
    if (found === null) return null
    const { binding, owner } = yield* Effect.orDie(Schema.decodeUnknownEffect(Row)(found.document))
    return { owner, binding: binding ?? Binding.unbound(chatId), version: found.version }
  })
  const write = (owner: string, version: number, binding: Binding.Binding) =>
    ask("replace", () => documents.replace(binding.chatId, version, Schema.encodeSync(Row)({ owner, binding })))

  const bindWorkspace: ChatBindings.ChatBindings["Service"]["bindWorkspace"] = Effect.fnUntraced(function*(options) {
    const { buildId = null, chatId, owner, workspaceId } = options
    const refused = new Errors.BindingRefused({ chatId, workspaceId })
    if (workspaceId !== null) {
      const workspace = yield* builds.workspace(workspaceId)
      if (Option.isNone(workspace) || workspace.value.owner !== owner) return yield* refused
    }
    const row = yield* read(chatId)
    if (row === null || row.owner !== owner) return yield* refused
    const generation = row.binding.generation + 1
    const binding = new Binding.Binding({ chatId, workspaceId, buildId, agentId: null, generation })
    // Another writer was faster: over its row, then.
    return (yield* write(owner, row.version, binding)) ? binding : yield* bindWorkspace(options)
  })

  return ChatBindings.ChatBindings.of({
    get: (chatId) => Effect.map(read(chatId), (row) => row?.binding ?? Binding.unbound(chatId)),
    bindWorkspace,
    bindAgent: Effect.fnUntraced(function*(seen, buildId, agentId) {
      const row = yield* read(seen.chatId)
      if (row !== null && row.binding.generation === seen.generation) {
        const binding = new Binding.Binding({ ...row.binding, buildId, agentId, generation: seen.generation + 1 })
        if (yield* write(row.owner, row.version, binding)) return Binding.BindResult.Bound({ binding })
      }
      const won = row === null ? null : yield* read(seen.chatId)
      return Binding.BindResult.Superseded({ binding: won?.binding ?? Binding.unbound(seen.chatId) })
    })
  })
})

export const layer = (documents: Documents, bound?: Duration.Input) =>
  Layer.effect(ChatBindings.ChatBindings, make(documents, bound))
