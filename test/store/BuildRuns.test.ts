import { BuildRunsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("Running builds", BuildRunsKit)
