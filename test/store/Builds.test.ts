import { BuildsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("Builds", BuildsKit)
