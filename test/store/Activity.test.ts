import { ActivityKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("Activity", ActivityKit)
