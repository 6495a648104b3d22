/**
 * What a build does: it finds its template and provider, makes the agents of a start, and calls the provider.
 *
 * A store that fails is asked again and again here; how long is for the runner to say, which bounds the whole.
 *
 * @since 0.1.0
 */
import type * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as AgentToken from "../domain/AgentToken.ts"
import type { LeaseLost } from "../domain/Errors.ts"
import { AgentId } from "../domain/Ids.ts"
import type { TemplateId } from "../domain/Ids.ts"
import type { Template, TemplateAgent } from "../domain/Template.ts"
import { Builds } from "../store/Builds.ts"
import type { TakenBuild } from "../store/Builds.ts"
import * as SecretHash from "../store/SecretHash.ts"
import { Templates } from "../store/Templates.ts"
import type { BuildLog } from "./BuildLog.ts"
import { Providers } from "./Provider.ts"
import type { ProvidedAgent, ProviderFailed } from "./Provider.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import * as StoreAnswers from "./StoreAnswers.ts"

/**
 * The template of a build, or its provider, is not there any more.
 *
 * @since 0.1.0
 * @category errors
 */
export class TemplateMissing extends Data.TaggedError("TemplateMissing")<{ readonly message: string }> {}

/**
 * @since 0.1.0
 * @category models
 */
export type BuildJob = (
  taken: TakenBuild,
  log: BuildLog
) => Effect.Effect<void, ProviderFailed | TemplateMissing | LeaseLost>

/**
 * Jobs whose agents are to call this address.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(gatewayUrl: string): Effect.fn.Return<
    BuildJob,
    never,
    Builds | Templates | Providers | SecureRandom.SecureRandom | Digest.Digest
  > {
    const builds = yield* Builds
    const templates = yield* Templates
    const providers = yield* Providers
    const random = yield* SecureRandom.SecureRandom
    const hash = yield* SecretHash.make
    const { poll } = yield* ProvisionerConfig

    const find = Effect.fnUntraced(function*(templateId: TemplateId | null) {
      if (templateId === null) {
        return yield* new TemplateMissing({ message: "The workspace was not made from a template." })
      }
      const found = yield* StoreAnswers.awaited(templates.get(templateId), poll)
      if (Option.isNone(found)) {
        return yield* new TemplateMissing({ message: `The template "${templateId}" is not there any more.` })
      }
      const template = found.value
      const provider = providers.get(template.provider.type)
      if (provider === undefined) {
        return yield* new TemplateMissing({
          message: `The template "${templateId}" wants a provider "${template.provider.type}", which is not there.`
        })
      }
      return { template, provider }
    })

    const makeAgent = Effect.fnUntraced(
      function*({ displayOrder, name }: TemplateAgent, connectionTimeout: Duration.Duration) {
        const secret = Redacted.make(yield* random.randomBytes(AgentToken.secretLength))
        const agentId = AgentId.make(yield* random.uuidV7())
        const secretHash = yield* hash.hash(secret)
        return { secret, row: { agentId, parentId: null, name, displayOrder, connectionTimeout, secretHash } }
      }
    )

    /** The tokens are made of what the store answers: an earlier runner of this build may have made the agents. */
    const prepareAgents = Effect.fnUntraced(function*({ build: { buildId }, epoch }: TakenBuild, template: Template) {
      const made = yield* Effect.forEach(template.agents, (agent) => makeAgent(agent, template.connectionTimeout))
      const agents = made.map(({ row }) => row)
      const ids = yield* StoreAnswers.awaited(builds.prepareAgents({ buildId, epoch, agents }), poll)
      return made.map(({ row: { agentId: own, name }, secret }): ProvidedAgent => {
        const agentId = ids.get(name) ?? own
        return { agentId, name, token: AgentToken.format({ agentId, secret }) }
      })
    })

    return Effect.fnUntraced(function*(taken, log) {
      const { attempt, build: { buildId, transition }, parameters, workspace } = taken
      const { provider, template } = yield* find(workspace.templateId)
      if (attempt > 1) log.continueAfter(yield* StoreAnswers.awaited(builds.lastLine(buildId), poll))
      const agents = transition === "start" ? yield* prepareAgents(taken, template) : []
      for (const { token } of agents) log.hide(token)
      yield* provider[transition]({
        buildId,
        workspace,
        template,
        parameters,
        agents,
        gatewayUrl,
        log: log.write
      })
    })
  }
)
