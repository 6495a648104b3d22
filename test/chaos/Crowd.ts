/** Who works all the time: several chats for each workspace, which share its agent, and some that have theirs built. */
import { Effect } from "effect"
import { ChatId } from "../../src/domain/Ids.ts"
import { ChatBindings } from "../../src/store/index.ts"
import * as Chance from "../security/fuzz/Chance.ts"
import * as Backends from "./Backends.ts"
import type { Book } from "./Book.ts"
import * as Building from "./Building.ts"
import * as Calling from "./Calling.ts"
import type * as Chats from "./Chats.ts"
import type { World } from "./Hurting.ts"
import * as Interrupts from "./Interrupts.ts"
import * as Talking from "./Talking.ts"
import * as Users from "./Users.ts"
import * as Voices from "./Voices.ts"

/** Two with a model, of which one is reached over HTTP, and two without. */
const chatsEach = 4

export const make = Effect.fnUntraced(function*(world: World, book: Book, options: {
  readonly seed: number
  readonly nats: boolean
}) {
  const { backends, built, gate, outages, users, workspaces } = world
  const { nats, seed } = options
  const { bindWorkspace } = yield* ChatBindings.ChatBindings
  const interrupt = Interrupts.make({ book, outages, nats })
  // Over NATS any node will do. Without it only that of the agent, and the others must say so.
  const nodeNear = (home: () => Backends.Backend, chance: Chance.Chance) => (): Backends.Backend =>
    chance.sometimes(nats ? 0.5 : 0.1) ? chance.pick(backends) : home()
  const chats: Array<Chats.Chat> = []

  for (const workspace of workspaces) {
    for (let index = 0; index < chatsEach; index++) {
      const chatId = ChatId.make(`chat-${index + 1}-of-${workspace.name}`)
      yield* bindWorkspace({ chatId, owner: Backends.owner, workspaceId: workspace.workspaceId })
      const chance = Chance.make(seed, chatId)
      const node = nodeNear(workspace.home, chance)
      const anywhere = (): Backends.Backend => chance.pick(backends)
      const common = { chatId, workspace, book, chance, node, anywhere, interrupt }
      if (index > 1) chats.push(Calling.make(common))
      else if (index === 1) chats.push(yield* Talking.make({ ...common, voice: Voices.inProcess(common) }))
      else {
        const user = yield* Users.make({ book, node })
        const elsewhere = yield* Users.make({ book, node: anywhere })
        const number = users.push(user, elsewhere) - 2
        const lost = outages.of((part, index) =>
          part === "userLink" && (index === number || index === number + 1) || part === "backend"
        )
        chats.push(yield* Talking.make({ ...common, voice: Voices.overHttp({ ...common, elsewhere, lost, user }) }))
      }
    }
  }
  for (const one of built) {
    yield* bindWorkspace({ chatId: one.chatId, owner: Backends.owner, workspaceId: null })
    const chance = Chance.make(seed, one.chatId)
    const home = nats ? nodeNear(gate.home, chance) : gate.home
    chats.push(Building.make({ built: one, book, chance, home, node: () => chance.pick(backends) }))
  }
  return chats
})
