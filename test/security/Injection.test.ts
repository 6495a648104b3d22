/** Words of strangers that would be more than words: line breaks, escapes of terminals, syntax of what they are put into. */
import { assert, describe, it } from "@effect/vitest"
import { Console, Context, DateTime, Duration, Effect, Layer, Logger, Redacted, Schema, Stream } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import * as Logs from "../../src/cli/Logs.ts"
import * as ChatExplanation from "../../src/dial/ChatExplanation.ts"
import * as ChatWorkspaces from "../../src/dial/ChatWorkspaces.ts"
import { AgentBusy } from "../../src/domain/Errors.ts"
import { AgentId, ChatId, MessageId, NodeId, TurnId, WorkspaceId } from "../../src/domain/Ids.ts"
import { AgentToken, PlainText } from "../../src/domain/index.ts"
import { Turn } from "../../src/domain/Turn.ts"
import { Authorization } from "../../src/http/Authentication.ts"
import * as EventStream from "../../src/http/EventStream.ts"
import { TooManyStreams } from "../../src/http/HttpErrors.ts"
import * as Mount from "../../src/http/Mount.ts"
import * as Problem from "../../src/http/Problem.ts"
import { Requests } from "../../src/http/Requests.ts"
import * as BuildLog from "../../src/provisioner/BuildLog.ts"
import { ChatBindings } from "../../src/store/index.ts"
import * as Explanation from "../../src/turn/Explanation.ts"
import * as h from "../agent/support/harness.ts"
import * as virtual from "../agent/support/virtual.ts"
import { serve } from "../http/support/requests.ts"
import * as world from "../http/support/world.ts"

/** Each would be something else where it is not taken as a text: a line, a colour, a title, a header, an event, a label. */
const hostile = [
  "x\n[10:00:00.000] INFO (#1): Everything is fine",
  "x\r\nset-cookie: admin=1\r\n\r\n<h1>",
  "\u001b[2J\u001b[31mgone",
  "\u001b]0;title\u0007",
  "\u009b2Jgone",
  "x\u2028line\u2029paragraph\u0085next",
  "\u202eevil",
  "data: x\n\nevent: message\nid: 99\ndata: {\"forged\":true}\n\n",
  "x\"} 1\nforged_metric{a=\"b\"} 1\n",
  "\b\b\b\b\u0000\u007f"
]

/** What acts on a terminal, begins a line or turns the direction of a text. Tabs only move. */
const acts = /(?!\t)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

const isPlain = (text: string): boolean => text.split("\n").every((line) => !acts.test(line))

const fits = (text: string): boolean => !text.includes("\0") && text.length <= 128

describe("a line", () => {
  it("has nothing in it but what is seen, whatever it is made of", () => {
    for (const text of hostile) {
      assert.isTrue(isPlain(PlainText.line(text)), JSON.stringify(PlainText.line(text)))
      assert.strictEqual(PlainText.line(text).split("\n").length, 1)
    }
    assert.strictEqual(PlainText.line("plain \t text, with ümläuts and 😀"), "plain \t text, with ümläuts and 😀")
  })
})

/** A log as the command line writes it, and what it has written: one text for each record. */
const logging = () => {
  const records: Array<string> = []
  const note = (...words: ReadonlyArray<unknown>) => void records.push(words.map(String).join(" "))
  const capturing = new Proxy(console, {
    get: (_, name) => name === "log" || name === "error" ? note : () => undefined
  })
  return { records, layer: Layer.merge(Logs.layer, Layer.succeed(Console.Console, capturing)) }
}

