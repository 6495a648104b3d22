/** All endpoints of the API, as its document tells them: where each is, and every answer that it may give. */
import { Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Api } from "../../../src/http/Api.ts"

/** "200", or of an error also its code: "404 not_found". */
export type Status = `${number}` | `${number} ${string}`

export interface Operation {
  /** Group and endpoint, as in "chats.get". */
  readonly id: string
  readonly method: string
  /** With its parameters in braces, as in "/chats/{chatId}". */
  readonly path: string
  /** The parameters of the path. */
  readonly params: ReadonlyArray<string>
  readonly query: ReadonlyArray<string>
  readonly hasBody: boolean
  /** The members of its body, and those of them that name something which may be another owner's. */
  readonly members: ReadonlyArray<string>
  readonly foreign: ReadonlyArray<string>
  readonly streams: boolean
  readonly summary: string
  readonly answers: ReadonlyArray<Status>
  /** All of it, for people. */
  readonly told: string
  /** All of it, as the document has it. */
  readonly details: OpenApi.OpenAPISpecOperation
}

export const document: OpenApi.OpenAPISpec = OpenApi.fromApi(Api)

const Reference = Schema.Struct({ $ref: Schema.String })

/** What the document has of a schema, where it only refers to it. */
export const resolved = (schema: unknown): unknown =>
  Schema.is(Reference)(schema)
    ? document.components.schemas[schema.$ref.replace("#/components/schemas/", "")]
    : schema

const Alternatives = Schema.Struct({ anyOf: Schema.Array(Schema.Unknown) })

export const alternatives = (schema: unknown): ReadonlyArray<unknown> =>
  (Schema.is(Alternatives)(schema) ? schema.anyOf : [schema]).map(resolved)

const codeOf = Schema.decodeUnknownSync(
  Schema.Struct({ properties: Schema.Struct({ code: Schema.Struct({ enum: Schema.Tuple([Schema.String]) }) }) })
)

const statuses = (
  [status, { content = {} }]: readonly [string, OpenApi.OpenApiSpecResponse]
): ReadonlyArray<Status> =>
  Number(status) < 400
    ? [`${Number(status)}`]
    : Object.values(content).flatMap(({ schema }) =>
      alternatives(schema).map((one): Status => `${Number(status)} ${codeOf(one).properties.code.enum[0]}`)
    )

const Properties = Schema.Struct({ properties: Schema.Record(Schema.String, Schema.Unknown) })

const members = (content: OpenApi.OpenApiSpecContent): ReadonlyArray<string> =>
  Object.values(content).flatMap(({ schema }) =>
    alternatives(schema).flatMap((one) => Schema.is(Properties)(one) ? Object.keys(one.properties) : [])
  )

/** The id of a message is its client's to choose. */
const ids = new Set(["chatId", "turnId", "templateId", "workspaceId", "buildId", "agentId"])

/** The members of an answer, one for each of what it may be. */
const shapes = (content: OpenApi.OpenApiSpecContent): ReadonlyArray<string> =>
  Object.entries(content).flatMap(([type, { schema }]) =>
    alternatives(schema).map((one) =>
      Schema.is(Properties)(one)
        ? `${type} { ${Object.keys(one.properties).join(", ")} }`
        : `${type} ${Schema.is(Typed)(one) ? one.type : "?"}`
    )
  )

const Typed = Schema.Struct({ type: Schema.String })

/** As a reader of the API would note it. */
const tell = (
  line: string,
  { description, operationId, parameters, requestBody, responses, summary }: OpenApi.OpenAPISpecOperation
): string =>
  [
    `${line}  (${operationId})`,
    `  ${summary}. ${description}`,
    ...parameters.filter(({ in: place }) => place !== "path").map(({ in: place, name }) => `  ${place} ${name}`),
    ...shapes(requestBody?.content ?? {}).map((shape) => `  body ${shape}`),
    ...Object.entries(responses).flatMap(([status, response]) =>
      Number(status) < 400
        ? [
          ...shapes(response.content ?? {}),
          ...Object.keys(response.headers ?? {}).map((name) => `header ${name}`),
          ...(response.content === undefined ? ["nothing"] : [])
        ].map((shape) => `  ${status} ${shape}`)
        : statuses([status, response]).map((answer) => `  ${answer}`)
    )
  ].join("\n")

const methods = ["get", "post", "put", "patch", "delete", "head", "options"] as const

const named = (all: ReadonlyArray<OpenApi.OpenAPISpecParameter>, place: string): ReadonlyArray<string> =>
  all.filter((parameter) => parameter.in === place).map(({ name }) => name)

export const operations: ReadonlyArray<Operation> = Object.entries(document.paths).flatMap(([path, item]) =>
  methods.flatMap((method) => {
    const operation = item[method]
    if (operation === undefined) return []
    return [{
      id: operation.operationId,
      method: method.toUpperCase(),
      path,
      params: named(operation.parameters, "path"),
      query: named(operation.parameters, "query"),
      hasBody: operation.requestBody !== undefined,
      members: members(operation.requestBody?.content ?? {}),
      foreign: members(operation.requestBody?.content ?? {}).filter((name) => ids.has(name)),
      streams: Object.values(operation.responses).some(({ content = {} }) => "text/event-stream" in content),
      summary: operation.summary ?? "",
      answers: Object.entries(operation.responses).flatMap(statuses),
      told: tell(`${method.toUpperCase()} ${path}`, operation),
      details: operation
    }]
  })
)
