import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Schema } from "effect"
import {
  AgentBusy,
  AgentDisconnected,
  AgentSelectionFailed,
  BindingRefused,
  BuildRefused,
  CallInterrupted,
  CallTimedOut,
  CommandNotFound,
  DialFailed,
  DialFailedReason,
  DialTimeout,
  Evidence,
  FileChanged,
  FileError,
  FileErrorReason,
  McpRefused,
  McpRefusedReason,
  NoAgentReason,
  NoWorkspace,
  NoWorkspaceAgent,
  OperationRefused,
  OperationRefusedReason,
  ParametersRefused,
  StoreError,
  TemplateNotFound,
  TokenRefused,
  TooManyWorkspaces,
  TurnLost,
  TurnNotFound,
  TurnRefused,
  TurnRunning,
  Unsupported,
  WorkspaceChanged,
  WorkspaceError,
  WorkspaceNameTaken,
  WorkspaceRefused
} from "../../src/domain/Errors.ts"
import { AgentId, ChatId, OperationId, OwnerId, TemplateId, TurnId } from "../../src/domain/Ids.ts"
import { type Action, explain, type Retry } from "../../src/domain/Recovery.ts"
import { buildId, workspaceId } from "./fixtures.ts"

const agentId = AgentId.make("agent")
const operationId = OperationId.make("op-1")
const chatId = ChatId.make("chat")

const noAgent = (reason: NoAgentReason, logTail: string | null = null) =>
  new NoWorkspaceAgent({ workspaceId, buildId, reason, logTail })

const disconnected = (evidence: Evidence, restart: boolean) =>
  new AgentDisconnected({ workspaceId, agentId, unreachableFor: Duration.seconds(95), evidence, restart })

const dialFailed = (reason: DialFailedReason) => new DialFailed({ agentId, reason })

const fileError = (reason: FileErrorReason, changed: ReadonlyArray<string> = []) =>
  new FileError({ path: "/a", reason, detail: "no such file", changed })

interface Row {
  readonly error: WorkspaceError
  readonly code: string
  readonly recovery: readonly [Action, Retry]
  /** What a model reads in a chat that has every tool. */
  readonly text: string
  /** The step it is told of where the tools are missing; absent where none is needed. */
  readonly ask?: string
}

const onLink = "No answer from the workspace's agent within 30 s."

const createTool = "Call create_workspace. Then repeat the call."
const createAsk = "create a workspace for this chat"
const startTool = "Call start_workspace, which waits until the workspace is ready. Then repeat the call."
const startAsk = "start the workspace"
const restartTool =
  "Call stop_workspace, then start_workspace; start_workspace alone does not help. Then repeat the call."
const restartAsk = "stop the workspace and start it again"
const lookRecovery = ["look", "never"] as const
const lookTool = "Look whether it took effect, and run it again only if it did not."
const outcomeTool = "Do not repeat the call; look at its outcome with process_output (process_id op-1)."
const outcomeAsk = "check whether the call took effect before it is repeated"

