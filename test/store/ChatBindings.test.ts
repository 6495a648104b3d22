import { ChatBindingsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("ChatBindings", ChatBindingsKit)
