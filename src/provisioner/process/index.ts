/**
 * Providers that run processes of this host: folders as workspaces, and commands that make them elsewhere. They need Node.
 *
 * @since 0.1.0
 */
export * as CommandProvider from "./CommandProvider.ts"
export * as ProcessProvider from "./ProcessProvider.ts"
