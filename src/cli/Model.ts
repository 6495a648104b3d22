/**
 * The model of `serve`: an endpoint that speaks OpenAI's protocol where the environment names one, and otherwise one that
 * needs no network and runs each message as a command in the workspace of its chat.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as OpenAiCompat from "../openai/OpenAiCompat.ts"
import * as ObedientModel from "../testing/ObedientModel.ts"

/** `MODEL_BASE_URL` decides; what else a model needs is then missed by its name. */
const isConfigured = Effect.map(Config.option(Config.NonEmptyString("MODEL_BASE_URL")), Option.isSome)

/**
 * What stands in for a model: it creates, starts or repairs the workspace as the tools tell it to, and says what the
 * command has answered.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCommands: Layer.Layer<LanguageModel.LanguageModel> = ObedientModel.layer({
  wish: (message) => ({ name: "execute", args: { command: message } }),
  keepRequests: false
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError, HttpClient.HttpClient> = Layer.unwrap(
  Effect.map(isConfigured, (configured) => configured ? OpenAiCompat.layerConfig : layerCommands)
)

/**
 * The model in a line, for whoever starts the server.
 *
 * @since 0.1.0
 * @category formatters
 */
export const description: Effect.Effect<string, Config.ConfigError> = Effect.flatMap(
  isConfigured,
  (configured) =>
    configured
      ? Effect.map(OpenAiCompat.config, ({ baseUrl, model }) => `${model} at ${baseUrl}`)
      : Effect.succeed("none: each message is run as a command (set MODEL_BASE_URL and MODEL_NAME for a real one)")
)
