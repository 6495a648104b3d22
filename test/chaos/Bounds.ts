/** The bounds that all parts are started with, and what follows from them for whoever calls. */

/** Short, so that a fault outlives them; their keys and meanings stand in `docs/bounds.md`. */
export const backend = {
  DIAL_TIMEOUT: "8 seconds",
  DIAL_CONNECT_TIMEOUT: "10 seconds",
  GATEWAY_HEARTBEAT: "500 millis",
  GATEWAY_PING_INTERVAL: "500 millis",
  GATEWAY_PING_TIMEOUT: "3 seconds",
  GATEWAY_SETTLE: "1 second",
  GATEWAY_SHORT_CALL: "3 seconds",
  GATEWAY_FILE_CALL: "4 seconds",
  GATEWAY_REATTACH: "4 seconds",
  // Agents are killed far more often than anybody who steals an identity would come.
  GATEWAY_CONFLICT_CHANGES: "10000",
  TOOL_EXECUTE_TIMEOUT: "8 seconds",
  TOOL_LATE_OUTPUT: "2 seconds",
  TURN_LEASE: "3 seconds",
  TURN_RENEW: "500 millis",
  TURN_SWEEP: "1 second",
  TURN_POLL: "500 millis",
  TURN_TIME: "40 seconds",
  TURN_CALL_TIME: "25 seconds",
  TURN_CALLS_END: "2 seconds",
  TURN_DRAIN: "4 seconds",
  TURN_SETUP_WAIT: "2 seconds",
  TURN_SETUP_LIMIT: "10 seconds",
  BUILD_POLL: "500 millis",
  BUILD_LIMIT: "30 seconds",
  BUILD_LEASE: "4 seconds",
  BUILD_RENEW: "1 second",
  BUILD_KILL: "1 second",
  BUILD_AGENT_ATTEMPT: "3 seconds",
  BUILD_AGENT_POLL: "500 millis",
  BUILD_AGENT_LIMIT: "10 seconds",
  BUILD_SCRIPTS_POLL: "500 millis",
  BUILD_SCRIPTS_LIMIT: "5 seconds",
  HTTP_KEEP_ALIVE: "1 second"
}

/** A client takes a stream that says nothing for so long, in seconds, for cut off. */
export const silence = 5

export const agent = {
  CW_AGENT_BACKOFF_CAP: "500 millis",
  CW_AGENT_READ_SILENCE: "4 seconds",
  CW_AGENT_OPEN_TIMEOUT: "3 seconds",
  CW_AGENT_STALE_FRAME: "3 seconds"
}

const store = 3
const connect = 10

/** `open` and `connect`, which every call begins with. */
const there = store + connect

/** What a command may take, in seconds. */
export const command = 8

const build = 30

/** Of a lifecycle tool: its decisions, a build of somebody else that it waits for, its own, the agent and its scripts. */
const lifecycle = there + 6 * store + 2 * build + 10 + 3 + 5

const turn = 40 + 2 + store + 3 + 1 + 2 * store

/**
 * The stated bound of each call, in seconds: what it is made of, one after the other. A `send` writes the turn and reads
 * the history. A turn that its node loses ends when another finds it after its lease; whoever follows it reads that. Over
 * HTTP a silent link takes its time on top. A turn that somebody interrupts and all that it ran end within 10 s in which
 * the parts were whole that this needs.
 */
export const calls = {
  execute: there + command + 2,
  background: there + 3,
  process_output: there + command + 4,
  write_file: there + 4,
  edit_files: there + 4,
  run: there + command,
  outcome: there + 4,
  send: 3 * store,
  turn,
  turnOverHttp: 3 * store + turn + 2 * silence,
  interrupt: 2 * store,
  interruptOverHttp: silence,
  interrupted: 10,
  killed: 10,
  create: lifecycle,
  start: lifecycle,
  stop: lifecycle
} as const

export type Method = keyof typeof calls

/** What a busy machine may take on top, in seconds, apart from the times in which it gave us no turn at all. */
export const slack = 5

/**
 * Within so many seconds of the end of the last fault every chat works. The longest that a fault can leave behind is a
 * row locked by a transaction whose client is gone (10 s, `idle_in_transaction_session_timeout`), then a turn whose node
 * was lost (its lease and the sweep, 4 s), then one connect (10 s); the rest is for starting programs on a busy machine.
 */
export const recovery = 40

/**
 * A process that is asked to end does so within so many seconds. A backend ends its turns (4 s and what they write, 6 s),
 * lets its agents move (2 s), and drains its dials (2 s).
 */
export const stop = 20

/** Within so many seconds nothing is under way any more when nobody calls. */
export const rest = 20
