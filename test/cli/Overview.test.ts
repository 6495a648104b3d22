import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as Overview from "../../src/cli/Overview.ts"
import { TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import type { Ready } from "../../src/provisioner/Readiness.ts"
import type { Fields } from "./support/builds.ts"
import { record, workspace } from "./support/builds.ts"

const state = (fields: Fields) => Overview.state(record(fields))

describe("Overview.state", () => {
  it("a build that waits or runs counts from its request", () => {
    assert.strictEqual(state({ status: "pending", asked: "3 seconds" }), "starting (waits for 3 s)")
    assert.strictEqual(state({ status: "running", asked: "3 seconds" }), "starting (for 3 s)")
    assert.strictEqual(state({ status: "pending", transition: "stop" }), "stopping (waits for 0 s)")
    assert.strictEqual(state({ status: "running", transition: "delete" }), "being deleted (for 0 s)")
  })

  it("one that has ended counts from its end", () => {
    const ended = { asked: "1 hour", ended: "3 seconds" } as const
    assert.strictEqual(state(ended), "running for 3 s")
    assert.strictEqual(state({ ...ended, transition: "stop" }), "stopped for 3 s")
    assert.strictEqual(state({ ...ended, transition: "delete" }), "deleted for 3 s")
    assert.strictEqual(state({ ...ended, status: "canceled" }), "start canceled 3 s ago")
    assert.strictEqual(state({ ...ended, status: "failed", transition: "stop" }), "stop failed 3 s ago")
    assert.strictEqual(
      state({ ...ended, status: "failed", failure: { code: "runner_lost", message: "It was lost." } }),
      "start failed 3 s ago (runner_lost)"
    )
  })

  it("ages are never rounded up", () => {
    const age = (ended: Duration.Input) => state({ ended }).slice("running for ".length)
    assert.deepStrictEqual(
      (["59.9 seconds", "60 seconds", "119 minutes", "2 hours", "47 hours", "48 hours"] as const).map(age),
      ["59 s", "1 min", "119 min", "2 h", "47 h", "2 days"]
    )
  })
})

describe("Overview.workspaces", () => {
  it("is a table, with one column under the other", () => {
    const text = Overview.workspaces([
      {
        workspace: workspace("id-1", { name: "web", template: "local" }),
        latest: record({ ended: "5 minutes" })
      },
      { workspace: workspace("id-2", { name: "a-longer-name", template: "shell" }), latest: null },
      { workspace: workspace("enrolled", { name: null, template: null }), latest: record({ ended: "5 minutes" }) }
    ])
    assert.strictEqual(
      text,
      [
        "NAME           TEMPLATE  STATE              ID",
        "web            local     running for 5 min  id-1",
        "a-longer-name  shell     never built        id-2",
        "                         running for 5 min  enrolled"
      ].join("\n")
    )
  })

  it("without any says how to make one", () => {
    assert.include(Overview.workspaces([]), "chat-workspace workspace create <template>")
  })
})

const template = (fields: Partial<Template>) =>
  new Template({
    templateId: TemplateId.make("docker"),
    name: "docker",
    description: "",
    readme: null,
    parameters: [],
    agents: [{ name: "main", displayOrder: 0 }],
    provider: { type: "command", settings: {}, directory: null },
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120),
    ...fields
  })

describe("Overview.templates", () => {
  it("tells of each parameter its type, its meaning, its values, and whether it must be given", () => {
    const text = Overview.templates([
      template({
        name: "Docker container",
        description: "A container.\nIts files are in a volume.",
        parameters: [
          { name: "image", type: "string", description: "What it runs", options: ["node", "python"], default: "node" },
          { name: "cpus", type: "number" },
          { name: "debug", type: "boolean", default: false }
        ]
      }),
      template({ templateId: TemplateId.make("plain"), name: "plain" })
    ])
    assert.strictEqual(
      text,
      [
        "docker  Docker container  (command)",
        "    A container.",
        "    Its files are in a volume.",
        "    --param image=<string>  What it runs  one of: node, python  node unless given",
        "    --param cpus=<number>  required",
        "    --param debug=<boolean>  false unless given",
        "",
        "plain  (command)"
      ].join("\n")
    )
  })

  it("without any says what one is", () => {
    assert.include(Overview.templates([]), "template.json")
  })
})

describe("Overview.ready", () => {
  const ready = (fields: Partial<Ready>, transition: "start" | "stop" | "delete" = "start") =>
    Overview.ready("web", {
      record: record({ transition, ended: 0 }),
      failure: null,
      agentStatus: null,
      agentError: null,
      startupScripts: null,
      lifecycle: null,
      ...fields
    })

  it("says what the workspace is now", () => {
    assert.strictEqual(ready({}), "web is running.")
    assert.strictEqual(ready({}, "stop"), "web is stopped.")
    assert.strictEqual(ready({}, "delete"), "web is deleted.")
  })

  it("says why the build did not succeed", () => {
    assert.strictEqual(ready({ failure: "The build was canceled." }), "web: The build was canceled.")
  })

  it("a workspace whose agent cannot be used is not told as one that runs", () => {
    assert.strictEqual(
      ready({ agentStatus: "not_ready", agentError: "The agent did not connect." }),
      "web is running, but cannot be used: The agent did not connect."
    )
    assert.strictEqual(ready({ agentStatus: "no_agent" }), "web is running, but cannot be used: no_agent")
  })

  it("start-up scripts that did not end well are told, by how far the agent is when that is known", () => {
    assert.strictEqual(
      ready({ startupScripts: "startup_scripts_failed", lifecycle: "start_error" }),
      "web is running, but its start-up scripts did not end well (start_error)."
    )
    assert.include(ready({ startupScripts: "startup_scripts_unknown" }), "(startup_scripts_unknown)")
  })
})
