/**
 * The command line that a model wrote, as it is run.
 *
 * @since 0.1.0
 */

/**
 * What commands find in their environment: nothing may wait for a person, or draw on a terminal.
 *
 * @since 0.1.0
 * @category constants
 */
export const environment: Readonly<Record<string, string>> = {
  CHAT_WORKSPACE: "1",
  TERM: "dumb",
  NO_COLOR: "1",
  PAGER: "cat",
  GIT_PAGER: "cat",
  EDITOR: "true",
  VISUAL: "true",
  GIT_EDITOR: "true",
  GIT_TERMINAL_PROMPT: "0",
  DEBIAN_FRONTEND: "noninteractive"
}

/**
 * The line without a single `&` at its end, and whether it is to run in the background. The shell's own background would
 * leave the command running under no id.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (
  command: string,
  background: boolean
): { readonly line: string; readonly background: boolean } => {
  const line = command.replace(/(?<![&\\])&\s*$/, "")
  return line === command || line.trim() === "" ? { line: command, background } : { line, background: true }
}

/**
 * The line that a process was started with.
 *
 * @since 0.1.0
 * @category getters
 */
export const lineOf = (argv: ReadonlyArray<string>): string =>
  argv[0] === "sh" && argv[1] === "-c" && argv[2] !== undefined ? argv[2] : argv.join(" ")
