/**
 * Installs the packed package in an empty project, as a stranger would: every export must load, its types must check, and
 * its command line must find what is shipped with it.
 *
 * `npm run check:package`; the Node that runs it is the Node that is tested.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const root = Path.resolve(import.meta.dirname, "..")
const manifest: Manifest = JSON.parse(readFileSync(Path.join(root, "package.json"), "utf8"))
const project = mkdtempSync(Path.join(tmpdir(), "chat-workspace-package-"))
const run = (command: string, args: ReadonlyArray<string>, cwd = project): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

try {
  // The build has run already; `prepack` would run it once more.
  const packed = run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", project], root).trim()
  writeFileSync(Path.join(project, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }))
  const pinned = (name: string): string => `${name}@${manifest.devDependencies[name]}`
  const peers = Object.keys(manifest.peerDependencies).map(pinned)
  run("npm", [
    "install",
    "--silent",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    Path.join(project, packed),
    ...peers,
    pinned("typescript"),
    pinned("@types/node")
  ])

  const paths = Object.keys(manifest.exports).filter((path) => path !== "./package.json")
    .map((path) => Path.posix.join(manifest.name, path))
  const file = paths.map((path, index) => `import * as m${index} from ${JSON.stringify(path)}`).join("\n")
  const used = `\nfor (const m of [${paths.map((_, index) => `m${index}`).join(", ")}]) {
  if (Object.keys(m).length === 0) throw new Error("an export is empty")
}\n`
  writeFileSync(Path.join(project, "main.ts"), file + used)
  writeFileSync(
    Path.join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2024",
        lib: ["ES2024", "DOM"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        types: ["node"]
      },
      include: ["main.ts"]
    })
  )
  run("npx", ["tsc"])
  run(process.execPath, ["main.ts"])
  const templates = readdirSync(Path.join(root, "templates"))
  const listed = run("npx", ["chat-workspace", "template", "list"])
  for (const name of templates) {
    if (!listed.split("\n").some((line) => line.startsWith(`${name} `))) throw new Error(`${name} is not in: ${listed}`)
  }
  console.log(
    `${paths.length} exports load on Node ${process.versions.node}, and their types check: ${
      paths.join(", ")
    }; templates: ${templates.join(", ")}`
  )
} finally {
  rmSync(project, { recursive: true, force: true })
}
