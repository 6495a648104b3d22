/** How a peer is spoken to: one JSON value a line, each answered by one line. */
import { createInterface } from "node:readline"

/** Answers each line of standard input, one after the other; ends with it, so that no peer outlives who started it. */
export const serve = <A>(answer: (command: A) => Promise<unknown>): void => {
  let turn = Promise.resolve()
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const command: A = JSON.parse(line)
      turn = turn.then(async () => {
        process.stdout.write(`${JSON.stringify(await answer(command))}\n`)
      })
    })
    .on("close", () => process.exit(0))
  process.stdout.write("\"ready\"\n")
}
