/**
 * What a node of `serve` is made of, under its servers: stores, gateway, connections, tools, turns, and the model.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { LanguageModel } from "effect/ai/LanguageModel"
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import type * as Redacted from "effect/Redacted"
import type { SqlError } from "effect/sql/SqlError"
import * as AgentGateway from "../agent/AgentGateway.ts"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import * as NatsSignals from "../cluster/NatsSignals.ts"
import * as NatsTransport from "../cluster/NatsTransport.ts"
import * as ChatWorkspaces from "../dial/ChatWorkspaces.ts"
import * as Enrollment from "../provisioner/Enrollment.ts"
import type { Providers } from "../provisioner/Provider.ts"
import * as Readiness from "../provisioner/Readiness.ts"
import * as Workspaces from "../provisioner/Workspaces.ts"
import type { Signals } from "../store/Signals.ts"
import type { Templates } from "../store/Templates.ts"
import * as ChatTools from "../tool/ChatTools.ts"
import * as Explanation from "../turn/Explanation.ts"
import * as Turns from "../turn/Turns.ts"
import * as TurnSetup from "../turn/TurnSetup.ts"
import * as Database from "./Database.ts"
import * as Model from "./Model.ts"
import * as NatsServerLink from "./NatsServerLink.ts"

/**
 * Which database, and where in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly url: Redacted.Redacted<string>
  readonly schema: string
}

/**
 * What the servers of a node answer with.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | AgentGateway.AgentGateway
  | AgentTransport
  | ChatTools.ChatTools
  | ChatWorkspaces.ChatWorkspaces
  | Enrollment.Enrollment
  | Explanation.Explanations
  | Layer.Success<ReturnType<typeof Database.layerStores>>
  | Readiness.Readiness
  | Signals
  | Turns.Turns
  | Workspaces.Workspaces

/**
 * With another model than the one that the environment names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = <E, R>(
  { schema, url }: Options,
  model: Layer.Layer<LanguageModel, E, R>
): Layer.Layer<
  Services,
  SqlError | ConfigError | NatsServerLink.NatsUnreachable | PlatformError | E,
  Templates | Providers | FileSystem.FileSystem | R
> =>
  Explanation.layer.pipe(
    // A node has one name in all that it does.
    Layer.provideMerge(Layer.unwrap(Effect.map(AgentGateway.AgentGateway, ({ nodeId }) => Turns.layer({ nodeId })))),
    Layer.provide([TurnSetup.layer, model]),
    Layer.provideMerge(ChatTools.layer),
    Layer.provideMerge(Layer.mergeAll(ChatWorkspaces.layer, Workspaces.layer, Readiness.layer, Enrollment.layer)),
    Layer.provideMerge(
      NatsServerLink.choose(
        NatsTransport.layer.pipe(Layer.provideMerge(AgentGateway.layerTransport())),
        AgentGateway.layerTransport()
      )
    ),
    Layer.provideMerge(Layer.merge(
      Database.layerStores(url, { schema }),
      NatsServerLink.choose(NatsSignals.layer, Database.layerSignals(url, { schema }))
    ))
  )

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  Services,
  SqlError | ConfigError | NatsServerLink.NatsUnreachable | PlatformError,
  Templates | Providers | FileSystem.FileSystem
> => layerWith(options, Model.layer.pipe(Layer.provide(NodeHttpClient.layerNodeHttp)))
