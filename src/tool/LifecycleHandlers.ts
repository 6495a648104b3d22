/**
 * What the tools of `LifecycleTools` do, for one chat and turn.
 *
 * Arguments are checked before anything of the chat is read; errors come in the words of this chat's tools. A call that
 * is interrupted leaves its build running: the next one waits for the same.
 *
 * @since 0.1.0
 */
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import * as TemplateParameters from "../domain/TemplateParameters.ts"
import { ProvisionerConfig } from "../provisioner/ProvisionerConfig.ts"
import type { Readiness } from "../provisioner/Readiness.ts"
import { Workspaces } from "../provisioner/Workspaces.ts"
import type { Builds } from "../store/Builds.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import * as LifecycleCreate from "./LifecycleCreate.ts"
import * as LifecycleLook from "./LifecycleLook.ts"
import * as LifecycleRestart from "./LifecycleRestart.ts"
import * as LifecycleTemplates from "./LifecycleTemplates.ts"
import { LifecycleTools } from "./LifecycleTools.ts"
import * as LifecycleWaits from "./LifecycleWaits.ts"
import { ToolConfig } from "./ToolConfig.ts"
import { explained } from "./ToolContext.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * The handlers of one chat, for `LifecycleTools.toHandlers` or `toLayer`.
 *
 * @since 0.1.0
 * @category models
 */
export type LifecycleHandlers = Toolkit.HandlersFrom<Toolkit.Tools<typeof LifecycleTools>>

/**
 * Takes what the tools stand on once, for all chats. The scope is that of the layer which it is made for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  (context: ToolContext) => LifecycleHandlers,
  never,
  AgentTransport | Builds | ChatBindings | Readiness | Scope.Scope | WorkspaceAgents | Workspaces
> = Effect.gen(function*() {
  const workspaces = yield* Workspaces
  const { parameterBytes, parameterCount } = yield* ProvisionerConfig
  const { templatesPage } = yield* ToolConfig
  const look = yield* LifecycleLook.make
  const waits = yield* LifecycleWaits.make
  const create = yield* LifecycleCreate.make({ look, waits })
  const restart = yield* LifecycleRestart.make({ look, waits })
  const limits: TemplateParameters.Limits = { count: parameterCount, bytes: parameterBytes }

  return (context) =>
    LifecycleTools.of({
      list_templates: ({ page, query }) =>
        workspaces.templates(context.owner).pipe(
          Effect.map((templates) => LifecycleTemplates.list(templates, { query, page, size: templatesPage })),
          explained(context)
        ),
      read_template: ({ template_id }) =>
        workspaces.template(context.owner, template_id.trim()).pipe(
          Effect.map(LifecycleTemplates.read),
          explained(context)
        ),
      create_workspace: ({ name, parameters, replace, template_id }, { preliminary }) =>
        Effect.gen(function*() {
          const template = yield* workspaces.template(context.owner, template_id.trim())
          yield* Effect.fromResult(TemplateParameters.resolve(template, parameters ?? {}, { limits }))
          const { templateId } = template
          return yield* create({ context, templateId, name, parameters, replace: replace === true, preliminary })
        }).pipe(explained(context)),
      start_workspace: ({ parameters }, { preliminary }) =>
        explained(context)(
          restart.start({ context, parameters, report: (about) => preliminary({ started: false, ...about }) })
        ),
      stop_workspace: (_, { preliminary }) =>
        explained(context)(restart.stop({ context, report: (about) => preliminary({ stopped: false, ...about }) }))
    })
})
