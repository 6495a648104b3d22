/**
 * A turn of a chat: what happens before the model runs, and while it does.
 *
 * @since 0.1.0
 */
export * as Explanation from "./Explanation.ts"
export * as ExplanationFinding from "./ExplanationFinding.ts"
export * as ExplanationView from "./ExplanationView.ts"
export * as InstructionBlock from "./InstructionBlock.ts"
export * as InstructionFiles from "./InstructionFiles.ts"
export * as McpToolkit from "./McpToolkit.ts"
export * as QuietTracer from "./QuietTracer.ts"
export * as TurnConfig from "./TurnConfig.ts"
export * as TurnLimits from "./TurnLimits.ts"
export * as TurnMetrics from "./TurnMetrics.ts"
export * as TurnNotices from "./TurnNotices.ts"
export * as Turns from "./Turns.ts"
export * as TurnSetup from "./TurnSetup.ts"
export * as WorkspaceMcp from "./WorkspaceMcp.ts"
