/**
 * How workspaces come to be known, and to be built.
 *
 * @since 0.1.0
 */
export * as BuildMetrics from "./BuildMetrics.ts"
export * as BuildPolicy from "./BuildPolicy.ts"
export * as BuildRunner from "./BuildRunner.ts"
export * as Enrollment from "./Enrollment.ts"
export * as Provider from "./Provider.ts"
export * as ProvisionerConfig from "./ProvisionerConfig.ts"
export * as Readiness from "./Readiness.ts"
export * as TemplateDirectory from "./TemplateDirectory.ts"
export * as TemplateFile from "./TemplateFile.ts"
export * as Workspaces from "./Workspaces.ts"
