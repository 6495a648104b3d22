import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Page } from "playwright-core"
import { describe } from "vitest"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import { ChatId, MessageId } from "../../src/domain/Ids.ts"
import * as StatusPage from "../../src/http/StatusPage.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { Turns } from "../../src/turn/Turns.ts"
import * as Browser from "./support/browser.ts"
import { listening } from "./support/requests.ts"
import { provide, type Services } from "./support/status.ts"

const chat = (name: string) => ChatId.make(name)
const hostile = `<img src=x onerror="alert(1)">`

const world = <A>(f: (world: TestWorkspaces.TestWorkspaces["Service"]) => Effect.Effect<A>) =>
  Effect.flatMap(TestWorkspaces.TestWorkspaces, f)

const connect = (name: string) =>
  Effect.flatMap(
    ChatWorkspaces,
    ({ open }) => Effect.flatMap(open(chat(name)), ({ use }) => Effect.exit(use(() => Effect.void)))
  )

const ask = <A>(f: () => Promise<A>): Effect.Effect<A> => Effect.promise(f)

/** Waits until an element says this. Each look is a new one: the page updates by itself. */
const shows = (page: Page, selector: string, text: string | RegExp) =>
  ask(() => page.locator(selector).filter({ hasText: text }).first().waitFor())

const row = (name: string): string => `#chats tr[data-key="${CSS.escape(name)}"]`

