/**
 * Who asks: a bearer token becomes a principal, and everything that a handler reads or writes is that principal's.
 *
 * The API knows no accounts. An application says what a token means by implementing `Authentication`; `layerToken` is for
 * one person with one token.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { OwnerId } from "../domain/Ids.ts"
import * as SecretHash from "../store/SecretHash.ts"
import { Unauthenticated } from "./HttpErrors.ts"
import * as Problems from "./Problems.ts"

/**
 * Who asks: the owner of chats and workspaces, and the application's own word for where this owner belongs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Principal {
  readonly owner: OwnerId
  readonly tenant: string | null
}

/**
 * The principal of the request.
 *
 * @since 0.1.0
 * @category services
 * @effect-leakable-service
 */
export class CurrentPrincipal
  extends Context.Service<CurrentPrincipal, Principal>()("chat-workspace/http/CurrentPrincipal")
{}

/**
 * @since 0.1.0
 * @category services
 */
export class Authentication extends Context.Service<Authentication, {
  /** Says who a token, which is never empty, belongs to. Compare in constant time. A defect answers 500. */
  readonly authenticate: (token: Redacted.Redacted<string>) => Effect.Effect<Principal, Unauthenticated>
}>()("chat-workspace/http/Authentication") {}

const unauthenticated = Unauthenticated.pipe(HttpApiSchema.encodeToWithHeaders({
  body: Problems.unauthenticated,
  headers: { "www-authenticate": Schema.String }
}, {
  decode: ({ body }) => body,
  encode: (error) => ({ body: error, headers: { "www-authenticate": "Bearer" } })
})).annotate({ description: "There is no token, or it is not a valid one." })

/**
 * What all groups of the API stand behind. A request without a valid token is answered before anything else of it is
 * looked at.
 *
 * @since 0.1.0
 * @category middleware
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentPrincipal }>()(
  "chat-workspace/http/Authorization",
  { requiredForClient: true, security: { bearer: HttpApiSecurity.bearer }, error: unauthenticated }
) {}

/**
 * Asks the application's `Authentication`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Authorization, never, Authentication> = Layer.effect(
  Authorization,
  Effect.map(Authentication, ({ authenticate }) =>
    Authorization.of({
      bearer: (httpEffect, { credential }) =>
        Redacted.value(credential) === ""
          ? Effect.fail(new Unauthenticated())
          : Effect.flatMap(
            authenticate(credential),
            (principal) => Effect.provideService(httpEffect, CurrentPrincipal, principal)
          )
    }))
)

/**
 * One token, of one owner.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerToken = (options: {
  readonly token: Redacted.Redacted<string>
  readonly owner: OwnerId
  readonly tenant?: string | undefined
}): Layer.Layer<Authentication> =>
  Layer.effect(
    Authentication,
    Effect.gen(function*() {
      const hashes = yield* SecretHash.make
      const principal: Principal = { owner: options.owner, tenant: options.tenant ?? null }
      const known = yield* hashes.hash(bytesOf(options.token))
      return Authentication.of({
        authenticate: (token) =>
          Effect.flatMap(
            hashes.matches(bytesOf(token), known),
            (matches) => matches ? Effect.succeed(principal) : Effect.fail(new Unauthenticated())
          )
      })
    })
  ).pipe(Layer.provide(Digest.layerWebCrypto))

const bytesOf = (token: Redacted.Redacted<string>): Redacted.Redacted<Uint8Array> =>
  Redacted.make(new TextEncoder().encode(Redacted.value(token)))
