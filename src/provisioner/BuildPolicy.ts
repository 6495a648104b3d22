/**
 * The application's word on every build: quotas, working hours, who may use what.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Transition } from "../domain/Build.ts"
import type { BuildRefused, StoreError } from "../domain/Errors.ts"
import type { ChatId, OwnerId, TemplateId, WorkspaceId } from "../domain/Ids.ts"

/**
 * A build that somebody asks for. A new workspace has no id yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface BuildRequest {
  readonly owner: OwnerId
  readonly chatId: ChatId | null
  readonly workspaceId: WorkspaceId | null
  readonly templateId: TemplateId
  readonly transition: Transition
  readonly parameters: Readonly<Record<string, string>>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BuildPolicy {
  /** Asked before anything is written. What it refuses is not built, and its reason is told to who asked. */
  readonly check: (request: BuildRequest) => Effect.Effect<void, BuildRefused | StoreError>
}

/**
 * The policy in force; allows everything unless a layer brings another.
 *
 * @since 0.1.0
 * @category references
 */
export const BuildPolicy: Context.Reference<BuildPolicy> = Context.Reference<BuildPolicy>(
  "chat-workspace/provisioner/BuildPolicy",
  { defaultValue: () => ({ check: () => Effect.void }) }
)