const CSS = { escape: (text: string) => text.replaceAll(/["\\]/g, "\\$&") }

/** The page over a world that a test has made. */
const test = (
  body: Effect.Effect<void, unknown, Services | Browser.Browser | Scope.Scope>,
  options?: Parameters<typeof provide>[0]
) => Effect.scoped(body).pipe(provide(options))

const opened = (hash = "", options?: Parameters<typeof Browser.open>[1]) =>
  Effect.flatMap(
    Effect.orDie(listening(StatusPage.layer())),
    (address) => Browser.open(`${address}/${hash}`, options)
  )

const skipped = "The tests of the status page are skipped: this machine has no Chromium, and CHROMIUM names none"
if (Browser.executable === undefined) process.stderr.write(`${skipped}\n`)

describe.skipIf(Browser.executable === undefined)("the status page in a browser", () => {
  layer(Browser.layer, { excludeTestServices: true, timeout: "90 seconds" })((it) => {
    it.effect(
      "shows a running, a stopped and a stuck chat, and a name that is no markup",
      () =>
        test(Effect.gen(function*() {
          yield* world((world) =>
            Effect.all([
              world.running(chat("runs")),
              world.stopped(chat("rests")),
              world.stopped(chat(hostile)),
              world.agentDead(chat("is stuck"))
            ])
          )
          const { complaints, page } = yield* opened()
          yield* shows(page, "#headline[data-level=wrong]", "Chat is stuck in workspace-")
          yield* shows(page, `${row("is stuck")} [data-level=wrong]`, "agent disconnected")
          yield* shows(page, `${row("runs")} [data-level=well]`, "well")
          yield* shows(page, `${row("rests")} [data-level=still]`, "workspace stopped")
          yield* shows(page, `${row(hostile)} a`, hostile)
          assert.strictEqual(yield* ask(() => page.locator("img, script:not(body > script)").count()), 0)
          assert.strictEqual(
            yield* ask(() => page.locator("#chats tbody tr").first().getAttribute("data-key")),
            "is stuck"
          )
          assert.match(yield* ask(() => page.title()), /is stuck/)
          assert.deepStrictEqual(complaints, [])
        })),
      60_000
    )

    it.effect(
      "updates by itself, and leaves the focus with what has it, where that goes",
      () =>
        test(Effect.gen(function*() {
          yield* world((world) => Effect.andThen(world.running(chat("a")), world.running(chat("b"))))
          const { complaints, page } = yield* opened()
          yield* shows(page, "#headline[data-level=well]", "Nothing is wrong.")
          const rows = page.locator("#chats tbody tr")
          const last = yield* ask(() => rows.last().getAttribute("data-key"))
          assert(last !== null)
          yield* ask(() => page.locator(`${row(last)} a`).focus())
          yield* world((world) => world.agentDead(chat(last)))
          yield* shows(page, `${row(last)} [data-level=wrong]`, "agent disconnected")
          yield* shows(page, "#headline[data-level=wrong]", `Chat ${last}`)
          assert.strictEqual(yield* ask(() => rows.first().getAttribute("data-key")), last)
          assert.strictEqual(yield* ask(() => page.evaluate("document.activeElement.textContent")), last)
          yield* world((world) => world.running(chat(last)))
          yield* shows(page, "#headline[data-level=well]", "Nothing is wrong.")
          assert.deepStrictEqual(complaints, [])
        })),
      60_000
    )

    it.effect(
      "opens a chat by its row: the finding, and the timeline of its connects, which the address keeps",
      () =>
        test(
          Effect.gen(function*() {
            const turns = yield* Turns
            yield* world((world) => world.running(chat(hostile)))
            yield* connect(hostile)
            yield* world((world) => world.stopped(chat(hostile)))
            yield* connect(hostile)
            yield* world((world) => world.running(chat(hostile)))
            yield* connect(hostile)
            yield* Effect.orDie(
              turns.send({
                chatId: chat(hostile),
                owner: TestWorkspaces.owner,
                messageId: MessageId.make("m"),
                text: "Go on"
              })
            )
            const { complaints, page } = yield* opened()
            yield* ask(() => page.locator(row(hostile)).locator("td").nth(2).click())
            yield* shows(page, "#chat .finding[data-level=busy]", "A turn has run here")
            const lines = page.locator("#timeline li")
            yield* shows(page, "#timeline li", "The workspace is stopped.")
            assert.deepStrictEqual(
              yield* ask(() => lines.evaluateAll((all) => all.map((line) => line.hasAttribute("data-bad")))),
              [false, true, false]
            )
            assert.deepStrictEqual(yield* ask(() => lines.locator("b").allTextContents()), [
              "fast",
              "no workspace agent",
              "fast"
            ])
            yield* shows(page, `${row(hostile)}[aria-current]`, hostile)
            yield* ask(() => page.reload())
            yield* shows(page, "#chat h2", hostile)
            yield* ask(() => page.keyboard.press("Escape"))
            yield* ask(() => page.locator("#chat").waitFor({ state: "hidden" }))
            assert.deepStrictEqual(complaints, [])
          }),
          { script: [() => Effect.never] }
        ),
      60_000
    )

    it.effect("shows the chat that was opened last, whichever answer comes last", () =>
      test(Effect.gen(function*() {
        yield* world((world) => Effect.andThen(world.running(chat("slow")), world.stopped(chat("quick"))))
        const { page } = yield* opened()
        const { promise: released, resolve: release } = Promise.withResolvers<void>()
        yield* ask(() =>
          page.route("**/status/chats/slow", async (route) => {
            await released
            await route.continue()
          })
        )
        yield* ask(() => page.locator(`${row("slow")} a`).click())
        yield* ask(() => page.locator(`${row("quick")} a`).click())
        yield* shows(page, "#chat .finding", "The workspace is stopped.")
        const late = page.waitForResponse("**/status/chats/slow")
        release()
        yield* ask(async () => (await late).finished())
        // Whatever the page does with it, it has done before it answers this.
        yield* ask(() => page.evaluate("new Promise((resolve) => setTimeout(resolve, 50))"))
        assert.deepStrictEqual(yield* ask(() => page.locator("#chat .finding").allTextContents()), [
          "– The workspace is stopped."
        ])
      })), 60_000)

    it.effect("opens a chat that is not listed by its id, by the keyboard alone", () =>
      test(Effect.gen(function*() {
        yield* world((world) => world.running(chat("listed")))
        const { page } = yield* opened()
        yield* shows(page, row("listed"), "listed")
        yield* ask(() => page.locator("#find input").focus())
        yield* ask(() => page.keyboard.type("somewhere else"))
        yield* ask(() => page.locator(row("listed")).waitFor({ state: "detached" }))
        yield* ask(() => page.keyboard.press("Enter"))
        yield* shows(page, "#chat .finding", "The chat has no workspace.")
        yield* shows(page, "#chat:focus h2", "somewhere else")
      })), 60_000)

    it.effect(
      "says when the server is gone and since when, and goes on when it is back",
      () =>
        test(Effect.gen(function*() {
          yield* world((world) => world.running(chat("c")))
          const { page } = yield* opened()
          yield* shows(page, "#headline[data-level=well]", "Nothing is wrong.")
          yield* ask(() => page.context().setOffline(true))
          yield* shows(page, "#headline[data-level=wrong]", /The server has not answered for \d+ s\. What follows is/)
          yield* shows(page, "#spoken", "The server has not answered")
          yield* shows(page, row("c"), "c")
          yield* ask(() => page.context().setOffline(false))
          yield* shows(page, "#headline[data-level=well]", "Nothing is wrong.")
        })),
      60_000
    )

    it.effect("shows what it saw last while the database does not answer", () =>
      test(Effect.gen(function*() {
        yield* world((world) => world.stopped(chat("c")))
        const { page } = yield* opened()
        yield* shows(page, row("c"), "workspace stopped")
        yield* world((world) => world.databaseDown())
        yield* shows(page, "#headline[data-level=wrong]", "The database does not answer.")
        yield* shows(page, "#meta", "silent, seen")
        yield* shows(page, row("c"), "workspace stopped")
        yield* world((world) => world.databaseUp)
        yield* shows(page, "#meta", "database answers")
      })), 60_000)

    it.effect(
      "asks nothing while nobody can see it, and at once when somebody does",
      () =>
        test(Effect.gen(function*() {
          yield* world((world) => world.running(chat("c")))
          const { page } = yield* opened()
          let asked = 0
          page.on("request", (request) => {
            if (request.url().endsWith("/status")) asked++
          })
          // From the next load on the page has a clock of its own, which this test moves.
          yield* ask(() => page.clock.install())
          yield* ask(() => page.reload())
          yield* shows(page, row("c"), "c")
          const visible = (seen: boolean) =>
            ask(() =>
              page.evaluate((seen) => {
                const { document, Event } = Object(globalThis)
                Object.defineProperty(document, "hidden", { configurable: true, get: () => !seen })
                document.dispatchEvent(new Event("visibilitychange"))
              }, seen)
            )
          yield* visible(false)
          const before = asked
          yield* ask(() => page.clock.runFor(60_000))
          assert.strictEqual(asked, before)
          const next = page.waitForRequest(/\/status$/)
          yield* visible(true)
          yield* ask(() => next)
          assert.strictEqual(asked, before + 1)
        })),
      60_000
    )

    it.effect.each([
      { name: "a telephone", viewport: { width: 360, height: 740 } },
      { name: "a small window", viewport: { width: 800, height: 600 } }
    ])("fits $name, also with the longest ids", ({ viewport }) =>
      test(Effect.gen(function*() {
        // Those of its workspace and its agent are made from it.
        const long = "x".repeat(100)
        yield* world((world) => world.running(chat(long)))
        yield* connect(long)
        const { page } = yield* opened(`#chat=${long}`, { viewport })
        yield* shows(page, "#timeline li", "fast")
        const width = yield* ask(() => page.evaluate("document.documentElement.scrollWidth"))
        assert.strictEqual(width, viewport.width)
      })), 60_000)

    it.effect.each(["light", "dark"] as const)("can be read in %s", (colorScheme) =>
      test(Effect.gen(function*() {
        yield* world((world) => world.agentDead(chat("c")))
        const { page } = yield* opened("", { colorScheme })
        yield* shows(page, row("c"), "agent disconnected")
        for (
          const selector of ["#headline", "#chats td", "#chats .badge", "#chats td small", "#chats a", "#meta span"]
        ) {
          const ratio = yield* ask(() => page.locator(selector).first().evaluate(contrast))
          assert.isAtLeast(ratio, 4.5, `${selector} in ${colorScheme}`)
        }
      })), 60_000)
  })
})

/** The contrast of the text of an element with what is behind it, by the rule of the WCAG. Runs in the page. */
const contrast = (element: unknown): number => {
  interface Styled {
    readonly parentElement: Styled | null
  }
  // oxlint-disable-next-line typescript/no-explicit-any -- the types here are not those of a browser
  const { getComputedStyle } = globalThis as any
  const parts = (color: string): ReadonlyArray<number> => (color.match(/[\d.]+/g) ?? []).map(Number)
  const light = (color: string): number => {
    const [red = 0, green = 0, blue = 0] = parts(color).map((part) =>
      part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  let behind = element as Styled | null
  while (behind !== null && parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement
  const [one, other] = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)]
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
}
