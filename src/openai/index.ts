/**
 * A language model behind an endpoint that speaks the chat completions protocol of OpenAI.
 *
 * @since 0.1.0
 */
export * as OpenAiCompat from "./OpenAiCompat.ts"
