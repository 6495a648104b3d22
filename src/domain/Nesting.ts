/**
 * How deep a value may nest. What nests by thousands fits into few bytes, and breaks whoever walks over it or writes it.
 *
 * Arguments, schemas and results of tools come from models and workspaces, and go into histories, events and requests.
 *
 * @since 0.1.0
 */

/**
 * The levels of a value, at most: a text has none, a list of texts has one.
 *
 * @since 0.1.0
 * @category constants
 */
export const limit = 64

/**
 * Whether a value keeps to the limit.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isWithin = (value: unknown, levels: number = limit): boolean =>
  typeof value !== "object" || value === null ||
  (levels > 0 && Object.values(value).every((part) => isWithin(part, levels - 1)))
