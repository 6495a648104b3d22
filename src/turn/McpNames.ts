/**
 * Names under which a model knows the tools of a workspace's own servers.
 *
 * Servers and their tools are named by whoever wrote them. What a model reads is `mcp_<server>_<tool>` in letters that
 * every provider takes, at most 64 of them, and never the name of another tool. Which name is whose follows from the
 * list alone, so that a turn later it is the same.
 *
 * @since 0.1.0
 */

/**
 * The name that calls are sent under.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly server: string
  readonly tool: string
}

/**
 * Gives each of the routes a name that is not taken, in the order of the routes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assign = <R extends Route>(
  routes: ReadonlyArray<R>,
  taken: Iterable<string>
): ReadonlyArray<readonly [name: string, route: R]> => {
  const names = new Set(taken)
  return routes.toSorted(byRoute).map((route) => {
    const wanted = `mcp_${safe(route.server)}_${safe(route.tool)}`
    let name = wanted.slice(0, maxLength)
    for (let number = 2; names.has(name); number++) {
      const suffix = `_${number}`
      name = wanted.slice(0, maxLength - suffix.length) + suffix
    }
    names.add(name)
    return [name, route]
  })
}

const maxLength = 64

const safe = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, "_")

const byRoute = (a: Route, b: Route): number => compare(a.server, b.server) || compare(a.tool, b.tool)

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0
