/**
 * How workspaces come to be known.
 *
 * @since 0.1.0
 */
export * as Enrollment from "./Enrollment.ts"
