/** Which errors callers were told, for the table of branches. */
import type { ConnectError, ProcessError } from "../../src/domain/Errors.ts"
import { took } from "./Branches.ts"

export const told = (error: ConnectError | ProcessError): void => {
  switch (error._tag) {
    case "DialFailed":
      return took(`told: DialFailed ${error.reason}${error.validation === undefined ? "" : ", not validated"}`)
    case "NoWorkspaceAgent":
      return took(`told: no agent, ${error.reason}`)
    case "NoWorkspace":
      return took("told: no workspace")
    case "AgentDisconnected":
      return took(`told: AgentDisconnected${error.restart ? ", restart" : ""}`)
    case "CallInterrupted":
    case "CallTimedOut":
      return took(error.sent === "notSent" ? "told: the call was not sent" : "told: the call may have run")
  }
}
