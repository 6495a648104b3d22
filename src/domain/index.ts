/**
 * Data and pure rules: ids, binding, build, agent, status, selection, errors and recovery.
 *
 * @since 0.1.0
 */
export * as Agent from "./Agent.ts"
export * as AgentSelection from "./AgentSelection.ts"
export * as AgentStatus from "./AgentStatus.ts"
export * as AgentToken from "./AgentToken.ts"
export * as Binding from "./Binding.ts"
export * as Bounds from "./Bounds.ts"
export * as Build from "./Build.ts"
export * as BuildProgress from "./BuildProgress.ts"
export * as Chat from "./Chat.ts"
export * as Coverage from "./Coverage.ts"
export * as Errors from "./Errors.ts"
export * as Ids from "./Ids.ts"
export * as Nesting from "./Nesting.ts"
export * as PlainText from "./PlainText.ts"
export * as Recovery from "./Recovery.ts"
export * as Template from "./Template.ts"
export * as TemplateParameters from "./TemplateParameters.ts"
export * as Turn from "./Turn.ts"
export * as Workspace from "./Workspace.ts"
export * as WorkspaceNames from "./WorkspaceNames.ts"
