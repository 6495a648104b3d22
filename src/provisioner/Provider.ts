/**
 * Who really starts, stops and deletes workspaces: the port that a container engine, a cluster or a cloud stands behind.
 *
 * A provider is called by the one runner that holds the build. Interrupting a call ends what it began, the whole of it,
 * in a few seconds: a runner that may lose its lease interrupts, and another runner may begin soon after.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AgentId, BuildId } from "../domain/Ids.ts"
import type { Template } from "../domain/Template.ts"
import type { Workspace } from "../domain/Workspace.ts"

/**
 * The provider could not do it; `detail` says why, for the person or the model that asked. Never holds a secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProviderFailed extends Schema.TaggedError<ProviderFailed>()("ProviderFailed", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/**
 * The settings of a template make no sense to its provider; `field` is where, as `settings.start`.
 *
 * @since 0.1.0
 * @category errors
 */
export class SettingsRefused extends Schema.TaggedError<SettingsRefused>()("SettingsRefused", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.field} ${this.problem}`
  }
}

/**
 * An agent that a start must bring up inside the workspace. The token opens the gateway for it, and nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProvidedAgent {
  readonly agentId: AgentId
  readonly name: string
  readonly token: Redacted.Redacted<string>
}

/**
 * What a provider is asked to do. `parameters` are resolved, as texts; `agents` is empty but for a start. Lines given to
 * `log` go to the log of the build, with the tokens of the agents replaced.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProviderRequest {
  readonly buildId: BuildId
  readonly workspace: Workspace
  readonly template: Template
  readonly parameters: Readonly<Record<string, string>>
  readonly agents: ReadonlyArray<ProvidedAgent>
  /** What the agents are to call. */
  readonly gatewayUrl: string
  readonly log: (line: string) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Provider {
  /** The name by which templates choose it. */
  readonly type: string
  /** Whether a build of this template may be run again when its runner was lost in the middle of it. */
  readonly isRepeatable: (template: Template) => boolean
  /** Looks at the settings of a template, before it is offered. */
  readonly check: (template: Template) => Effect.Effect<void, SettingsRefused>
  /** Brings the workspace up with its files as they were left, and its agents in it; those of an earlier start end. */
  readonly start: (request: ProviderRequest) => Effect.Effect<void, ProviderFailed>
  /** Ends everything that runs in the workspace, and keeps its files. One that does not run is no failure. */
  readonly stop: (request: ProviderRequest) => Effect.Effect<void, ProviderFailed>
  /** Ends everything and removes the files. One that is not there is no failure. */
  readonly delete: (request: ProviderRequest) => Effect.Effect<void, ProviderFailed>
}

/**
 * The providers of this application, by type. There is none unless a layer brings some.
 *
 * @since 0.1.0
 * @category services
 */
export class Providers extends Context.Service<Providers, ReadonlyMap<string, Provider>>()(
  "chat-workspace/provisioner/Providers"
) {}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (providers: Iterable<Provider>): Providers["Service"] =>
  new Map(Array.from(providers, (provider) => [provider.type, provider]))
