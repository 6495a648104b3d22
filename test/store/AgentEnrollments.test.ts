import { AgentEnrollmentsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("AgentEnrollments", AgentEnrollmentsKit)
