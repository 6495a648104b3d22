/**
 * Lists, a page at a time: those behind the one that `after` names.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The query of a list: the last id of the page before, and how many are wanted at most.
 *
 * @since 0.1.0
 * @category schemas
 */
export const query = <Id extends Schema.Top>(id: Id) => ({
  after: Schema.optionalKey(id).pipe(Schema.annotateKey({ description: "The `next` of the page before" })),
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))).pipe(
    Schema.annotateKey({ description: "How many at most, from 1 to 1000; a page may have fewer, and others follow" })
  )
})

/**
 * One page of a list that is in memory, by the ids, so that what comes and goes between two pages moves no other. `next`
 * is the `after` of the page that follows, null when none does.
 *
 * @since 0.1.0
 * @category combinators
 */
export const of = <A, Id extends string>(
  all: ReadonlyArray<A>,
  idOf: (item: A) => Id,
  { after, limit }: { readonly after?: Id; readonly limit?: number },
  most: number
): { readonly items: ReadonlyArray<A>; readonly next: Id | null } => {
  const size = Math.min(limit ?? most, most)
  const behind = all.map((item) => [idOf(item), item] as const)
    .filter(([id]) => after === undefined || id > after)
    .sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
  return {
    items: behind.slice(0, size).map(([, item]) => item),
    next: behind.length > size ? behind[size - 1]?.[0] ?? null : null
  }
}
