/**
 * The templates and providers of the command line, and the services over them.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Feature } from "../agent/Feature.ts"
import * as DialConfig from "../dial/DialConfig.ts"
import * as CommandProvider from "../provisioner/process/CommandProvider.ts"
import * as ProcessProvider from "../provisioner/process/ProcessProvider.ts"
import * as Provider from "../provisioner/Provider.ts"
import * as Readiness from "../provisioner/Readiness.ts"
import * as TemplateDirectory from "../provisioner/TemplateDirectory.ts"
import * as Workspaces from "../provisioner/Workspaces.ts"
import type { Builds } from "../store/Builds.ts"
import type { Signals } from "../store/Signals.ts"
import type { Templates } from "../store/Templates.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"

/**
 * The flags that say what workspaces are made from, and where those of this host stand.
 *
 * @since 0.1.0
 * @category flags
 */
export const flags = {
  templates: Flag.Path("templates", { pathType: "directory" }).pipe(
    Flag.withDescription("Folder of templates, one folder each (those of the package)"),
    Flag.withDefault(fileURLToPath(new URL("../../templates", import.meta.url)))
  ),
  workspaces: Flag.Path("workspaces", { pathType: "directory", mustExist: false }).pipe(
    Flag.withDescription("Folder of the workspaces that run on this host"),
    Flag.withDefault(".chat-workspace/workspaces")
  )
}

/**
 * Where templates and workspaces are. With `allowRemote` workspaces may run on this host, which is no sandbox, although
 * others can reach the gateway.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly templates: string
  readonly workspaces: string
  readonly allowRemote?: boolean | undefined
}

/**
 * The providers that come with the module, and the templates of a folder, checked by them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTemplates = (options: Options): Layer.Layer<
  Templates | Provider.Providers,
  TemplateDirectory.TemplateError,
  FileSystem.FileSystem | Path.Path
> =>
  TemplateDirectory.layer(options.templates).pipe(
    Layer.provideMerge(Layer.effect(
      Provider.Providers,
      Effect.map(
        Effect.all([
          ProcessProvider.make({ root: options.workspaces, allowRemote: options.allowRemote }),
          CommandProvider.make()
        ]),
        Provider.make
      )
    ))
  )

/**
 * Asking for builds and waiting for them, from a process that runs none and reaches no agent: of agents it knows what the
 * database says. The agent is chosen as connecting chooses it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromOutside: Layer.Layer<
  Workspaces.Workspaces | Readiness.Readiness,
  never,
  Builds | Signals | Templates | Provider.Providers | WorkspaceAgents
> = Layer.merge(
  Workspaces.layer,
  Layer.unwrap(Effect.map(DialConfig.DialConfig, ({ preferredSuffix }) => Readiness.layerWith({ preferredSuffix })))
).pipe(
  Layer.provide(Layer.succeed(AgentTransport, {
    dial: () => Effect.never,
    presence: () => "unknown",
    features: new Set<Feature>()
  }))
)
