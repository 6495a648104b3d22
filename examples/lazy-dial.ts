/**
 * Only the lazy dial, around the SDK of a sandbox service: a chat remembers its sandbox and reaches it at once; which
 * one it has now is asked only when that is slow or fails.
 */
import { dialWithLazyValidation } from "chat-workspace/lazy-dial"
import { Data, Effect, Result } from "effect"

/** What is used of the SDK. */
export interface Sandboxes {
  readonly connect: (sandboxId: string) => Promise<Sandbox>
  readonly currentId: (chatId: string) => Promise<string | undefined>
}

export interface Sandbox {
  readonly run: (command: string) => Promise<string>
  readonly disconnect: () => Promise<void>
}

export class SandboxError extends Data.TaggedError("SandboxError")<{
  readonly reason: "sdk" | "gone" | "slow"
  readonly cause?: unknown
}> {}

const call = <A>(f: () => Promise<A>): Effect.Effect<A, SandboxError> =>
  Effect.tryPromise({ try: f, catch: (cause) => new SandboxError({ reason: "sdk", cause }) })

/** The sandbox of a chat, until the scope closes; `id` is the one to remember from now on. */
export const sandbox = (sdk: Sandboxes, chatId: string, remembered: string) =>
  dialWithLazyValidation({
    id: remembered,
    dial: (id) =>
      Effect.acquireRelease(
        call(() => sdk.connect(id)),
        (connected) => Effect.ignore(call(() => connected.disconnect()))
      ),
    validate: Effect.map(
      call(() => sdk.currentId(chatId)),
      (id) => id === undefined ? Result.fail(new SandboxError({ reason: "gone" })) : Result.succeed(id)
    ),
    validationDelay: "1 second"
  }).pipe(
    Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail(new SandboxError({ reason: "slow" })) })
  )
