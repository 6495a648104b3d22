/**
 * Blocks of a prompt that hold words of the workspace: their tags cannot be closed or opened from within.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export type Tag = "workspace_instructions" | "workspace_file" | "workspace_notices"

/**
 * A block of these lines, which must be `inert` where they are not ours.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (tag: Tag, lines: ReadonlyArray<string>): string => [`<${tag}>`, ...lines, `</${tag}>`].join("\n")

/**
 * A text in which no tag of ours is one, however it is written.
 *
 * @since 0.1.0
 * @category combinators
 */
export const inert = (text: string): string => text.replace(tags, "&lt;")

const tags = /<(?=\s*\/?\s*workspace_(?:instructions|file|notices)\b)/gi
