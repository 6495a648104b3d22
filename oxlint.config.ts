import { defineConfig } from "oxlint"
import type { OxlintOverride } from "oxlint"

/**
 * The house, from the ground up: a file imports from its own folder and from floors nearer the ground.
 * Folders that share a floor do not import each other.
 */
const floors: ReadonlyArray<ReadonlyArray<string>> = [
  ["domain"],
  ["store", "openai"],
  ["agent"],
  ["dial", "provisioner", "cluster"],
  ["tool"],
  ["turn"],
  ["http"],
  ["testing"],
  ["cli"]
]

/** Doors narrower than the floor below: of `store`, these folders take only the ports named. */
const doors: Readonly<Record<string, ReadonlyArray<string>>> = {
  agent: ["AgentPresence"],
  cluster: ["Signals"],
  dial: ["ChatBindings", "WorkspaceAgents", "StoreConfig"]
}

const nodeAllowed = ["cli", "testing", "agent/program", "provisioner/process"]

type Forbidden = { message: string } & ({ regex: string } | { group: Array<string> })

const barrel: Forbidden = { regex: "^effect$", message: "Import the module by its own path, as in effect/Effect." }
const node: Forbidden = {
  regex: "^(node:|@effect/platform-node|@effect/sql-pg)",
  message: "Only cli, testing, agent/program and the process provider know Node."
}

/** Time, chance and the environment are services. */
const ambient = ["Date", "performance", "process", "setTimeout", "setInterval", "setImmediate", "fetch"].map((
  name
) => ({
  name,
  message: "Below cli this is a service of Effect."
}))

const above = (folder: string): Forbidden => {
  const floor = floors.findIndex((names) => names.includes(folder))
  const closed = floors.flatMap((names, index) => index < floor ? [] : names.filter((name) => name !== folder))
  return {
    regex: `^(\\.\\./)+(${closed.join("|")})/`,
    message: `${folder} imports only from floors nearer the ground.`
  }
}

const door = (folder: string): ReadonlyArray<Forbidden> => {
  const open = doors[folder]
  return open === undefined ? [] : [{
    group: ["**/store/*.ts", ...open.map((name) => `!**/store/${name}.ts`)],
    message: `${folder} takes of store only ${open.join(", ")}.`
  }]
}

const restrict = (files: Array<string>, patterns: Array<Forbidden>): OxlintOverride => ({
  files,
  rules: { "no-restricted-imports": ["error", { patterns }] }
})

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "oxc"],
  categories: { correctness: "error", suspicious: "error" },
  rules: {
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/array-type": ["error", { default: "generic", readonly: "generic" }],
    "typescript/ban-ts-comment": "error",
    "import/no-cycle": "error",
    "no-console": "error",
    "no-underscore-dangle": "off",
    "no-shadow": "off",
    "no-extend-native": "error",
    "require-yield": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/no-array-reverse": "off",
    "unicorn/consistent-function-scoping": "off"
  },
  overrides: [
    ...floors.flat().filter((folder) => folder !== "cli").map((folder) =>
      restrict([`src/${folder}/**`], [
        barrel,
        above(folder),
        ...door(folder),
        ...(nodeAllowed.includes(folder) ? [] : [node])
      ])
    ),
    ...floors.flat().filter((folder) => !nodeAllowed.includes(folder)).map((folder): OxlintOverride => ({
      files: [`src/${folder}/**`],
      rules: { "no-restricted-globals": ["error", ...ambient] }
    })),
    { files: ["src/agent/program/**"], rules: { "no-restricted-globals": "off" } },
    { files: ["src/provisioner/process/**"], rules: { "no-restricted-globals": "off" } },
    restrict(["src/provisioner/process/**"], [barrel, above("provisioner")]),
    restrict(["src/dial/LazyDial.ts"], [barrel, { regex: "^[.@]|^node:", message: "LazyDial imports only effect." }]),
    restrict(["src/agent/program/**"], [
      barrel,
      above("agent"),
      {
        group: ["../*.ts", "!../Protocol.ts", "../../store/*.ts"],
        message: "The program imports the protocol and nothing of the backend."
      }
    ]),
    {
      files: ["src/cli/**", "test/**", "bench/**", "scripts/**", "examples/**"],
      rules: { "no-console": "off" }
    }
  ],
  ignorePatterns: ["dist", "node_modules"]
})
