/**
 * What the status page does: it asks every two seconds while somebody can see it, and shows the answer.
 *
 * Everything is put in place as text. What is there already is changed where it differs, and stays otherwise, so that
 * the focus and what a reader has marked stay too.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category constants
 */
export const script: string = String.raw`"use strict"
const every = 2000, patience = 8000
const root = location.pathname.replace(/\/$/, "")
const marks = { wrong: "✕", warn: "!", busy: "◐", well: "✓", still: "–" }
const at = (id) => document.getElementById(id)
let status, chat, chatError, goneSince, timer, asking, opened

const words = (text) => text.replaceAll("_", " ")
const some = (many, what) => many + " " + what + (many === 1 ? "" : "s")
const time = (iso) => new Date(iso).toLocaleTimeString([], { hour12: false })
const age = (ms) => {
  if (ms === null || ms === undefined) return ""
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24)
  if (ms < 1000) return Math.round(ms) + " ms"
  if (s < 60) return s + " s"
  if (m < 10) return m + " min " + (s % 60 === 0 ? "" : (s % 60) + " s")
  if (m < 60) return m + " min"
  if (h < 48) return h + " h" + (m % 60 === 0 ? "" : " " + (m % 60) + " min")
  return d + " days"
}
const took = (ms) => ms < 10 ? Math.round(ms * 10) / 10 + " ms" : ms < 1000 ? Math.round(ms) + " ms" : (ms / 1000).toFixed(1) + " s"

const h = (tag, attributes, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value)
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") element.append(child)
  }
  return element
}
const keyOf = (node) => node.nodeType === 1 ? node.getAttribute("data-key") : null
const morph = (from, to) => {
  for (const { name } of Array.from(from.attributes)) if (!to.hasAttribute(name)) from.removeAttribute(name)
  for (const { name, value } of Array.from(to.attributes)) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value)
  }
  const keyed = new Map()
  for (const child of from.children) if (keyOf(child) !== null) keyed.set(keyOf(child), child)
  let next = from.firstChild
  for (const child of Array.from(to.childNodes)) {
    const key = keyOf(child)
    const same = key === null ? next : keyed.get(key)
    if (!same || same.nodeName !== child.nodeName || keyOf(same) !== key) {
      from.insertBefore(child, next)
      continue
    }
    if (same === next) next = next.nextSibling
    else from.insertBefore(same, next)
    if (same.nodeType === 1) morph(same, child)
    else if (same.data !== child.data) same.data = child.data
  }
  while (next !== null) {
    const over = next
    next = next.nextSibling
    over.remove()
  }
}
const put = (element, ...children) => {
  const focus = document.activeElement
  const to = element.cloneNode(false)
  to.append(...children.flat(Infinity).filter((child) => child !== null))
  morph(element, to)
  // An element that changes its place loses the focus.
  if (focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true })
}

const mark = (level) => h("span", { class: "mark", "aria-hidden": "true" }, marks[level] ?? "")
const badge = (level, text) => h("span", { class: "badge", "data-level": level }, mark(level), text)
const id = (text) => h("span", { class: "id" }, text)
const hashOf = (chatId) => "#chat=" + encodeURIComponent(chatId)
const linkTo = (chatId) => h("a", { class: "id", href: hashOf(chatId) }, chatId)
const chosen = () => {
  if (!location.hash.startsWith("#chat=")) return undefined
  try {
    return decodeURIComponent(location.hash.slice(6)) || undefined
  } catch {
    return undefined
  }
}
const table = (columns, rows, none) => rows.length === 0 ? h("p", { class: "none" }, none) : h("table", {},
  h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
  h("tbody", {}, rows.map(({ key, current, cells }) =>
    h("tr", { "data-key": key, "aria-current": current ? "true" : undefined }, cells.map((cell, index) =>
      h("td", { class: columns[index][1], "data-label": columns[index][2] }, cell))))))

const connected = (line) => line.outcome === "connected"
const way = { hit: "kept connection", fast: "fast", confirmed: "slow, same agent", redialed: "dialed again", switched: "switched to the current agent" }
const outcome = (line) => connected(line) ? way[line.path] ?? line.path ?? "connected" : words(line.outcome.toLowerCase())
const turnText = (turn) => turn === null ? "" :
  turn.status === "running" ? "runs for " + age(turn.age) :
  turn.status + (turn.reason === null ? "" : " (" + turn.reason + ")") + " " + age(turn.age) + " ago"

const isOld = () => goneSince !== undefined || status?.database.reachable === false
const showHead = () => {
  const gone = goneSince !== undefined
  const level = gone ? "wrong" : status?.level ?? "still"
  const since = gone ? " for " + age(Date.now() - goneSince) : ""
  const text = gone
    ? "The server has not answered" + since + "." + (status ? " What follows is as it was at " + time(status.at) + "." : "")
    : status?.headline ?? "Asking the server …"
  at("headline").dataset.level = level
  const first = isOld() ? null : status?.problems[0]?.chatId ?? null
  put(at("headline"), mark(level), h("span", {}, text), first === null ? null : [" ", h("a", { href: hashOf(first) }, "Look")])
  // Said once, and not again with every second that it lasts.
  if (at("spoken").dataset.level !== level) {
    at("spoken").dataset.level = level
    at("spoken").textContent = text
  }
  document.body.toggleAttribute("data-old", isOld())
  document.title = (marks[level] ?? "") + " " + (gone ? "No answer" : level === "well" ? "All well" : text)
  if (status === undefined) return
  const { counts, database, node } = status
  const fact = (name, value) => h("span", {}, name + " ", h("b", {}, value))
  put(at("meta"),
    node.nodeId === null ? null : h("span", {}, "node ", h("b", { class: "id" }, node.nodeId)),
    fact("up", age(node.upFor)),
    fact("database", database.reachable ? "answers" : database.seenAge === null ? "never answered" : "silent, seen " + age(database.seenAge) + " ago"),
    counts.sessions === null ? null : fact("sessions", String(counts.sessions)),
    counts.dials === null ? null : fact("waiting dials", String(counts.dials)),
    counts.calls === null ? null : fact("calls", String(counts.calls)),
    counts.turns === null ? null : fact("turns", String(counts.turns)),
    fact("as of", time(status.at)))
}
// The first is the headline, unless that says that nothing new is known.
const showProblems = () => put(at("problems"), status.problems.slice(isOld() ? 0 : 1).map((problem) =>
  h("li", {},
    problem.message + " ",
    problem.chats > 1 ? "Holds up " + problem.chats + " chats. " : "",
    problem.chatId === null ? null : h("a", { href: hashOf(problem.chatId) }, "Look"))))

const showChats = () => {
  const wanted = at("find").elements.chat.value.trim().toLowerCase()
  const has = (text) => text !== null && text.toLowerCase().includes(wanted)
  const found = status.chats.filter((line) =>
    wanted === "" || has(line.chatId) || has(line.workspaceName) || has(line.workspaceId) || has(line.owner))
  const columns = [["State", "state"], ["Chat", "wide"], ["What is found"], ["Turn", "some", "turn"], ["Waiting", "num", "calls waiting"], ["Last connect", "more", "last connect"]]
  put(at("chats").querySelector(".list"), table(columns, found.map((line) => ({
    key: line.chatId,
    current: line.chatId === chosen(),
    cells: [
      badge(line.level, line.code === null ? "elsewhere" : words(line.code)),
      [linkTo(line.chatId), h("small", {}, [line.workspaceName ?? line.workspaceId ?? "no workspace", line.owner].filter((part) => part !== null).join(" · "))],
      line.message,
      turnText(line.turn),
      line.waiters === 0 ? "" : String(line.waiters),
      line.connect === null ? "" : [outcome(line.connect), h("small", {}, age(line.connect.age) + " ago" + (line.connect.path === "hit" ? "" : ", took " + took(line.connect.took)))]
    ]
  })), wanted === "" ? "No chat has done anything lately." : "None of the chats that are listed. Enter opens the chat with this id."))
}
const placeOf = (workspaceId) => {
  const line = status.workspaces.find((line) => line.workspaceId === workspaceId)
  return workspaceId === null ? "" : line?.name ?? workspaceId
}
const showWaits = () => put(at("waits").querySelector(".list"), table(
  [["For", "some", "for"], ["What", "wide"], ["Where"]],
  status.waits.map((line) => ({
    cells: [
      age(line.age),
      [h("b", {}, line.kind), " ", line.what],
      line.chatId !== null ? linkTo(line.chatId) : [placeOf(line.workspaceId), line.agentId === null ? null : h("small", { class: "id" }, line.agentId)]
    ]
  })), "Nothing waits."))
const seen = (agent) => agent.unreachableFor === null ? agent.status : agent.status + ", unreachable for " + age(agent.unreachableFor)
const showWorkspaces = () => put(at("workspaces").querySelector(".list"), table(
  [["State", "state"], ["Workspace", "wide"], ["Latest build", "more"], ["Agents"]],
  status.workspaces.map((line) => ({
    key: line.workspaceId,
    cells: [
      badge(line.level, line.code === "well" ? "running" : words(line.code)),
      [line.name === null ? id(line.workspaceId) : line.name, h("small", {}, [line.name === null ? null : line.workspaceId, line.templateId, line.owner].filter((part) => part !== null).join(" · "))],
      line.build === null ? "never built" : ["#" + line.build.number + " " + line.build.transition + " " + line.build.status, h("small", {}, [
        line.build.failure === null ? null : words(line.build.failure),
        age(line.build.age) + (line.build.status === "pending" || line.build.status === "running" ? "" : " ago")
      ].filter((part) => part !== null).join(", "))],
      line.agents.map((agent) => h("div", {}, agent.name + ": " + seen(agent), h("small", {},
        agent.because + "; " + (agent.presence === "live" ? "live on this node" : agent.presence === "absent" ? "not on this node" : "presence unknown") +
        (agent.lifecycle === "ready" ? "" : "; scripts: " + words(agent.lifecycle)))))
    ]
  })), "No workspaces."))
const showSessions = () => put(at("sessions").querySelector(".list"), table(
  [["Agent"], ["Workspace", "more"], ["Open for", "num some", "open for"], ["Last frame", "num some", "last frame"], ["Calls", "num", "calls"], ["Epoch", "num", "epoch"]],
  status.sessions.map((line) => ({
    key: line.agentId,
    cells: [id(line.agentId), placeOf(line.workspaceId), age(line.openFor), age(line.silentFor) + " ago", String(line.calls), String(line.epoch)]
  })), status.counts.sessions === null ? "The transport does not tell of its sessions." : "No agent is connected to this node."))

const facts = (pairs) => h("dl", {}, pairs.filter(([, value]) => value !== null && value.length !== 0).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))
const lease = (until, asOf) => {
  if (until === null || asOf === null) return ""
  const left = Date.parse(until) - Date.parse(asOf)
  return left > 0 ? ", lease for another " + age(left) : ", lease ended " + age(-left) + " ago"
}
const agentFacts = (view) => view.agents.map((agent) => h("div", {},
  h("p", {}, agent.name + (agent.current ? " (current)" : "") + ": " + seen(agent) + " — " + agent.because, h("small", {}, " ", id(agent.agentId))),
  h("p", {}, agent.session === null ? "no session on this node" : "session open for " + age(agent.session.openFor) + ", last frame " + age(agent.session.silentFor) + " ago, epoch " + agent.session.epoch,
    agent.nodeId === null ? "" : "; last at node " + agent.nodeId),
  agent.lifecycle === "ready" ? null : h("p", {}, "start-up scripts: " + words(agent.lifecycle)),
  agent.waiters.length === 0 ? null : h("p", {}, some(agent.waiters.length, "dial") + " waiting, longest " + age(Math.max(...agent.waiters))),
  agent.lastRefusal === null ? null : h("p", {}, "turned away " + age(agent.lastRefusal.age) + " ago: " + agent.lastRefusal.reason)))
const callFacts = (view) => [
  ...(view.turns?.running?.calls ?? []).map((call) => h("p", {}, "tool " + call.name + " for " + age(call.runningFor))),
  ...view.agents.flatMap((agent) => agent.calls.map((call) => h("p", {}, "agent call " + call.name + " for " + age(call.runningFor))))]
const buildFacts = (view) => {
  const build = view.build
  if (build === null) return null
  const since = view.asOf === null ? "" : ", asked for " + age(Date.parse(view.asOf) - Date.parse(build.createdAt)) + " ago"
  return "#" + build.number + " " + build.transition + " " + build.status + (build.failure === null ? "" : " (" + words(build.failure) + ")") + since +
    (build.status === "pending" ? ", " + build.ahead + " before it" : "") +
    (build.status === "running" && build.nodeId !== null ? ", on node " + build.nodeId + lease(build.leaseUntil, view.asOf) : "") +
    (build.canceling ? ", to be canceled" : "")
}
const turnFacts = (view) => {
  const turn = view.turn
  if (turn === null) return null
  const running = turn.status === "running"
  const from = view.asOf === null ? "" : age(Date.parse(view.asOf) - Date.parse(running ? turn.startedAt : turn.endedAt ?? turn.startedAt))
  return [h("p", {}, turn.status + (turn.reason === null ? "" : " (" + turn.reason + ")") + (running ? " for " + from : ", " + from + " ago") + ", on node " + turn.nodeId + (running ? lease(turn.leaseUntil, view.asOf) : "") +
    (turn.interrupting && running ? ", to be interrupted" : "")),
    view.turns?.running == null ? null : h("p", {}, "told something " + age(view.turns.running.quietFor) + " ago")]
}
const showChat = () => {
  const wanted = chosen(), section = at("chat")
  section.hidden = wanted === undefined
  if (wanted === undefined) return put(section)
  const title = h("div", { class: "title" }, h("h2", {}, "Chat ", id(wanted)), h("a", { href: "#" }, "Close"))
  if (chat === undefined || chat.chatId !== wanted) {
    return put(section, title, h("p", { class: "none" }, chatError ?? "Asking the server …"))
  }
  const { binding, timeline } = chat
  put(section, title,
    h("p", { class: "finding", "data-level": chat.level }, mark(chat.level), " ", chat.finding.message),
    facts([
      ["Workspace", binding === null ? "not known: the database does not answer" : binding.workspaceId === null ? "none" : [placeOf(binding.workspaceId) + " ", id(binding.workspaceId)]],
      ["Remembers", binding === null ? null : binding.agentId === null ? "no agent, generation " + binding.generation : [id(binding.agentId), " generation " + binding.generation]],
      ["Latest build", buildFacts(chat)],
      ["Agents", agentFacts(chat)],
      ["Turn", turnFacts(chat)],
      ["Calls in flight", callFacts(chat)],
      ["Waiting to connect", chat.waiters === 0 ? null : some(chat.waiters, "call")]
    ]),
    h("h3", {}, "Last connects on this node, newest first"),
    timeline.length === 0 ? h("p", { class: "none" }, "None since this node started.") : h("ol", { id: "timeline" }, timeline.map((line) =>
      h("li", { "data-bad": !connected(line) },
        h("p", {}, h("b", {}, outcome(line)),
          h("small", {}, time(line.endedAt) + ", " + age(line.age) + " ago" + (line.path === "hit" ? "" : ", took " + took(line.took)) + (line.calls > 1 ? ", " + line.calls + " calls" : ""))),
        line.cause === null ? null : h("p", {}, line.cause)))))
}

const show = () => {
  showHead()
  if (status === undefined) return
  showProblems()
  showChat()
  showChats()
  showWaits()
  showWorkspaces()
  showSessions()
}
const fetched = async (path) => {
  const response = await fetch(root + path, { signal: AbortSignal.timeout(patience), cache: "no-store" })
  if (response.status === 400) throw new RangeError(await response.text())
  if (!response.ok) throw new Error("status " + response.status)
  return response.json()
}
const askChat = async () => {
  const wanted = chosen()
  if (wanted === undefined) return
  try {
    const answer = await fetched("/status/chats/" + encodeURIComponent(wanted))
    if (chosen() !== wanted) return
    chat = answer
    chatError = undefined
  } catch (error) {
    if (chosen() === wanted) chatError = error instanceof RangeError ? error.message : "The server does not answer."
  }
}
const ask = async () => {
  if (asking || document.hidden) return
  asking = true
  clearTimeout(timer)
  try {
    const [answer] = await Promise.all([fetched("/status"), askChat()])
    status = answer
    goneSince = undefined
  } catch {
    goneSince ??= Date.now()
  }
  asking = false
  show()
  timer = setTimeout(ask, every)
}
at("chats").addEventListener("click", (event) => {
  const row = event.target.closest("tbody tr")
  if (row !== null && event.target.closest("a") === null && getSelection().isCollapsed) location.hash = hashOf(keyOf(row))
})
addEventListener("hashchange", async () => {
  show()
  await askChat()
  show()
  const wanted = chosen()
  if (wanted !== undefined) at("chat").focus()
  else if (opened !== undefined) Array.from(document.links).find((link) => link.getAttribute("href") === hashOf(opened))?.focus()
  opened = wanted
})
document.addEventListener("visibilitychange", ask)
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen() !== undefined) location.hash = ""
})
at("find").addEventListener("input", () => status === undefined || showChats())
at("find").addEventListener("submit", (event) => {
  event.preventDefault()
  const wanted = at("find").elements.chat.value.trim()
  if (wanted !== "") location.hash = hashOf(wanted)
})
opened = chosen()
setInterval(() => goneSince === undefined || document.hidden || showHead(), 1000)
ask()
`
