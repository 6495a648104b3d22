/** The services of examples/many-nodes/compose.yaml as processes: their own commands, variables and files, on loopback. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Logger, Predicate, Redacted } from "effect"
import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import * as h from "../agent/support/harness.ts"
import { cuttable } from "../agent/support/proxy.ts"
import { folder, get, run, serve, until } from "../cli/support/commandLine.ts"
import * as nats from "../cluster/support/server.ts"
import { eventsOf } from "../http/support/streams.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"
import * as files from "./support/manyNodes.ts"

const { services } = files.compose

/** What stands in `.env`. The password is one that NATS would take for a number. */
const secrets = { POSTGRES_PASSWORD: "secret", NATS_PASSWORD: "5e7f0912", API_TOKEN: "a-token-of-the-test" }

/** The server with its own configuration file; answers its ports. */
const broker = Effect.fnUntraced(function*(directory: string) {
  const config = Path.join(directory, "nats.conf")
  // Port -1 is any that is free.
  writeFileSync(config, files.read("nats.conf").replace("0.0.0.0:4222", "127.0.0.1:-1").replace(":8222", ":-1"))
  const [, ...args] = services.nats.command ?? []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(nats.binary, args.map((arg) => arg === "/etc/nats/nats.conf" ? config : arg), {
        stdio: ["ignore", "ignore", "pipe"],
        env: { PATH: process.env["PATH"], ...files.environmentOf(services.nats, secrets) }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let log = ""
  child.stderr.on("data", (data: Buffer) => (log += String(data)))
  const [, monitor, clients] = yield* until(
    "NATS listens",
    () => /http monitor on 127\.0\.0\.1:(\d+)[^]*client connections on 127\.0\.0\.1:(\d+)/.exec(log) ?? undefined
  )
  return { monitor, clients }
})

describe.skipIf(!nats.hasServer)("the services of the compose file", () => {
  layer(Layer.merge(emptyDatabase(), Logger.layer([])), { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    it.effect(
      "are two nodes, of which each reaches the agent of the other, and the first can be ended in time",
      () =>
        Effect.gen(function*() {
          const { url } = yield* TestDatabase
          const cwd = yield* folder
          const { clients, monitor } = yield* broker(cwd)
          const [, asked = ""] = /(http:\S+)$/.exec(services.nats.healthcheck?.test?.at(-1) ?? "") ?? []
          assert.strictEqual((yield* get(asked.replace("8222", monitor ?? ""))).status, 200)

          /** In a container `localhost` is its own; here all are on one. */
          const environmentOf = (service: files.Service) => ({
            ...files.environmentOf(service, secrets),
            HOST: service.environment["HOST"]?.replace("0.0.0.0", "127.0.0.1") ?? "",
            DATABASE_URL: Redacted.value(url),
            NATS_URL: service.environment["NATS_URL"]?.replace("nats:4222", `127.0.0.1:${clients}`) ?? "",
            AGENT_URL: service.environment["AGENT_URL"]?.replace("gateway", "localhost") ?? ""
          })
          const migrated = yield* run(services.migrate.command ?? [], { cwd, env: environmentOf(services.migrate) })
          assert.strictEqual(migrated.code, 0)

          mkdirSync(Path.join(cwd, "templates"))
          const node = (service: files.Service) =>
            serve({
              cwd,
              env: environmentOf(service),
              args: service.command?.slice(1).map((arg) => arg === "/templates" ? "templates" : arg)
            })
          const [first, second] = yield* Effect.all([node(services["backend-1"]), node(services["backend-2"])], {
            concurrency: 2
          })
          for (
            const [service, { health }] of [[services["backend-1"], first], [services["backend-2"], second]] as const
          ) {
            const [kind, program, flag = "", script = ""] = service.healthcheck?.test ?? []
            assert.deepStrictEqual([kind, program], ["CMD", "node"])
            const codeAt = (at: string) =>
              Effect.map(run([script.replace("http://127.0.0.1:4170", at)], { cwd, program: flag }), ({ code }) => code)
            assert.deepStrictEqual([yield* codeAt(health), yield* codeAt("http://127.0.0.1:1")], [0, 1])
          }

          const enrolled = yield* run(["enroll", "w1"], { cwd, env: environmentOf(services["backend-1"]) })
          // What agents call by one name: any node.
          const gateway = yield* cuttable(Number(new URL(first.health).port))
          yield* h.startProgram(gateway.port, Redacted.make(enrolled.stdout.trim()))

          const headers = { authorization: `Bearer ${secrets.API_TOKEN}`, "content-type": "application/json" }
          const post = (to: typeof first, path: string, body: unknown) =>
            Effect.promise(async () => {
              const response = await fetch(`${to.api}${path}`, { method: "POST", headers, body: JSON.stringify(body) })
              return { status: response.status, text: await response.text() }
            })
          /** The turn of a message, and what its command said. */
          const say = (to: typeof first, messageId: string, text: string) =>
            Effect.map(post(to, "/chats/c/messages", { messageId, text }), ({ text }) => {
              const told = eventsOf(text).map(({ data }) => data)
              assert.deepStrictEqual(told.at(-1), { _tag: "End", status: "done", reason: null })
              return JSON.stringify(told.findLast((event) => Predicate.isTagged(event, "Result")))
            })
          assert.strictEqual((yield* post(first, "/chats", { chatId: "c", workspaceId: "w1" })).status, 201)
          assert.include(yield* say(second, "m1", "echo $((6 * 7)) > kept; cat kept"), "42")
          // Over NATS: the agent is the first node's.
          assert.match(
            (yield* get(`${second.operators}/metrics`)).text,
            /^chat_workspace_cluster_tunnels\{side="away"\} [1-9]/m
          )

          yield* gateway.redirect(Number(new URL(second.health).port))
          yield* first.signal("SIGTERM")
          const grace = files.secondsOf(services["backend-1"].stop_grace_period)
          yield* Effect.timeout(first.ended, `${grace} seconds`)
          assert.include(yield* say(second, "m2", "cat kept"), "42")
        }).pipe(Effect.scoped),
      180_000
    )
  })
})