const table: ReadonlyArray<Row> = [
  {
    error: new NoWorkspace({ workspaceId: null }),
    code: "no_workspace",
    recovery: ["create", "after-recovery"],
    text: `This chat has no workspace. ${createTool}`,
    ask: createAsk
  },
  {
    error: new NoWorkspace({ workspaceId }),
    code: "no_workspace",
    recovery: ["create", "after-recovery"],
    text: `The workspace of this chat was deleted. ${createTool}`,
    ask: createAsk
  },
  ...([
    ["stopped", "The workspace is stopped."],
    ["stopping", "The workspace is stopping."],
    ["stopFailed", "The last stop of the workspace failed."],
    ["neverBuilt", "The workspace was never started."],
    ["failed", "The last start of the workspace failed."],
    ["starting", "The workspace is starting and has no agent yet."]
  ] as const).map(([reason, message]): Row => ({
    error: noAgent(reason),
    code: "no_workspace_agent",
    recovery: ["start", "after-recovery"],
    text: `${message} ${startTool}`,
    ask: startAsk
  })),
  {
    error: noAgent("failed", "npm: not found\n"),
    code: "no_workspace_agent",
    recovery: ["start", "after-recovery"],
    text: `The last start of the workspace failed. ${startTool}\nEnd of the log:\nnpm: not found\n`,
    ask: startAsk
  },
  {
    error: noAgent("deleting"),
    code: "no_workspace_agent",
    recovery: ["wait", "later"],
    text: "The workspace is being deleted. Wait until this has ended. Repeat the call after a short while."
  },
  {
    error: noAgent("noAgents"),
    code: "no_workspace_agent",
    recovery: ["tell-user", "never"],
    text: "The workspace runs, but its template defines no agent. Tell the user."
  },
  {
    error: noAgent("deleteFailed"),
    code: "no_workspace_agent",
    recovery: ["tell-user", "never"],
    text: "The deletion of the workspace failed. Tell the user."
  },
  {
    error: disconnected("disconnected", false),
    code: "agent_disconnected",
    recovery: ["retry", "now-once"],
    text: "The workspace runs, but its agent disconnected 95 s ago. Repeat the call once."
  },
  {
    error: disconnected("disconnected", true),
    code: "agent_disconnected",
    recovery: ["stop-then-start", "after-recovery"],
    text: `The workspace runs, but its agent disconnected 95 s ago. ${restartTool}`,
    ask: restartAsk
  },
  {
    error: disconnected("silent", true),
    code: "agent_disconnected",
    recovery: ["stop-then-start", "after-recovery"],
    text: `The workspace runs, but its agent has been silent for 95 s. ${restartTool}`,
    ask: restartAsk
  },
  {
    error: disconnected("neverConnected", true),
    code: "agent_disconnected",
    recovery: ["stop-then-start", "after-recovery"],
    text: `The workspace runs, but its agent has not connected once in 95 s. ${restartTool}`,
    ask: restartAsk
  },
  {
    error: new DialTimeout({ workspaceId, agentId, after: Duration.seconds(30) }),
    code: "dial_timeout",
    recovery: ["tell-user", "now-once"],
    text: `${onLink} Repeat the call once. If that fails too, tell the user.`
  },
  {
    error: dialFailed("refused"),
    code: "dial_failed",
    recovery: ["retry", "now-once"],
    text: "The connection to the workspace's agent was refused. Repeat the call once."
  },
  {
    error: dialFailed("incompatible"),
    code: "dial_failed",
    recovery: ["tell-user", "never"],
    text: "The workspace's agent speaks a version that this server does not. Tell the user."
  },
  {
    error: dialFailed("overloaded"),
    code: "dial_failed",
    recovery: ["retry", "later"],
    text: "Too many calls wait for this workspace's agent. Repeat the call after a short while."
  },
  {
    error: dialFailed("sessionOnOtherNode"),
    code: "dial_failed",
    recovery: ["tell-user", "never"],
    text: "The workspace's agent is connected to another server of this application. Tell the user."
  },
  {
    error: dialFailed("shutdown"),
    code: "dial_failed",
    recovery: ["retry", "later"],
    text: "The server is shutting down. Repeat the call after a short while."
  },
  {
    error: new WorkspaceChanged({ chatId }),
    code: "workspace_changed",
    recovery: ["retry", "now-once"],
    text: "The workspace of this chat was changed while the call was connecting. Repeat the call once."
  },
  {
    error: new AgentSelectionFailed({ reason: "ambiguous", names: ["a-chat", "b-chat"] }),
    code: "agent_selection_failed",
    recovery: ["tell-user", "never"],
    text: "The workspace's template names several agents for chats: a-chat, b-chat. Tell the user."
  },
  {
    error: new AgentSelectionFailed({ reason: "noRootAgent", names: ["a"] }),
    code: "agent_selection_failed",
    recovery: ["tell-user", "never"],
    text: "The workspace's template has no root agent, only: a. Tell the user."
  },
  {
    error: new CallInterrupted({ agentId, operationId, sent: "notSent" }),
    code: "call_interrupted",
    recovery: ["retry", "now-once"],
    text: "The connection to the workspace was lost before the call was sent; it did not run. Repeat the call once."
  },
  {
    error: new CallInterrupted({ agentId, operationId, sent: "mayHaveRun" }),
    code: "call_interrupted",
    recovery: ["check-outcome", "never"],
    text: `The connection to the workspace was lost during the call; it may have run. ${outcomeTool}`,
    ask: outcomeAsk
  },
  {
    error: new CallTimedOut({ agentId, operationId, sent: "notSent", after: Duration.seconds(30) }),
    code: "call_timed_out",
    recovery: ["retry", "now-once"],
    text: "The workspace could not be reached within 30 s; the call did not run. Repeat the call once."
  },
  {
    error: new CallTimedOut({ agentId, operationId, sent: "mayHaveRun", after: Duration.seconds(30) }),
    code: "call_timed_out",
    recovery: ["check-outcome", "never"],
    text: `The workspace did not answer the call within 30 s; it may still be running. ${outcomeTool}`,
    ask: outcomeAsk
  },
  {
    error: new AgentBusy({ limit: "64 running processes" }),
    code: "agent_busy",
    recovery: ["retry", "later"],
    text: "The workspace's agent is at its limit (64 running processes). Repeat the call after a short while."
  },
  ...FileErrorReason.literals.map((reason): Row => ({
    error: fileError(reason),
    code: "file_error",
    recovery: ["correct-call", "never"],
    text: "/a: no such file. Correct the call."
  })),
  {
    error: fileError("noSpace", ["/b", "/c"]),
    code: "file_error",
    recovery: ["correct-call", "never"],
    text: "/a: no such file. Already changed: /b, /c. Correct the call."
  },
  {
    error: new FileChanged({ path: "/a" }),
    code: "file_changed",
    recovery: ["correct-call", "never"],
    text: "/a changed since it was read; read it again. Correct the call."
  },
  {
    error: new CommandNotFound({ command: "gti", detail: "no such command" }),
    code: "command_not_found",
    recovery: ["correct-call", "never"],
    text: "gti: no such command. Correct the call."
  },
  {
    error: new Unsupported({ feature: "files" }),
    code: "unsupported",
    recovery: ["correct-call", "never"],
    text: "The workspace's agent does not support files. Correct the call."
  },
  ...([
    [
      "unknown",
      "is not known to the workspace's agent; it did not run there, or was forgotten",
      lookRecovery,
      lookTool
    ],
    ["conflict", "was already used for another call", ["correct-call", "never"], "Correct the call."],
    ["killed", "was ended before it could start", ["retry", "now-once"], "Repeat the call once."],
    ["agentRestarted", "ended when the workspace's agent restarted; its output is lost", lookRecovery, lookTool]
  ] as const).map(([reason, why, recovery, next]): Row => ({
    error: new OperationRefused({ operationId, reason }),
    code: "operation_refused",
    recovery,
    text: `Operation op-1 ${why}. ${next}`
  })),
  ...([
    ["noServer", "is not among the workspace's servers", ["correct-call", "never"], " Correct the call."],
    ["noTool", "has no such tool", ["correct-call", "never"], " Correct the call."],
    [
      "notRunning",
      "does not run now; the call did not run",
      ["retry", "later"],
      " Repeat the call after a short while."
    ],
    ["ended", "ended during the call, which may have run", ["tell-user", "never"], " Tell the user."],
    ["noAnswer", "did not answer the call, which may have run", ["tell-user", "never"], " Tell the user."],
    ["refused", "refused the call", ["correct-call", "never"], " Correct the call."],
    ["tooLarge", "was not called: the arguments are too large", ["correct-call", "never"], " Correct the call."]
  ] as const).map(([reason, why, recovery, next]): Row => ({
    error: new McpRefused({ server: "git", tool: "log", reason, detail: null }),
    code: "mcp_refused",
    recovery,
    text: `log: the server git ${why}.${next}`
  })),
  {
    error: new McpRefused({ server: "git", tool: "log", reason: "refused", detail: "no repository" }),
    code: "mcp_refused",
    recovery: ["correct-call", "never"],
    text: "log: the server git refused the call (no repository). Correct the call."
  },
  {
    error: new TemplateNotFound({ templateId: "docker" }),
    code: "template_not_found",
    recovery: ["correct-call", "never"],
    text: "There is no template \"docker\". Correct the call."
  },
  {
    error: new TemplateNotFound({ templateId: null }),
    code: "template_not_found",
    recovery: ["tell-user", "never"],
    text: "This workspace was not made from a template here, so it cannot be started or stopped here. Tell the user."
  },
  {
    error: new ParametersRefused({
      templateId: TemplateId.make("docker"),
      problems: [
        { parameter: "cpus", problem: "must be a number" },
        { parameter: "size", problem: "is missing" }
      ]
    }),
    code: "parameters_refused",
    recovery: ["correct-call", "never"],
    text: "The parameters do not fit the template \"docker\": cpus must be a number; size is missing. Correct the call."
  },
  {
    error: new WorkspaceNameTaken({ name: "web" }),
    code: "workspace_name_taken",
    recovery: ["correct-call", "never"],
    text: "Another workspace is named \"web\". Correct the call."
  },
  {
    error: new TooManyWorkspaces({ limit: 3, within: Duration.hours(1) }),
    code: "too_many_workspaces",
    recovery: ["tell-user", "never"],
    text: "This chat made 3 new workspaces within 60 minutes, which is the limit. Tell the user."
  },
  {
    error: new BuildRefused({ detail: "The budget of this month is used up." }),
    code: "build_refused",
    recovery: ["tell-user", "never"],
    text: "The budget of this month is used up. Tell the user."
  },
  {
    error: new BindingRefused({ chatId, workspaceId }),
    code: "binding_refused",
    recovery: ["tell-user", "never"],
    text: "There is no such chat or workspace of this owner. Tell the user."
  },
  {
    error: new WorkspaceRefused({ workspaceId, owner: OwnerId.make("ann") }),
    code: "workspace_refused",
    recovery: ["tell-user", "never"],
    text: "There is no such workspace of this owner. Tell the user."
  },
  {
    error: new StoreError({ operation: "ChatBindings.get" }),
    code: "store_error",
    recovery: ["retry", "later"],
    text: "The database could not answer (ChatBindings.get). Repeat the call after a short while."
  }
]

