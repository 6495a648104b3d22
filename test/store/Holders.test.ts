import { HoldersKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("Holders", HoldersKit)
