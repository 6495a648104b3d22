/**
 * Makes `dist/agent.mjs`: the agent program in one file, without dependencies, for Node 22.19 and later.
 */
import { build } from "esbuild"
import { chmod, stat } from "node:fs/promises"
import { fileURLToPath } from "node:url"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

/** Where the bundle is made when nothing else is asked for. */
export const output = path("../dist/agent.mjs")

/** Bytes of the bundle, at most. */
export const sizeLimit = 1_500_000

export const bundle = async (outfile: string): Promise<number> => {
  await build({
    entryPoints: [path("../src/agent/program/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22.19",
    minify: true,
    legalComments: "none",
    // Parts of ws that are optional and native.
    external: ["bufferutil", "utf-8-validate"],
    banner: {
      // ws is CommonJS, and asks for Node's modules with `require`.
      js: "#!/usr/bin/env node\n" +
        "import { createRequire as __createRequire } from \"node:module\";" +
        "const require = __createRequire(import.meta.url);"
    }
  })
  await chmod(outfile, 0o755)
  const { size } = await stat(outfile)
  if (size > sizeLimit) throw new Error(`${outfile} has ${size} bytes, more than ${sizeLimit}`)
  return size
}

if (import.meta.main) {
  console.log(`${output}: ${await bundle(output)} bytes`)
}