const allTools = ["create_workspace", "start_workspace", "stop_workspace", "process_output"]

const title = ({ error }: Row): string =>
  [
    error._tag,
    "reason" in error ? error.reason : "",
    "sent" in error ? error.sent : "",
    "restart" in error && error.restart ? "restart" : ""
  ]
    .filter((part) => part !== "").join(" ")

const rows = table.map((row) => [title(row), row] as const)

const codec = Schema.toCodecJson(WorkspaceError)

const throughJson = (error: WorkspaceError): WorkspaceError =>
  Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(error))))

describe("WorkspaceError", () => {
  it.each(rows)("%s: code, recovery and text", (_, { ask, code, error, recovery: [action, retry], text }) => {
    assert.strictEqual(error.code, code)
    assert.deepStrictEqual(error.recovery, { action, retry })
    assert.strictEqual(explain(error, { toolNames: allTools }), text)
    assert.isTrue(text.startsWith(error.message))

    const without = explain(error, { toolNames: [] })
    const inChild = explain(error, { toolNames: [], child: true })
    if (ask === undefined) {
      assert.strictEqual(without, text)
      assert.strictEqual(
        inChild,
        text.replace("Tell the user", "Report it to the parent chat").replace(
          "tell the user",
          "report it to the parent chat"
        )
      )
    } else {
      assert.include(without, ` You cannot do this here: ask the user to ${ask}.`)
      assert.include(inChild, ` You cannot do this here: report to the parent chat that it has to ${ask}.`)
      for (const tool of allTools) assert.notInclude(without + inChild, tool)
    }
  })

  it.each(rows)("%s: the same error after a way over the wire", (_, { error, text }) => {
    const received = throughJson(error)
    assert.deepStrictEqual(received, error)
    assert.strictEqual(received.message, error.message)
    assert.strictEqual(received.code, error.code)
    assert.deepStrictEqual(received.recovery, error.recovery)
    assert.strictEqual(received.forUser, error.forUser)
    assert.strictEqual(explain(received, { toolNames: allTools }), text)
  })

  it.each(rows)(
    "%s: a text for a person without names of tools, and no message of its own to go stale",
    (_, { error }) => {
      assert.isAbove(error.forUser.length, 10)
      for (const tool of allTools) assert.notInclude(error.forUser, tool)
      assert.isFalse(Object.hasOwn(error, "message"))
      assert.instanceOf(error, Error)
      assert.include(String(error), error.message)
    }
  )

  it("the table has every error and every reason", () => {
    const tags = new Set(table.map(({ error }) => error._tag))
    assert.strictEqual(tags.size, WorkspaceError.members.length)
    const reasons = new Set(table.flatMap(({ error }) => "reason" in error ? [`${error._tag} ${error.reason}`] : []))
    const expected = NoAgentReason.literals.length + DialFailedReason.literals.length +
      FileErrorReason.literals.length +
      OperationRefusedReason.literals.length + McpRefusedReason.literals.length + ["ambiguous", "noRootAgent"].length
    assert.strictEqual(reasons.size, expected)
    const evidence = new Set(table.flatMap(({ error }) => "evidence" in error ? [error.evidence] : []))
    assert.strictEqual(evidence.size, Evidence.literals.length)
  })

  it("codes tell the errors apart", () => {
    const codes = new Map(table.map(({ error }) => [error.code, error._tag]))
    assert.strictEqual(codes.size, WorkspaceError.members.length)
  })

  it.effect("an error can be yielded, caught by its tag, and shows its message", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.fail(new NoWorkspace({ workspaceId: null })))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("This chat has no workspace."))
      const caught = yield* Effect.catchTag(noAgent("stopped"), "NoWorkspaceAgent", (error) =>
        Effect.succeed(error.reason))
      assert.strictEqual(caught, "stopped")
    }))

  it("durations travel in milliseconds", () => {
    const encoded = Schema.encodeSync(WorkspaceError)(disconnected("silent", true))
    assert.deepInclude(encoded, { _tag: "AgentDisconnected", unreachableFor: 95_000 })
    const timeout = new DialTimeout({ workspaceId, agentId, after: Duration.millis(30_001) })
    assert.deepInclude(Schema.encodeSync(WorkspaceError)(timeout), { _tag: "DialTimeout", after: 30_001 })
  })

  it("causes are kept over the wire, of the transport and of the store beside it", () => {
    const error = new DialFailed({
      agentId,
      reason: "refused",
      cause: new Error("connection reset"),
      validation: new StoreError({ operation: "WorkspaceAgents.latestBuild" })
    })
    const received = throughJson(error)
    assert.isTrue(received._tag === "DialFailed")
    assert.propertyVal("cause" in received ? received.cause : {}, "message", "connection reset")
    assert.include(JSON.stringify(Schema.encodeSync(codec)(error)), "The database could not answer")
    // A person at a chat is told nothing of our insides.
    assert.notInclude(received.forUser, "reset")
  })
})

