/**
 * What the command line prints of templates and workspaces.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { BuildRecord } from "../domain/Build.ts"
import type { Template } from "../domain/Template.ts"
import type { Ready } from "../provisioner/Readiness.ts"
import type { WorkspaceOverview } from "../store/Builds.ts"

/**
 * The workspaces of an owner as a table, or what to do when there are none.
 *
 * @since 0.1.0
 * @category formatters
 */
export const workspaces = (all: ReadonlyArray<WorkspaceOverview>): string =>
  all.length === 0
    ? "No workspaces. Make one with: chat-workspace workspace create <template>"
    : table(
      ["NAME", "TEMPLATE", "STATE", "ID"],
      all.map(({ latest, workspace }) => [
        workspace.name ?? "",
        workspace.templateId ?? "",
        latest === null ? "never built" : state(latest),
        workspace.workspaceId
      ])
    )

/**
 * The templates as a list, each with its parameters.
 *
 * @since 0.1.0
 * @category formatters
 */
export const templates = (all: ReadonlyArray<Template>): string =>
  all.length === 0 ?
    "No templates. Each is a folder with a template.json." :
    all.map(({ description, name, parameters, provider, templateId }) =>
      [
        `${templateId}${name === templateId ? "" : `  ${name}`}  (${provider.type})`,
        ...(description === "" ? [] : description.split("\n")).map((line) => `    ${line}`),
        ...parameters.map((parameter) => `    --param ${parameter.name}=<${parameter.type}>${about(parameter)}`)
      ].map((line) => line.trimEnd()).join("\n")
    ).join("\n\n")

/**
 * The state of a workspace by its latest build, in words.
 *
 * @since 0.1.0
 * @category formatters
 */
export const state = ({ asOf, build, createdAt, failure, finishedAt }: BuildRecord): string => {
  const age = (since: DateTime.Utc) => ago(DateTime.distance(since, asOf))
  const since = finishedAt ?? createdAt
  switch (build.status) {
    case "pending":
      return `${underWay[build.transition]} (waits for ${age(since)})`
    case "running":
      return `${underWay[build.transition]} (for ${age(since)})`
    case "succeeded":
      return `${done[build.transition]} for ${age(since)}`
    case "failed":
      return `${build.transition} failed ${age(since)} ago${failure === null ? "" : ` (${failure.code})`}`
    case "canceled":
      return `${build.transition} canceled ${age(since)} ago`
  }
}

/**
 * What a wait came to, in one line.
 *
 * @since 0.1.0
 * @category formatters
 */
export const ready = (
  name: string,
  { agentError, agentStatus, failure, lifecycle, record, startupScripts }: Ready
): string => {
  if (failure !== null) return `${name}: ${failure}`
  const what = `${name} is ${done[record.build.transition]}`
  if (agentStatus !== null) return `${what}, but cannot be used: ${agentError ?? agentStatus}`
  return startupScripts === null
    ? `${what}.`
    : `${what}, but its start-up scripts did not end well (${lifecycle ?? startupScripts}).`
}

const underWay = { start: "starting", stop: "stopping", delete: "being deleted" } as const

const done = { start: "running", stop: "stopped", delete: "deleted" } as const

const about = ({ default: fallback, description, options }: Template["parameters"][number]): string =>
  [
    "",
    description,
    options === undefined ? undefined : `one of: ${options.join(", ")}`,
    fallback === undefined ? "required" : `${fallback} unless given`
  ].filter((part) => part !== undefined).join("  ")

const ago = (duration: Duration.Duration): string => {
  const minutes = Math.floor(Duration.toMinutes(duration))
  return minutes < 1
    ? `${Math.floor(Duration.toSeconds(duration))} s`
    : minutes < 120
    ? `${minutes} min`
    : minutes < 2880
    ? `${Math.floor(minutes / 60)} h`
    : `${Math.floor(minutes / 1440)} days`
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n")
}
