/** Callers come and go while a build goes on: it is waited for by whoever calls next, and no longer than was said. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { emptyDatabase } from "../../postgres.ts"
import * as backends from "./support/Backends.ts"
import * as places from "./support/Place.ts"
import * as world from "./support/World.ts"

const all = Layer.provideMerge(world.layer, emptyDatabase())

const node = backends.start({ bounds: { BUILD_LIMIT: "2 minutes" } })

/** A chat that waits for a build, which has begun. */
const waiting = Effect.fnUntraced(function*(node: backends.Backend) {
  const { at } = yield* places.Place
  const chat = backends.chat()
  const gate = at(backends.fresh("gate"))
  const args = { template_id: "held", parameters: { gate } }
  const call = yield* node.begin(chat, "create_workspace", args)
  yield* backends.until("the command runs", () => places.ledger(gate).length === 1)
  yield* backends.untilTold(call, "Building")
  const { buildId } = yield* world.binding(chat)
  return { args, call, chat, gate, build: buildId ?? assert.fail("the chat is not bound") }
})

layer(all, { excludeTestServices: true, timeout: "60 seconds" })("waits for a build", (it) => {
  it.effect(
    "a call that is interrupted leaves the build running, and the next one waits for the same",
    () =>
      Effect.gen(function*() {
        const first = yield* node
        const { args, build, call, chat, gate } = yield* waiting(first)
        yield* first.interrupt(call)
        assert.deepInclude(yield* call.answer, { error: "interrupted" })
        const again = yield* first.begin(chat, "create_workspace", args)
        yield* backends.untilTold(again, "Building")
        assert.strictEqual((yield* world.record(build)).build.status, "running")
        yield* places.open(gate)
        assert.deepInclude(yield* again.answer, { created: true, build_id: build })
        assert.deepStrictEqual(places.ledger(gate), ["begun"])
        assert.deepInclude(yield* first.call(chat, "execute", { command: "echo works" }), { output: "works\n" })

        // A stop that is asked for meanwhile waits too, and both say what became of the workspace.
        const other = yield* waiting(first)
        const stop = yield* first.begin(other.chat, "stop_workspace")
        yield* backends.untilTold(stop, "Building")
        yield* places.open(other.gate)
        assert.deepInclude(yield* stop.answer, { stopped: true })
        const created = yield* other.call.answer
        assert.deepInclude(created, { created: true, build_id: other.build })
        // Whichever was faster: the agent, or the stop.
        assert.include([undefined, "The workspace is stopping.", "The workspace is stopped."], created["agent_error"])
        assert.deepInclude(yield* first.call(other.chat, "create_workspace", other.args), { status: "stopped" })
        assert.deepInclude(yield* first.call(other.chat, "start_workspace"), { started: true })
      }),
    90_000
  )

  it.effect("a backend that comes back goes on with the wait, and not for longer", () =>
    Effect.gen(function*() {
      const first = yield* node
      const { args, build, chat, gate } = yield* waiting(first)
      yield* first.kill
      const second = yield* node
      const call = yield* second.begin(chat, "create_workspace", args)
      yield* backends.untilTold(call, "Building")
      yield* backends.until("it runs again", () => places.ledger(gate).length === 3)
      // As if nearly all of the time had passed that the build had from its request on.
      yield* world.age(build, 115)
      const [taken, answer] = yield* Effect.timed(call.answer)
      assert.deepInclude(answer, { created: true, status: "failed", build_id: build })
      assert.include(String(answer["error"]), "did not end within 2m")
      assert.isBelow(Duration.toSeconds(taken), 60)

      // It goes on all the same, as long as its runner lets it.
      yield* places.open(gate)
      yield* backends.eventually("it has ended", world.record(build), ({ finishedAt }) => finishedAt !== null)
      assert.deepStrictEqual(places.ledger(gate), ["begun", "left", "begun"])
      const { workspace_id } = answer
      assert.deepInclude(yield* second.call(chat, "create_workspace", args), { status: "already_exists", workspace_id })
    }), 90_000)
})