describe("explain", () => {
  const dead = disconnected("silent", true)

  it("one missing tool of two is missing", () => {
    assert.include(explain(dead, { toolNames: ["start_workspace"] }), `ask the user to ${restartAsk}.`)
    assert.include(explain(dead, { toolNames: ["start_workspace", "stop_workspace"] }), "Call stop_workspace")
  })

  it("a child chat that has the tools uses them", () => {
    assert.strictEqual(explain(dead, { toolNames: allTools, child: true }), explain(dead, { toolNames: allTools }))
  })

  it("says how to look at a call only where it knows under which id", () => {
    const lost = new CallInterrupted({ agentId, operationId: null, sent: "mayHaveRun" })
    assert.include(explain(lost, { toolNames: allTools }), "look at its outcome with process_output.")
  })

  it("an empty log is not shown", () => {
    assert.strictEqual(
      explain(noAgent("failed", ""), { toolNames: allTools }),
      explain(noAgent("failed"), { toolNames: allTools })
    )
  })
})

describe("refusals", () => {
  it("tell a stranger nothing: not theirs and not there read the same", () => {
    const chat = new BindingRefused({ chatId, workspaceId })
    const workspace = new WorkspaceRefused({ workspaceId, owner: OwnerId.make("owner") })
    assert.strictEqual(chat.message, "There is no such chat or workspace of this owner.")
    assert.strictEqual(workspace.message, "There is no such workspace of this owner.")
    assert.deepStrictEqual([chat.code, workspace.code], ["binding_refused", "workspace_refused"])
    for (const { recovery } of [chat, workspace]) {
      assert.deepStrictEqual(recovery, { action: "tell-user", retry: "never" })
    }
  })

  it.each(["malformed", "unknown", "revoked"] as const)("a %s token is said to be so", (reason) => {
    assert.strictEqual(new TokenRefused({ reason }).message, `The agent's token is ${reason}.`)
  })
})

describe("turns", () => {
  const turnId = TurnId.make("turn")

  it("what keeps a message from its turn says what to do to whoever sent it", () => {
    const running = new TurnRunning({ chatId, turnId })
    assert.strictEqual(
      running.forUser,
      "This chat still answers an earlier message. Wait for its end, or interrupt it."
    )
    const refused = new TurnRefused({ chatId })
    assert.strictEqual(refused.forUser, "The server restarts. Send the message again.")
    const missing = new TurnNotFound({ turnId })
    assert.strictEqual(missing.forUser, "There is no such turn of this owner.")
    assert.deepStrictEqual(
      [running, refused, missing].map(({ code }) => code),
      ["turn_running", "turn_refused", "turn_not_found"]
    )
    assert.strictEqual(new TurnLost({ turnId }).message, "The lease on this turn was lost.")
  })
})
