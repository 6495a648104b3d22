/** The page on security names a test for each thing that is tried, and each of these tests is there. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = new URL("../../", import.meta.url)

const textOf = (path: string): string => readFileSync(new URL(path, root), "utf8")

const page = textOf("docs/security.md")

const named = Array.from(
  page.matchAll(/`((?:test|src\/testing)\/[^`]+)`:\s+"([^"]+)"/g),
  ([, file = "", title = ""]) => ({ file, title })
)

/** The rows of the tables that end with what shows them. */
const rows = page.split("\n").reduce<{ readonly shown: boolean; readonly found: ReadonlyArray<string> }>(
  ({ found, shown }, line) =>
    line.startsWith("| ") && line.endsWith("shown by |")
      ? { found, shown: true }
      : !line.startsWith("|")
      ? { found, shown: false }
      : { shown, found: shown && !line.startsWith("| ---") ? [...found, line] : found },
  { shown: false, found: [] }
).found

describe("docs/security.md", () => {
  it("says of each attempt what shows that it is stopped", () => {
    assert.isAbove(rows.length, 40)
    for (const row of rows) assert.match(row, /`(test|src\/testing)\/[^`]+`: "|this page, \*[^*]+\* \|$/, row)
    for (const [, section = ""] of page.matchAll(/this page, \*([^*]+)\*/g)) assert.include(page, `## ${section}\n`)
  })

  it.each(named.map(({ file, title }) => [file, title] as const))("%s: %s", (file, title) => {
    assert.isTrue(existsSync(fileURLToPath(new URL(file, root))), `${file} is not there`)
    assert.include(textOf(file), title)
  })

  it("links to pages that are there", () => {
    for (const [, path = ""] of page.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert.isTrue(existsSync(fileURLToPath(new URL(path, new URL("docs/", root)))), path)
    }
  })
})
