import { assert, describe, it } from "@effect/vitest"
import { Ids } from "chat-workspace/domain"
import { AgentEnrollments, Builds, MemoryStore } from "chat-workspace/store"
import { ChatBindingsKit } from "chat-workspace/testing"
import { Effect, Layer } from "effect"
import { type Documents, layer } from "../../examples/own-store.ts"

/** A store of documents that can be restarted and frozen. It answers later, and what it answers is nobody else's. */
const makeStore = () => {
  const documents = new Map<string, { readonly version: number; readonly document: unknown }>()
  let chats = 0
  let state: "up" | "down" | "frozen" = "up"
  let thawed: Array<() => void> = []
  const answered = async <A>(answer: () => A): Promise<A> => {
    await new Promise<void>((resolve) => state === "frozen" ? thawed.push(resolve) : setImmediate(resolve))
    if (state === "down") throw new Error("connection refused")
    return answer()
  }
  const client: Documents = {
    read: (key) => answered(() => structuredClone(documents.get(key) ?? null)),
    replace: (key, version, document) =>
      answered(() => {
        const isCurrent = documents.get(key)?.version === version
        if (isCurrent) documents.set(key, { version: version + 1, document: structuredClone(document) })
        return isCurrent
      })
  }
  return {
    client,
    chats: {
      make: (owner: Ids.OwnerId) =>
        Effect.sync(() => {
          const chatId = Ids.ChatId.make(`chat-${++chats}`)
          documents.set(chatId, { version: 1, document: { owner, binding: null } })
          return chatId
        }),
      none: Ids.ChatId.make("none")
    },
    restart: Effect.sync(() => {
      state = "down"
    }).pipe(
      Effect.andThen(Effect.sleep("100 millis")),
      Effect.andThen(Effect.sync(() => {
        state = "up"
      }))
    ),
    freeze: Effect.acquireRelease(
      Effect.sync(() => {
        state = "frozen"
      }),
      () =>
        Effect.sync(() => {
          state = "up"
          thawed.forEach((resume) => resume())
          thawed = []
        })
    )
  }
}

const over = (client: Documents): ChatBindingsKit.Harness["store"] => {
  const ours = Layer.merge(AgentEnrollments.layerMemory, Builds.layerMemory).pipe(Layer.provide(MemoryStore.layer))
  return Layer.provideMerge(layer(client, "1 second"), ours)
}

const { client, ...hands } = makeStore()
const harness: ChatBindingsKit.Harness = { ...hands, store: over(client), bound: "1 second" }

describe("a store of one's own", () => {
  it("is asked for all that the kit knows", () => {
    assert.deepStrictEqual(ChatBindingsKit.skippedFor(harness), [])
  })

  for (const { name, run } of ChatBindingsKit.casesFor(harness)) it.live(name, () => run, 20_000)

  it.live("that writes over what others wrote is found out", () =>
    Effect.gen(function*() {
      const { client, ...hands } = makeStore()
      const blind: Documents = {
        ...client,
        replace: async (key, _, document) => {
          const found = await client.read(key)
          const isWritten = found === null || await client.replace(key, found.version, document)
          return isWritten || blind.replace(key, 0, document)
        }
      }
      const broken: Array<string> = []
      for (const { name, run } of ChatBindingsKit.casesFor({ ...hands, store: over(blind) })) {
        if ((yield* Effect.exit(Effect.scoped(run)))._tag === "Failure") broken.push(name)
      }
      assert.include(broken, "of many writers at once exactly one binds each generation, and all see its row")
    }), 20_000)
})
