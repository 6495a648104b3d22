import * as GatewayConfig from "../../src/agent/GatewayConfig.ts"
import * as ProgramConfig from "../../src/agent/program/ProgramConfig.ts"
import * as ClusterConfig from "../../src/cluster/ClusterConfig.ts"
import * as DialConfig from "../../src/dial/DialConfig.ts"
import type { Bounds } from "../../src/domain/index.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import * as McpConfig from "../../src/http/McpConfig.ts"
import * as OpenAiCompat from "../../src/openai/OpenAiCompat.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import * as StoreConfig from "../../src/store/StoreConfig.ts"
import * as ToolConfig from "../../src/tool/ToolConfig.ts"
import * as TurnConfig from "../../src/turn/TurnConfig.ts"
import * as TurnLimits from "../../src/turn/TurnLimits.ts"

/** Every table of bounds, by the module that states it. */
export const tables: Readonly<Record<string, Bounds.Bounds<object>>> = {
  "src/dial/DialConfig.ts": DialConfig.bounds,
  "src/store/StoreConfig.ts": StoreConfig.bounds,
  "src/agent/GatewayConfig.ts": GatewayConfig.bounds,
  "src/cluster/ClusterConfig.ts": ClusterConfig.bounds,
  "src/provisioner/ProvisionerConfig.ts": ProvisionerConfig.bounds,
  "src/tool/ToolConfig.ts": ToolConfig.bounds,
  "src/turn/TurnConfig.ts": TurnConfig.bounds,
  "src/turn/TurnLimits.ts": TurnLimits.bounds,
  "src/http/HttpConfig.ts": HttpConfig.bounds,
  "src/http/McpConfig.ts": McpConfig.bounds,
  "src/openai/OpenAiCompat.ts": OpenAiCompat.bounds,
  "src/agent/program/ProgramConfig.ts": ProgramConfig.bounds
}
