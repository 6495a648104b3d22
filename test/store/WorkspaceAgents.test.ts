import { WorkspaceAgentsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("WorkspaceAgents", WorkspaceAgentsKit)
