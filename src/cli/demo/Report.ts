/**
 * What the demo prints: a table that reads by itself, a timeline of one scenario, or JSON.
 *
 * @since 0.1.0
 */

/**
 * What a scenario shows: that things are fine, that the workspace is not, or that this side is the problem.
 *
 * @since 0.1.0
 * @category models
 */
export type Group = "fine" | "workspace" | "us"

/**
 * A moment of a scenario, in milliseconds from the start of its call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly at: number
  readonly what: string
}

/**
 * What one tool call of a chat got and what it cost. `settings` names what differs from production, and `failures` are
 * the expectations that were not met.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shown {
  readonly name: string
  readonly group: Group
  readonly title: string
  readonly got: string
  readonly millis: number
  readonly queries: number
  readonly dials: number
  readonly settings: string | null
  readonly failures: ReadonlyArray<string>
  readonly timeline: ReadonlyArray<Moment>
}

/**
 * Where it is printed: colour is for terminals.
 *
 * @since 0.1.0
 * @category models
 */
export interface Style {
  readonly colour: boolean
}

/**
 * The table of all scenarios, grouped, with a last line that says whether all went as expected.
 *
 * @since 0.1.0
 * @category formatters
 */
export const table = (all: ReadonlyArray<Shown>, style: Style): string => {
  const paint = painter(style)
  const widths = {
    title: Math.max(0, ...all.map((shown) => shown.title.length)),
    got: Math.max(0, ...all.map((shown) => shown.got.length))
  }
  const line = (shown: Shown): ReadonlyArray<string> => {
    const failed = shown.failures.length > 0
    const cells = [
      failed ? paint.red("✗") : paint.green("✓"),
      shown.title.padEnd(widths.title),
      paint.bold(shown.got.padEnd(widths.got)),
      duration(shown.millis).padStart(8),
      String(shown.queries).padStart(7),
      String(shown.dials).padStart(5)
    ]
    const settings = shown.settings === null ? [] : [paint.dim(`      here: ${shown.settings}`)]
    return [`  ${cells.join("  ")}`, ...settings, ...shown.failures.map((failure) => paint.red(`      ${failure}`))]
  }
  const head = [" ", "".padEnd(widths.title), "one tool call got".padEnd(widths.got), "    time", "queries", "dials"]
  const groups = groupOrder.flatMap((group) => {
    const members = all.filter((shown) => shown.group === group)
    return members.length === 0 ? [] : ["", paint.bold(groupTitles[group]), ...members.flatMap(line)]
  })
  return [paint.dim(`  ${head.join("  ")}`), ...groups, "", summary(all, style)].join("\n")
}

/**
 * What happened in one scenario, moment by moment.
 *
 * @since 0.1.0
 * @category formatters
 */
export const timeline = (shown: Shown, style: Style): string => {
  const paint = painter(style)
  const moments = shown.timeline.map(({ at, what }) => `  ${paint.dim(duration(at).padStart(8))}  ${what}`)
  return [
    paint.bold(shown.title),
    ...moments,
    `  ${duration(shown.millis).padStart(8)}  the tool call got: ${paint.bold(shown.got)}`,
    `            ${shown.queries} queries, ${shown.dials} dials`,
    ...(shown.settings === null ? [] : [paint.dim(`            here: ${shown.settings}`)]),
    ...shown.failures.map((failure) => paint.red(`            ${failure}`))
  ].join("\n")
}

/**
 * One JSON document for programs.
 *
 * @since 0.1.0
 * @category formatters
 */
export const json = (all: ReadonlyArray<Shown>): string => JSON.stringify({ ok: isGood(all), scenarios: all }, null, 2)

/**
 * Whether every expectation was met, and there were any.
 *
 * @since 0.1.0
 * @category guards
 */
export const isGood = (all: ReadonlyArray<Shown>): boolean =>
  all.length > 0 && all.every((shown) => shown.failures.length === 0)

const groupOrder: ReadonlyArray<Group> = ["fine", "workspace", "us"]

const groupTitles: Readonly<Record<Group, string>> = {
  fine: "When the workspace is fine",
  workspace: "When it is not",
  us: "When we are the problem"
}

const summary = (all: ReadonlyArray<Shown>, style: Style): string => {
  const good = all.filter((shown) => shown.failures.length === 0).length
  const text = `${good} of ${all.length} scenarios as expected`
  return good === all.length ? painter(style).green(text) : painter(style).red(text)
}

const duration = (millis: number): string =>
  millis < 10
    ? `${millis.toFixed(1)} ms`
    : millis < 1000
    ? `${Math.round(millis)} ms`
    : `${(millis / 1000).toFixed(2)} s`

const painter = ({ colour }: Style) => {
  const code = (open: number, close: number) => (text: string): string =>
    colour ? `\u001b[${open}m${text}\u001b[${close}m` : text
  return { bold: code(1, 22), dim: code(2, 22), red: code(31, 39), green: code(32, 39) }
}