const assertRecord = (record: string): void => {
  const [first = "", ...others] = record.split("\n")
  assert.match(first, /^\[\d\d:\d\d:\d\d\.\d{3}\] [A-Z]+ \(#\d+\)/)
  // No other line can be taken for the beginning of a record.
  for (const line of others) assert.match(line, /^ {2}/)
  assert.isTrue(isPlain(record), JSON.stringify(record))
}

describe("the log", () => {
  for (const text of hostile) {
    it.effect(`is one record for ${JSON.stringify(text)}, wherever it stands`, () =>
      Effect.gen(function*() {
        const error = new AgentBusy({ limit: text })
        const { layer, records } = logging()
        yield* Effect.all([
          Effect.logInfo(text),
          Effect.logInfo("Agent refused", { "agent.id": text }),
          Effect.logWarning("The tools could not be listed", error),
          Effect.annotateLogs(Effect.logError("A tool failed", error), { "chat.id": text, [text]: 1 }),
          Effect.sandbox(Effect.die(new Error(text))).pipe(Effect.catch((cause) => Effect.logError("A defect", cause))),
          Effect.logInfo("in a span").pipe(Effect.withLogSpan(text))
        ], { discard: true }).pipe(Effect.provide(layer))
        assert.strictEqual(records.length, 6)
        for (const record of records) assertRecord(record)
      }))
  }
})

describe("an agent that calls itself by hostile names", () => {
  it.live("is shown in plain lines by explain, in the log and in the metrics", () =>
    Effect.gen(function*() {
      const { context, port, transport } = yield* h.start()
      const bindings = yield* ChatBindings.ChatBindings
      const built = yield* Layer.build(
        ChatExplanation.layer.pipe(
          Layer.provide(ChatWorkspaces.layer),
          Layer.provide(Layer.succeedContext(context))
        )
      )
      const { explain } = Context.get(built, ChatExplanation.ChatExplanation)
      for (const text of hostile.filter(fits)) {
        const { agentId, token, workspaceId } = yield* h.enroll(
          WorkspaceId.make(`${h.fresh("w")}${text}`.slice(0, 128))
        )
        yield* h.connect(port, token, { hello: { incarnation: text, features: ["run", text], program: text } })
        yield* transport.dial(agentId)
        const chatId = ChatId.make(`${h.fresh("c")}${text}`.slice(0, 128))
        yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId })
        const page = ChatExplanation.format(yield* explain(chatId))
        assert.include(page, "incarnation")
        assert.isTrue(isPlain(page), JSON.stringify(page))
        for (const line of page.split("\n")) {
          assert.match(line, /^(finding|chat|workspace|remembers|latest|agent| |waiting|connects)/)
        }
      }
      const metrics = yield* PrometheusMetrics.format()
      for (const line of metrics.split("\n")) {
        assert.match(line, /^(#|$|[a-z_]+(\{([a-z_]+="[A-Za-z_+.0-9]*",?)*\})? [-+.0-9eInfNa]+$)/)
      }
      assert.notInclude(metrics, "forged")
    }).pipe(Effect.scoped, Effect.provide([virtual.layerStores, Logger.layer([])])))

  it.effect("is shown in plain lines by the page of an explanation, as is a tool that a model made up", () =>
    Effect.gen(function*() {
      const { explain } = yield* Explanation.Explanations
      const explanation = yield* explain(world.c)
      const nodeId = NodeId.make("n")
      const turn = new Turn({
        turnId: TurnId.make("t"),
        chatId: world.c,
        owner: h.owner,
        messageId: MessageId.make("m"),
        epoch: 1,
        nodeId,
        status: "running",
        reason: null,
        startedAt: DateTime.makeUnsafe(0),
        endedAt: null
      })
      const second = Duration.seconds(1)
      for (const text of hostile) {
        const running = { turn, runningFor: second, quietFor: second, calls: [{ name: text, runningFor: second }] }
        const page = Explanation.format({ ...explanation, turns: { nodeId, running } })
        assert.isTrue(isPlain(page), JSON.stringify(page))
        assert.strictEqual(page.split("\n").filter((line) => !/^[a-z]{4,9} | {6}/.test(line)).length, 0, page)
      }
    }).pipe(world.provide([])))

  it.live("is one record of the log when its token is forged, whatever id that names", () => {
    const { layer, records } = logging()
    return Effect.gen(function*() {
      const { port } = yield* h.start()
      for (const text of hostile.filter(fits)) {
        const token = AgentToken.format({ agentId: AgentId.make(text), secret: Redacted.make(new Uint8Array(32)) })
        assert.strictEqual((yield* h.connect(port, token)).status, 401)
      }
      const refused = records.filter((record) => record.includes("Agent refused"))
      assert.strictEqual(refused.length, hostile.filter(fits).length)
      for (const record of records) assertRecord(record)
    }).pipe(Effect.scoped, Effect.provide([virtual.layerStores, layer]))
  })
})

describe("the log of a build", () => {
  it.effect("has plain lines, of a command and of a failure", () =>
    Effect.gen(function*() {
      const kept: Array<string> = []
      const log = BuildLog.make({
        logLines: 1000,
        logBytes: 2 ** 20,
        append: (lines) => Effect.sync(() => void kept.push(...lines.map(({ text }) => text)))
      })
      for (const text of hostile) {
        yield* log.write(text)
        assert.isTrue(isPlain(log.readable(text)))
      }
      yield* log.flush
      for (const line of kept) {
        assert.strictEqual(line.split("\n").length, 1)
        assert.isTrue(isPlain(line), JSON.stringify(line))
      }
    }))
})

describe("a stream of events", () => {
  const Word = Schema.Struct({ word: Schema.String })
  const api = HttpApi.make("chat-workspace").add(
    HttpApiGroup.make("words").add(
      HttpApiEndpoint.get("words", "/words", { success: EventStream.schema(Word), error: Problem.of(TooManyStreams) })
    ).middleware(Authorization).middleware(Requests)
  )
  const routes = HttpApiBuilder.layer(api).pipe(
    Layer.provide(HttpApiBuilder.group(
      api,
      "words",
      Effect.fnUntraced(function*(handlers) {
        const streams = yield* EventStream.EventStreams
        const events = Stream.fromIterable(hostile.map((word, index) => ({ number: index + 1, data: { word } })))
        return handlers.handle("words", () => streams.respond({ data: Word, events }))
      })
    )),
    Layer.provide([Mount.guards, EventStream.layer])
  )

  it.effect("has the events that were told, and no line of anybody else's making", () =>
    Effect.scoped(Effect.gen(function*() {
      const { fetch } = yield* serve(routes)
      const text = yield* Effect.flatMap(fetch("GET /words"), (response) => Effect.promise(() => response.text()))
      const events = text.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"))
      const told = events.map((event) => {
        const lines = event.split(/\r\n|\n|\r/)
        assert.deepStrictEqual(lines.map((line) => line.split(":")[0]).sort(), ["data", "id"])
        const data = lines.find((line) => line.startsWith("data:"))?.slice(5) ?? ""
        return Schema.decodeSync(Schema.fromJsonString(Word))(data).word
      })
      assert.deepStrictEqual(told, hostile)
    })))
})

describe("an id in an address", () => {
  it.effect("comes back as a text in problem details, and in no header", () =>
    Effect.gen(function*() {
      const { fetch } = yield* world.api()
      for (const text of hostile.filter(fits)) {
        const response = yield* fetch(`GET /chats/${encodeURIComponent(text)}`)
        assert.strictEqual(response.status, 404)
        assert.notInclude(JSON.stringify(Array.from(response.headers)), "admin")
        const body = yield* Effect.promise(() => response.text())
        assert.strictEqual(JSON.parse(body).id, text)
        assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/)
      }
    }).pipe(world.provide([])))
})
