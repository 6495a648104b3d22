/**
 * All ports over one client of PostgreSQL, for an application that takes the whole.
 *
 * **Gotchas**
 *
 * Heartbeats should have a small pool of their own, lest living agents look dead when the application is busy:
 * `Layer.merge(SqlStore.layer(), SqlAgentPresence.layer().pipe(Layer.provide(smallPool)))`, in this order.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Activity } from "./Activity.ts"
import type { AgentEnrollments } from "./AgentEnrollments.ts"
import type { AgentPresence } from "./AgentPresence.ts"
import type { Builds } from "./Builds.ts"
import type { ChatBindings } from "./ChatBindings.ts"
import type { Chats } from "./Chats.ts"
import type { Holders } from "./Holders.ts"
import type { InstructionStore } from "./InstructionStore.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlActivity from "./SqlActivity.ts"
import * as SqlAgentEnrollments from "./SqlAgentEnrollments.ts"
import * as SqlAgentPresence from "./SqlAgentPresence.ts"
import * as SqlBuilds from "./SqlBuilds.ts"
import * as SqlChatBindings from "./SqlChatBindings.ts"
import * as SqlChats from "./SqlChats.ts"
import * as SqlHolders from "./SqlHolders.ts"
import * as SqlInstructionStore from "./SqlInstructionStore.ts"
import * as SqlTurns from "./SqlTurns.ts"
import * as SqlWorkspaceAgents from "./SqlWorkspaceAgents.ts"
import type { TurnStore } from "./TurnStore.ts"
import type { WorkspaceAgents } from "./WorkspaceAgents.ts"

/**
 * The ports, in one schema that `Migrations` has made.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<
  | Activity
  | AgentEnrollments
  | AgentPresence
  | Builds
  | ChatBindings
  | Chats
  | Holders
  | InstructionStore
  | TurnStore
  | WorkspaceAgents,
  never,
  SqlClient.SqlClient
> =>
  Layer.mergeAll(
    SqlActivity.layer(options),
    SqlAgentEnrollments.layer(options),
    SqlAgentPresence.layer(options),
    SqlBuilds.layer(options),
    SqlChatBindings.layer(options),
    SqlChats.layer(options),
    SqlHolders.layer(options),
    SqlInstructionStore.layer(options),
    SqlTurns.layer(options),
    SqlWorkspaceAgents.layer(options)
  )
