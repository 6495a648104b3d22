/**
 * The words of the kit of transports: its harness, and what its cases are written with.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Scope from "effect/Scope"
import type { AgentConnection, Command } from "../agent/AgentConnection.ts"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import type { Feature } from "../agent/Feature.ts"
import type { ProcessEvent } from "../agent/Protocol.ts"
import type { DialFailed } from "../domain/Errors.ts"
import { OperationId } from "../domain/Ids.ts"
import type { AgentId } from "../domain/Ids.ts"
import { KitFailure } from "./Kit.ts"

/**
 * Commands that the agents of the harness understand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commands {
  /** Prints the text and exits with the code. */
  readonly print: (text: string, code: number) => Command["argv"]
  /** Prints something else whenever it runs. */
  readonly unique: Command["argv"]
  /** Runs until it is ended. */
  readonly endless: Command["argv"]
  /** A program that is not there. */
  readonly missing: Command["argv"]
}

/**
 * The same for agents that have a POSIX shell.
 *
 * @since 0.1.0
 * @category constants
 */
export const shellCommands: Commands = {
  print: (text, code) => ["sh", "-c", `printf %s "$0"; exit ${code}`, text],
  unique: ["sh", "-c", "printf '%s ' $$; date +%s%N"],
  endless: ["sleep", "600"],
  missing: ["chat-workspace-kit-no-such-program"]
}

/**
 * Prints without end, for agents that have a POSIX shell.
 *
 * @since 0.1.0
 * @category constants
 */
export const shellChatty: Command["argv"] = [
  "sh",
  "-c",
  "i=0; while :; do i=$((i + 1)); echo \"line $i of what nobody has to read\"; done"
]

/**
 * A transport and the hands on its agents. Verbs that are left out skip their cases. What an agent's life needs is
 * acquired into the scope of its case.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness {
  readonly transport: AgentTransport["Service"]
  readonly commands: Commands
  /** A path at the agent that no case used before, in a folder that exists. */
  readonly path: (name: string) => string
  /** An agent that is there. */
  readonly up: Effect.Effect<AgentId, unknown, Scope.Scope>
  /** An agent that is not there, and comes when `arrive` says so. */
  readonly absent?: Effect.Effect<AgentId, unknown, Scope.Scope> | undefined
  readonly arrive?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** Cuts the link; the program lives on and comes back. */
  readonly drop?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** Opens a newer session beside the one there is. */
  readonly replace?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** The program stops to answer, and goes on. */
  readonly freeze?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  readonly thaw?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** What the agent says is lost from now on, and no connection breaks. It has to be found out within 15 s. */
  readonly halfOpen?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** It is heard again. */
  readonly heal?: ((agentId: AgentId) => Effect.Effect<void, unknown, Scope.Scope>) | undefined
  /** A command that prints without end, much faster than a slow reader reads. */
  readonly chatty?: Command["argv"] | undefined
}

/**
 * The verbs that a case may need.
 *
 * @since 0.1.0
 * @category models
 */
export type Verb = "absent" | "arrive" | "drop" | "replace" | "freeze" | "thaw" | "halfOpen" | "heal" | "chatty"

export interface Definition {
  readonly name: string
  readonly features: ReadonlyArray<Feature>
  readonly verbs: ReadonlyArray<Verb>
  readonly run: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>
}

/** The harness with every verb there: those that a case does not name are not called. */
export type Kit = { readonly [K in keyof Harness]-?: NonNullable<Harness[K]> } & {
  readonly connect: Effect.Effect<AgentConnection, unknown, Scope.Scope>
  readonly dial: (agentId: AgentId) => Effect.Effect<AgentConnection, DialFailed | Cause.TimeoutError, Scope.Scope>
}

/** What a step may take that should take next to nothing. */
export const patience = Duration.seconds(5)

export const caseTimeout = Duration.seconds(20)

/** Random, since an agent remembers the ids of earlier runs of the kit. */
export const operation: Effect.Effect<OperationId> = Effect.flatMap(
  SecureRandom.SecureRandom,
  (random) => random.uuidV4()
).pipe(Effect.map((uuid) => OperationId.make(`kit-${uuid}`)), Effect.provide(SecureRandom.layerWebCrypto))

export const expect = (expectation: string, actual: unknown, expected: unknown): Effect.Effect<void, KitFailure> =>
  Equal.equals(actual, expected) ? Effect.void : Effect.fail(new KitFailure({ expectation, actual }))

/** The tag of the failure, with its reason where it has one; a success has none. */
export const failureOf = <A, R>(
  call: Effect.Effect<A, { readonly _tag: string; readonly reason?: unknown }, R>
): Effect.Effect<string, never, R> =>
  Effect.match(call, {
    onSuccess: () => "success",
    onFailure: ({ _tag, reason }) => typeof reason === "string" ? `${_tag} ${reason}` : _tag
  })

export const textOf = (events: ReadonlyArray<ProcessEvent>): string => {
  const decoder = new TextDecoder()
  return events.map((event) => event._tag === "Data" ? decoder.decode(event.bytes, { stream: true }) : "").join("") +
    decoder.decode()
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const definition = (
  name: string,
  needs: ReadonlyArray<Feature | Verb>,
  run: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>
): Definition => ({
  name,
  features: needs.filter(isFeature),
  verbs: needs.filter((need): need is Verb => !isFeature(need)),
  run
})

export const isFeature = (need: Feature | Verb): need is Feature =>
  need === "run" || need === "processes" || need === "files" || need === "directories" || need === "mcp"
