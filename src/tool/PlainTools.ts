/**
 * The tools of a chat as plain functions, for loops that are not Effect.
 *
 * Derived from a toolkit, so that there is one contract: the same names, descriptions, arguments, results and failures.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as JsonSchema from "effect/JsonSchema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatToolkit } from "./ToolCalls.ts"
import type { ToolFailure } from "./ToolFailure.ts"

/**
 * Interrupting the signal ends the call, and a command that it runs. `onProgress` hears what a call that waits has come
 * to, in the shape of its result.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: unknown) => void) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PlainTool {
  readonly name: string
  readonly description: string
  readonly jsonSchema: JsonSchema.JsonSchema
  /**
   * Calls the tool with arguments as a model wrote them. The promise is never rejected: it gives the result as JSON, or a
   * `ToolFailure`, also for wrong arguments (`invalid_arguments`), after the signal (`interrupted`) and for a defect
   * (`internal`).
   */
  readonly execute: (args: unknown, options?: CallOptions) => Promise<unknown>
}

/**
 * Makes plain tools of a toolkit. Calls that still run when the scope closes are interrupted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<(toolkit: ChatToolkit) => ReadonlyArray<PlainTool>, never, Scope.Scope> = Effect.map(
  FiberSet.makeRuntime<never, unknown, never>(),
  (run) => (toolkit) =>
    Object.values(toolkit.tools).map((tool) => ({
      name: tool.name,
      description: Tool.getDescription(tool) ?? "",
      jsonSchema: Tool.getJsonSchema(tool),
      execute: (args, options) =>
        new Promise((resolve) => {
          run(answerOf(toolkit, tool.name, args, options?.onProgress), { signal: options?.signal })
            .addObserver((exit) => resolve(exit._tag === "Success" ? exit.value : interrupted))
        })
    }))
)

const answerOf = (
  toolkit: ChatToolkit,
  name: string,
  args: unknown,
  onProgress: CallOptions["onProgress"]
): Effect.Effect<unknown> => {
  let answer: unknown = interrupted
  return Stream.unwrap(toolkit.handle(name, args)).pipe(
    Stream.runForEach(({ encodedResult, preliminary }) => {
      if (preliminary) return reported(onProgress, encodedResult)
      answer = encodedResult
      return Effect.void
    }),
    Effect.map(() => answer),
    // The only failure left is that there is no such tool, and there is.
    Effect.orDie
  )
}

/** A listener that throws must not end the call that it listens to. */
const reported = (onProgress: CallOptions["onProgress"], progress: unknown): Effect.Effect<void> =>
  onProgress === undefined
    ? Effect.void
    : Effect.catchCause(
      Effect.sync(() => onProgress(progress)),
      (cause) => Effect.logWarning("A listener to the progress of a tool failed", cause)
    )

const interrupted: ToolFailure = {
  error: "interrupted",
  message: "The call was interrupted before it ended. A command that it ran was ended with it; a build goes on.",
  retry: "never"
}
