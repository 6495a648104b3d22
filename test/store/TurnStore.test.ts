import { TurnStoreKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("TurnStore", TurnStoreKit)
