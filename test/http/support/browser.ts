/** A real browser, where this machine has one. */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import { existsSync } from "node:fs"
import { type Browser as Chromium, chromium, type Page } from "playwright-core"

/** None where none is found: the tests are skipped then, and say so. */
export const executable: string | undefined = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
].find((path) => path !== undefined && existsSync(path))

/** One for all tests of a file. */
export class Browser extends Context.Service<Browser, Chromium>()("test/Browser") {}

export const layer: Layer.Layer<Browser> = Layer.effect(
  Browser,
  Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launch({
        executablePath: executable ?? "",
        timeout: 60_000,
        args: [
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync"
        ]
      })
    ),
    (browser) => Effect.promise(() => browser.close())
  )
)

/** A page of its own, and what went wrong in it. */
export interface Opened {
  readonly page: Page
  readonly complaints: ReadonlyArray<string>
}

export const open = Effect.fnUntraced(function*(
  address: string,
  options: Parameters<Chromium["newContext"]>[0] = {}
): Effect.fn.Return<Opened, never, Browser | Scope.Scope> {
  const browser = yield* Browser
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext(options)),
    (context) => Effect.promise(() => context.close())
  )
  const page = yield* Effect.promise(() => context.newPage())
  page.setDefaultTimeout(30_000)
  const complaints: Array<string> = []
  page.on("pageerror", (error) => complaints.push(error.message))
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text())
  })
  yield* Effect.promise(() => page.goto(address))
  return { page, complaints }
})
