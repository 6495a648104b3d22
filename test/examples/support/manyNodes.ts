/** The files of examples/many-nodes, read as those who run them read them. */
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import { parse, parseAllDocuments } from "yaml"

export const read = (name: string): string =>
  readFileSync(new URL(`../../../examples/many-nodes/${name}`, import.meta.url), "utf8")

const Service = Schema.Struct({
  command: Schema.optionalKey(Schema.Array(Schema.String)),
  environment: Schema.Record(Schema.String, Schema.String),
  ports: Schema.optionalKey(Schema.Array(Schema.String)),
  networks: Schema.Union([
    Schema.Array(Schema.String),
    Schema.Record(Schema.String, Schema.Struct({ aliases: Schema.optionalKey(Schema.Array(Schema.String)) }))
  ]),
  volumes: Schema.optionalKey(Schema.Array(Schema.String)),
  depends_on: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ condition: Schema.String }))),
  healthcheck: Schema.optionalKey(Schema.Struct({ test: Schema.optionalKey(Schema.Array(Schema.String)) })),
  stop_grace_period: Schema.optionalKey(Schema.String),
  build: Schema.optionalKey(Schema.Struct({ context: Schema.String, dockerfile: Schema.String }))
})

export type Service = typeof Service.Type

const Compose = Schema.Struct({
  services: Schema.Struct({
    "backend-1": Service,
    "backend-2": Service,
    migrate: Service,
    nats: Service,
    postgres: Service,
    workspace: Service
  }),
  networks: Schema.Record(Schema.String, Schema.Struct({ internal: Schema.optionalKey(Schema.Boolean) }))
})

/** As written, with its variables in it. */
export const compose = Schema.decodeUnknownSync(Compose)(parse(read("compose.yaml"), { merge: true }))

/** `${NAME}`, with `:-` for a default and `:?` for what must be given. */
const variable = /\$\{(\w+)(?::([-?])([^}]*))?\}/g

export const variables = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(variable), ([, name = ""]) => name)

/** A service with the values of its variables, as the engine gives it to its container. */
export const environmentOf = (
  { environment }: Service,
  values: Readonly<Record<string, string>>
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(environment).map(([key, text]) => [
      key,
      text.replaceAll(variable, (_, name: string, kind: string | undefined, other: string | undefined) => {
        const value = values[name] ?? ""
        if (value === "" && kind === "?") throw new Error(`${name}: ${other}`)
        return value === "" && kind === "-" ? other ?? "" : value
      })
    ])
  )

export const secondsOf = (text: string | undefined): number => Number(/^(\d+)s$/.exec(text ?? "")?.[1])

const Labels = Schema.Record(Schema.String, Schema.String)

const Reference = Schema.Struct({ name: Schema.String, key: Schema.String })

const Probe = Schema.Struct({
  httpGet: Schema.optionalKey(Schema.Struct({ path: Schema.String, port: Schema.String })),
  exec: Schema.optionalKey(Schema.Struct({ command: Schema.Array(Schema.String) }))
})

const Container = Schema.Struct({
  image: Schema.String,
  command: Schema.optionalKey(Schema.Array(Schema.String)),
  args: Schema.optionalKey(Schema.Array(Schema.String)),
  ports: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String, containerPort: Schema.Finite }))),
  env: Schema.Array(Schema.Struct({
    name: Schema.String,
    value: Schema.optionalKey(Schema.String),
    valueFrom: Schema.optionalKey(Schema.Struct({ secretKeyRef: Reference }))
  })),
  startupProbe: Schema.optionalKey(Probe),
  livenessProbe: Schema.optionalKey(Probe),
  readinessProbe: Schema.optionalKey(Probe),
  lifecycle: Schema.optionalKey(
    Schema.Struct({ preStop: Schema.Struct({ exec: Schema.Struct({ command: Schema.Array(Schema.String) }) }) })
  ),
  volumeMounts: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String, mountPath: Schema.String })))
})

const Deployment = Schema.Struct({
  kind: Schema.Literal("Deployment"),
  metadata: Schema.Struct({ name: Schema.String, namespace: Schema.String }),
  spec: Schema.Struct({
    replicas: Schema.Finite,
    selector: Schema.Struct({ matchLabels: Labels }),
    template: Schema.Struct({
      metadata: Schema.Struct({ labels: Labels }),
      spec: Schema.Struct({
        terminationGracePeriodSeconds: Schema.optionalKey(Schema.Finite),
        initContainers: Schema.optionalKey(Schema.Array(Container)),
        containers: Schema.NonEmptyArray(Container),
        volumes: Schema.Array(Schema.Struct({
          name: Schema.String,
          configMap: Schema.optionalKey(Schema.Struct({ name: Schema.String }))
        }))
      })
    })
  })
})

const KubernetesService = Schema.Struct({
  kind: Schema.Literal("Service"),
  metadata: Schema.Struct({ name: Schema.String, namespace: Schema.String }),
  spec: Schema.Struct({
    selector: Labels,
    ports: Schema.Array(Schema.Struct({ port: Schema.Finite, targetPort: Schema.String }))
  })
})

const NetworkPolicy = Schema.Struct({
  kind: Schema.Literal("NetworkPolicy"),
  spec: Schema.Struct({
    podSelector: Schema.Struct({ matchLabels: Labels }),
    ingress: Schema.Array(Schema.Struct({
      from: Schema.Array(Schema.Struct({ podSelector: Schema.Struct({ matchLabels: Labels }) })),
      ports: Schema.Array(Schema.Struct({ port: Schema.String }))
    }))
  })
})

const Budget = Schema.Struct({
  kind: Schema.Literal("PodDisruptionBudget"),
  spec: Schema.Struct({ selector: Schema.Struct({ matchLabels: Labels }) })
})

const manifests = parseAllDocuments(read("kubernetes.yaml")).map((document) =>
  Schema.decodeUnknownSync(Schema.Union([Deployment, KubernetesService, NetworkPolicy, Budget]))(document.toJS())
)

export const deployments = Object.fromEntries(
  manifests.filter((each) => each.kind === "Deployment").map((each) => [each.metadata.name, each])
)
export const services = Object.fromEntries(
  manifests.filter((each) => each.kind === "Service").map((each) => [each.metadata.name, each])
)
export const policies = manifests.filter((each) => each.kind === "NetworkPolicy")
export const budgets = manifests.filter((each) => each.kind === "PodDisruptionBudget")
