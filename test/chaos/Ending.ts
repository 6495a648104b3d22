/** The end of a run: first nothing is under way any more, then nothing is left. */
import { Effect } from "effect"
import type { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import type { Built } from "./Built.ts"
import { endInOrder, type World } from "./Hurting.ts"
import * as Leftovers from "./Leftovers.ts"

/** Nobody calls any more: nothing may be under way on any node. */
export const atRest = (world: World, book: Book): Effect.Effect<void> => {
  const look = Effect.map(
    Effect.forEach(world.backends, ({ ask }) => ask((id) => ({ _tag: "Rest", id })), { concurrency: "unbounded" }),
    (all) => all.map((told) => told._tag === "Answer" ? JSON.stringify(told.result) : "dead")
  )
  const still = JSON.stringify({ turns: 0, calls: 0, dials: 0, chats: 0, builds: 0 })
  let last: ReadonlyArray<string> = []
  const untilStill: Effect.Effect<void> = Effect.flatMap(look, (all) => {
    last = all
    return all.every((one) => one === still) ? Effect.void : Effect.delay(untilStill, "200 millis")
  })
  return Effect.timeoutOrElse(untilStill, {
    duration: Bounds.rest * 1000,
    orElse: () => Effect.sync(() => book.violate(`nobody calls, and there is still ${last.join(" and ")}`))
  })
}

/** Agents first: nothing that they started may outlive them. */
export const all = Effect.fnUntraced(function*(world: World, book: Book) {
  yield* Effect.forEach(world.built, (built) => stopped(world, book, built), { concurrency: "unbounded" })
  for (const all of [world.workspaces, world.backends]) {
    yield* Effect.forEach(all, ({ child }) => endInOrder(world, child), { concurrency: "unbounded" })
  }
  for (const { directory } of world.workspaces) {
    for (const left of Leftovers.processesOf(directory)) book.violate(`the agent has ended, and ${left} has not`)
  }
})

/** Stops one that was built, at any node, and looks what is left of it. */
const stopped = Effect.fnUntraced(function*({ backends }: World, book: Book, { chatId: chat, folder, name }: Built) {
  const [backend] = backends
  if (backend === undefined) return
  const told = yield* backend.ask((id) => ({ _tag: "Tool", id, chat, tool: "stop_workspace", args: {} }))
  const answer = JSON.stringify(told)
  if (!answer.includes("\"stopped\":true")) book.violate(`${name} cannot be stopped when all is well: ${answer}`)
  for (const left of Leftovers.processesOf(folder()?.path ?? "nowhere")) {
    book.violate(`${name} was stopped, and ${left} has not ended`)
  }
})
