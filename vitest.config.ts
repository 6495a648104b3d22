import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    // Examples import the package by its name, as a reader of them would.
    alias: [
      { find: /^chat-workspace$/, replacement: source("index.ts") },
      { find: /^chat-workspace\/lazy-dial$/, replacement: source("dial/LazyDial.ts") },
      { find: /^chat-workspace\/client$/, replacement: source("http/Client.ts") },
      { find: /^chat-workspace\/providers$/, replacement: source("provisioner/process/index.ts") },
      { find: /^chat-workspace\/([a-z]+)$/, replacement: source("$1/index.ts") }
    ]
  },
  test: {
    silent: "passed-only",
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"]
  }
})
