import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import * as Ids from "../../src/domain/Ids.ts"

const ids = Object.entries({
  ChatId: Ids.ChatId,
  OwnerId: Ids.OwnerId,
  WorkspaceId: Ids.WorkspaceId,
  BuildId: Ids.BuildId,
  AgentId: Ids.AgentId,
  NodeId: Ids.NodeId,
  Incarnation: Ids.Incarnation,
  OperationId: Ids.OperationId,
  TurnId: Ids.TurnId,
  MessageId: Ids.MessageId
})

describe("ids", () => {
  it.each(ids)("%s is a string of 1 to 128 whole characters, taken as it is", (_, id) => {
    const accepts = (value: unknown) => Exit.isSuccess(Schema.decodeUnknownExit(id)(value))
    assert.isFalse(accepts(""))
    assert.isTrue(accepts("x"))
    assert.isTrue(accepts("x".repeat(128)))
    assert.isFalse(accepts("x".repeat(129)))
    assert.isFalse(accepts(1))
    for (const broken of ["a\0", "\ud83d", "a\udc00b"]) assert.isFalse(accepts(broken))
    assert.isTrue(accepts("\u{1F600}"))
    assert.strictEqual(Schema.decodeSync(id)("  Ünï/códe 'quoted' \n"), "  Ünï/códe 'quoted' \n")
  })
})
