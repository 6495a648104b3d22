/** The agent program with the bounds of a run: a template sets no variables that are the agent's own. */
import * as Bounds from "./Bounds.ts"

Object.assign(process.env, Bounds.agent)

await import("../../src/agent/program/main.ts")
