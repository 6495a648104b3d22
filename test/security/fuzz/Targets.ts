/** Everything that is fuzzed. */
import * as AgentFrames from "./AgentFrames.ts"
import * as Decoders from "./Decoders.ts"
import type { Target } from "./Fuzz.ts"
import * as GatewayFrames from "./GatewayFrames.ts"
import * as HttpBodies from "./HttpBodies.ts"

export const targets: ReadonlyArray<Target> = [
  GatewayFrames.target,
  AgentFrames.target,
  HttpBodies.target,
  Decoders.target
]
