import { InstructionStoreKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("InstructionStore", InstructionStoreKit)
