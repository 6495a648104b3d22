/** What stands in the source, and what it bounds. */
type Constant = readonly [file: string, source: string, bounds: string]

/** Waits and limits that have no key, by the reason. */
export const constants: ReadonlyArray<readonly [reason: string, list: ReadonlyArray<Constant>]> = [
  ["Gateway and agent program count on it, which need not be of one version.", [
    ["agent/Protocol.ts", "frameLimit = 1024 * 1024", "A frame"],
    ["agent/Protocol.ts", "chunkLimit = 256 * 1024", "A chunk of a stream or an upload"],
    ["agent/ReadRange.ts", "readLimit = 1024 * 1024", "What one read answers"],
    ["agent/SessionFiles.ts", "writeLimit = 10 * 1024 * 1024", "What one write takes"],
    ["agent/SessionFiles.ts", "listLimit = 1000", "Entries of a listing"],
    ["agent/SessionFiles.ts", "pathLimit = 16 * 1024", "A path, in characters"],
    ["agent/Output.ts", "headLimit = 256 * 1024", "What is kept of the beginning of an output"],
    ["agent/Output.ts", "tailLimit = 768 * 1024", "What is kept of the end of an output"],
    ["agent/Output.ts", "piecesLimit = 4096", "Pieces that are kept of an output"],
    ["agent/Mcp.ts", "servers: 16", "Servers of a workspace that are listed"],
    ["agent/Mcp.ts", "tools: 128", "Tools of a workspace that are listed"],
    ["agent/Mcp.ts", "nameLength: 128", "Characters of the name of a server or a tool"],
    ["agent/Mcp.ts", "description: 2 * 1024", "Bytes of a tool's description"],
    ["agent/Mcp.ts", "schema: 16 * 1024", "Bytes of a tool's schema"],
    ["agent/Mcp.ts", "result: 256 * 1024", "Bytes of a tool's result"],
    ["domain/Nesting.ts", "limit = 64", "Levels of a call's arguments, and of a schema and a structured result of MCP"],
    ["agent/program/McpResult.ts", "piecesLimit = 1000", "Pieces of a tool's result"],
    [
      "domain/Coverage.ts",
      "maxGap: Duration.Duration = Duration.seconds(30)",
      "A gap in our own heartbeats after which " +
      "the silence of an agent is counted anew; the same on all nodes"
    ],
    ["cli/GatewayServer.ts", "maxHeaderSize: 16 * 1024", "The headers of a request"],
    ["cli/GatewayServer.ts", "headersTimeout: 5000", "How long the headers of a request may take"],
    ["cli/GatewayServer.ts", "requestTimeout: 30_000", "How long a request may take to come"]
  ]],
  ["It belongs to what a model or a person reads, and is worded there.", [
    ["tool/FileHandlers.ts", "linesLimit = 2000", "Lines that one read of a file shows"],
    ["tool/FileHandlers.ts", "lineBytes = 1024", "Bytes of one line of it"],
    ["tool/FileHandlers.ts", "writeLimit = 10 * 1024 * 1024", "What one write of a file takes"],
    ["tool/FileHandlers.ts", "scanLimit = 16 * 1024 * 1024", "How far into a file one call looks for lines"],
    ["tool/LifecycleTemplates.ts", "described(template.description, 2_000)", "Characters of a template's description"],
    ["tool/LifecycleTemplates.ts", "shortened(template.readme, 8_000)", "Characters of a template's README"],
    ["turn/McpNames.ts", "maxLength = 64", "Characters of a tool's name, as providers take them"],
    ["domain/Recovery.ts", "messageLimit = 4096", "Characters of an agent's words in an error"],
    ["agent/program/McpTransport.ts", "detailLimit = 2048", "Characters of a server's words in an error"],
    ["agent/program/Processes.ts", "argumentLimit = 1_024", "Characters of an argument in the list of processes"],
    ["provisioner/LogLines.ts", "lineLimit = 4096", "Bytes of a line of a build's log"],
    ["store/LogText.ts", "tailLines = 200", "Lines of the end of a log, beside a build that failed"],
    ["store/LogText.ts", "tailBytes = 4096", "Bytes of it"],
    ["provisioner/process/CommandOutput.ts", "tailLines = 20", "Lines of the output beside a command that failed"],
    ["provisioner/process/CommandOutput.ts", "tailCharacters = 2_000", "Characters of it"],
    ["provisioner/process/CommandOutput.ts", "tailBytes = 8 * 1024", "Bytes from which it is made"],
    [
      "provisioner/process/ProcessProvider.ts",
      "logTail = 2_000",
      "Characters of the log of an agent that did not come up"
    ]
  ]],
  ["The system or the protocol of somebody else sets it.", [
    [
      "provisioner/process/ProviderSettings.ts",
      "scriptBytes = 120 * 1024",
      "A script in a variable of the environment"
    ],
    ["provisioner/TemplateDirectory.ts", "scriptBytes = 64 * 1024", "A script of a template"],
    ["provisioner/TemplateDirectory.ts", "fileBytes = 1024 * 1024", "A file of a template"],
    ["provisioner/TemplateDirectory.ts", "readmeLength = 8000", "Characters kept of a template's README"]
  ]],
  ["An option of a layer or of a template says it; this is its default.", [
    [
      "provisioner/Enrollment.ts",
      "defaultConnectionTimeout = Duration.seconds(120)",
      "How long a new agent has to come"
    ],
    [
      "provisioner/TemplateDirectory.ts",
      "connectionTimeout ?? Duration.seconds(120)",
      "How long an agent of a template " +
      "has to come"
    ],
    [
      "provisioner/process/ProcessProvider.ts",
      "startTimeout ?? Duration.seconds(30)",
      "How long an agent has to start"
    ],
    [
      "provisioner/process/CommandProvider.ts",
      "outputDrain ?? Duration.seconds(1)",
      "How long output is read after a " +
      "command has ended"
    ],
    ["domain/TemplateParameters.ts", "{ count: 64, bytes: 8 * 1024 }", "Parameters, where no configuration is at hand"],
    ["http/Status.ts", "freshFor = \"1 second\"", "How long a status is kept for those who ask next"],
    ["http/Status.ts", "limit = 50", "Chats that a status lists; twice as many workspaces"],
    ["http/Client.ts", "options.silence ?? \"45 seconds\"", "Silence after which the client opens a stream anew"],
    ["http/Client.ts", "options.giveUp ?? \"2 minutes\"", "How long the client tries to open a stream anew"],
    ["http/AgentsApi.ts", "maximum: Duration.days(1)", "How long the API lets a new agent take to come"],
    ["agent/ExecConnection.ts", "timeout ?? Duration.seconds(30)", "A command over a connection of one's own"],
    ["agent/ExecConnection.ts", "writeLimit = 10 * 1024 * 1024", "What one write over it takes"]
  ]],
  ["Nobody waits for it: the pace of a look, or a guard of memory.", [
    ["agent/Calls.ts", "respite = Duration.millis(100)", "Before a call is asked again of an agent that stops"],
    [
      "agent/AgentGateway.ts",
      "look = Duration.millis(50)",
      "Between looks whether calls are in flight, at the end of a node"
    ],
    ["agent/Admission.ts", "soon = Duration.seconds(1)", "When an agent that was turned away may come again"],
    [
      "agent/Sessions.ts",
      "refusalMemory = Duration.toMillis(Duration.minutes(10))",
      "How long a refusal is remembered"
    ],
    ["agent/program/OutboundSocket.ts", "closeMillis = 2_000", "The close of a link that is over anyway"],
    ["agent/program/OutputRing.ts", "runLimit = 8_192", "Runs of one stream in an output"],
    ["agent/program/OutputRing.ts", "pieceLimit = 1_024", "Pieces in one slice of it"],
    ["agent/program/OutputRing.ts", "smallest = 1_024", "The smallest piece of memory for it"],
    ["agent/program/ProcessGroups.ts", "Effect.sleep(\"20 millis\")", "Between looks at processes that end"],
    [
      "agent/program/RegularFile.ts",
      "contentVersionLimit = 1024 * 1024",
      "Files up to which the version is of the " +
      "content"
    ],
    ["agent/TurnWriter.ts", "togetherLimit = 64 * 1024", "Characters of answers and requests in one frame"],
    ["cluster/NatsTransport.ts", "respite = Duration.millis(100)", "Before an agent that stops is asked again to end"],
    ["cluster/NatsTransport.ts", "sweepInterval = Duration.seconds(1)", "Between looks for tunnels without users"],
    ["cluster/Tunnel.ts", "pieceLimit = 256 * 1024", "Bytes in one message of NATS, which carries a megabyte"],
    ["dial/ConnectHistory.ts", "recordsPerChat = 20", "Connects of a chat that are remembered"],
    ["dial/ConnectHistory.ts", "maxChats = 10_000", "Chats whose connects are remembered"],
    [
      "http/StatusLevel.ts",
      "noRunner = Duration.seconds(30)",
      "After which the first build in the queue counts as stuck"
    ],
    ["http/StatusLines.ts", "maxProblems = 20", "Problems that a status lists"],
    ["http/StatusWaits.ts", "maxWaits = 20", "Waits that a status lists, the oldest ones"],
    ["http/StatusWaits.ts", "maxSessions = 100", "Sessions that a status lists"],
    ["provisioner/BuildLog.ts", "{ lines: 64, after: Duration.seconds(1) }", "When lines of a log are written"],
    ["provisioner/BuildLog.ts", "batchLines = 1000", "Lines in one statement"],
    ["provisioner/process/Ending.ts", "lookEvery = Duration.millis(20)", "Between looks at processes that end"],
    ["provisioner/process/Ending.ts", "killTakes = Duration.seconds(1)", "How long a killed process is looked at"],
    [
      "provisioner/process/ProcessProvider.ts",
      "lookEvery = Duration.millis(20)",
      "Between looks at an agent that starts"
    ],
    ["provisioner/process/ShellCommand.ts", "bytesPerSecond = 50_000_000", "Output of a command that is read"],
    ["provisioner/process/ShellCommand.ts", "window = Duration.millis(10)", "The window in which that is kept"],
    ["provisioner/process/WorkspaceProcesses.ts", "timeout: 5_000", "The question to `ps` for a process"],
    ["store/Pace.ts", "crowd = 16", "Agents that come in a second before they are a crowd"],
    ["store/Pace.ts", "interval = Duration.millis(400)", "Between statements for such a crowd"],
    [
      "store/SqlCalls.ts",
      "Schedule.exponential(\"10 millis\")",
      "Before a statement that lost against another is said " +
      "again, three times"
    ],
    ["store/TurnPages.ts", "bytes = 4 * 1024 * 1024", "One page of a history"],
    ["cli/Database.ts", "Effect.timeout(\"3 seconds\")", "The look whether a database of an earlier run is there"],
    ["cli/Database.ts", "connectTimeout: \"3 seconds\"", "A new connection of the pool, within `STORE_CALL_TIMEOUT`"],
    ["cli/Database.ts", "keepAlive: \"10 seconds\"", "Between looks whether a connection is there"],
    ["cli/Database.ts", "statement_timeout: \"10s\"", "A statement at the server, whose caller has long gone"],
    ["cli/Database.ts", "closeTimeout = Duration.seconds(3)", "The end of a pool whose connections may be half open"],
    ["cli/NatsServerLink.ts", "openTimeout = Duration.seconds(5)", "The first connection to NATS, when a node starts"],
    ["cli/NatsServerLink.ts", "pingInterval = Duration.seconds(2)", "Between looks whether NATS is there"],
    ["cli/NatsServerLink.ts", "closeTimeout = Duration.seconds(1)", "What was said last, at the end of a node"],
    ["cli/GatewayServer.ts", "gracefulShutdownTimeout: \"300 millis\"", "Requests at the end of the server"],
    ["cli/TurnDisplay.ts", "shownLines = 8", "Lines of a result that `chat` shows"],
    ["cli/commands/Chat.ts", "Schedule.spaced(\"500 millis\")", "How often `chat` asks again to interrupt a turn"],
    ["cli/WaitDisplay.ts", "Schedule.spaced(\"1 second\")", "How often the display of a wait is drawn"],
    ["cli/McpBridge.ts", "callLimit = \"1 hour\"", "A call through `mcp`, whose client has its own bound"],
    ["cli/McpBridge.ts", "noticeLimit = \"10 seconds\"", "A notice through it"],
    ["cli/McpBridge.ts", "farewellLimit = \"2 seconds\"", "The end of its session"],
    ["cli/commands/Explain.ts", "Effect.timeout(\"10 seconds\")", "The question of `explain` to a running `serve`"]
  ]]
]
