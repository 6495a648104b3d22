/**
 * What becomes of an unfinished build that no runner may run any more.
 *
 * @since 0.1.0
 */
import type { BuildOutcome } from "../domain/Build.ts"

/**
 * Somebody wanted it canceled and its runner is gone; its runner is gone and it may not be run again; it took too long.
 *
 * @since 0.1.0
 * @category models
 */
export type BuildFate = "canceled" | "runner_lost" | "timed_out"

/**
 * How a build of this fate ends.
 *
 * @since 0.1.0
 * @category getters
 */
export const outcomeOf = (fate: BuildFate): BuildOutcome => {
  switch (fate) {
    case "canceled":
      return { _tag: "Canceled" }
    case "runner_lost":
      return {
        _tag: "Failed",
        code: "runner_lost",
        message: "The backend that ran this build was lost, and the build may not be run again."
      }
    case "timed_out":
      return { _tag: "Failed", code: "timed_out", message: "The build did not end within its time." }
  }
}
