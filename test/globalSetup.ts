/**
 * One PostgreSQL for the whole run: `DATABASE_URL` names one whose role may create databases, otherwise it is started
 * here from npm packages. Test files make their own databases in it.
 */
import { Effect, Exit, Redacted, Scope } from "effect"
import type { TestProject } from "vitest/node"
import * as PostgresServer from "../src/testing/PostgresServer.ts"

declare module "vitest" {
  export interface ProvidedContext {
    readonly databaseUrl: string
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env["DATABASE_URL"]
  if (given !== undefined && given !== "") {
    project.provide("databaseUrl", given)
    return undefined
  }
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(Scope.provide(PostgresServer.make(), scope))
  project.provide("databaseUrl", Redacted.value(server.url))
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
