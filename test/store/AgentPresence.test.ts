import { AgentPresenceKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("AgentPresence", AgentPresenceKit)
