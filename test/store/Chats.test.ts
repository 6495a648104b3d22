import { ChatsKit } from "../../src/testing/index.ts"
import { suite } from "./support.ts"

suite("Chats", ChatsKit)
