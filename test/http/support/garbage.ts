/** Requests that nobody would send who means well, generated for an endpoint, the same ones for the same seed. */
import { Arbitrary, Schema } from "effect"
import { endpoints } from "./cases.ts"
import type { Operation } from "./contract.ts"
import type { Ids } from "./place.ts"
import { ann, bob } from "./requests.ts"
import type { Sending } from "./requests.ts"

export interface Garbage {
  readonly request: string
  readonly sending: Sending
}

type Arbitraries<A> = readonly [Arbitrary.Arbitrary<A>, ...ReadonlyArray<Arbitrary.Arbitrary<A>>]

const oneOf = <A>(...all: Arbitraries<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(Arbitrary.schema(Schema.Literals(all.map((_, index) => index))), (index) => all[index] ?? all[0])

const pick = <A>(...all: readonly [A, ...ReadonlyArray<A>]): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(Arbitrary.schema(Schema.Literals(all.map((_, index) => index))), (index) => all[index] ?? all[0])

const anyText = Arbitrary.schema(Schema.String)

export const hostile = [
  "\0",
  "%",
  "%00",
  "%ff%fe",
  ".",
  "..",
  "../../etc/passwd",
  "a/b",
  "a?b#c",
  "\r\nx: y",
  "\u{1F600}".repeat(64),
  "half of a character \ud83d",
  "\ufeff",
  "\u202e",
  "a'; drop table chats; --",
  "__proto__",
  "constructor",
  "null",
  "-1",
  "x".repeat(128),
  "x".repeat(5000)
] as const

const numbers = [
  "-1",
  "0",
  "1.5",
  "1e309",
  "NaN",
  "Infinity",
  "0x10",
  " 1",
  "2147483648",
  "99999999999999999999",
  "1.1",
  ""
] as const

const deep = 100_000
const deepArray = `${"[".repeat(deep)}${"]".repeat(deep)}`
const deepObject = `${"{\"a\":".repeat(deep)}1${"}".repeat(deep)}`

/** A value as JSON. */
const value = oneOf(
  Arbitrary.map(Arbitrary.schema(Schema.Json), (json) => JSON.stringify(json)),
  Arbitrary.map(oneOf(pick(...hostile), anyText), (text) => JSON.stringify(text)),
  pick("1e999", "-1e999", `1${"0".repeat(400)}`, "-0", "9007199254740993", "0.1", "1"),
  pick(
    deepArray,
    deepObject,
    "{\"__proto__\":{\"size\":1}}",
    "{\"size\":1e999}",
    "{\"size\":\"\\u0000\"}",
    "{\"\\u0000\":1}"
  )
)

const bodies: readonly [string | Uint8Array, ...ReadonlyArray<string | Uint8Array>] = [
  "",
  "null",
  "[]",
  "0",
  "\"",
  "{",
  "{}}",
  "{}\0",
  "\ufeff{}",
  "undefined",
  "{\"a\":1,\"a\":2}",
  deepArray,
  deepObject,
  "[".repeat(deep),
  "x".repeat(2 * 1024 * 1024),
  new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  new Uint8Array([0xc0, 0x80]),
  new Uint8Array(1000)
]

const broken = pick(...bodies)

/** An object with some of the members, most as they should be. */
const nearly = ({ id, members }: Operation): Arbitrary.Arbitrary<string | Uint8Array> => {
  const right = new Map(Object.entries(endpoints[id]?.body ?? {}).map(([name, one]) => [name, JSON.stringify(one)]))
  const member = (name: string): Arbitrary.Arbitrary<string> => {
    const given = right.get(name)
    const wrong = Arbitrary.map(value, (text) => `${JSON.stringify(name)}:${text}`)
    return given === undefined ? oneOf(wrong, pick("")) : oneOf(wrong, pick(`${JSON.stringify(name)}:${given}`))
  }
  return Arbitrary.map(
    Arbitrary.all([...members, "__proto__", "more"].map(member)),
    (all) => `{${all.filter((text) => text !== "").join()}}`
  )
}

const headers = Arbitrary.all({
  type: oneOf(
    pick("application/json"),
    pick(
      "application/json",
      "application/json; charset=utf-16",
      "APPLICATION/JSON;",
      "text/plain",
      "multipart/form-data",
      "multipart/form-data; boundary=x",
      "application/x-www-form-urlencoded",
      "application/vnd.api+json",
      "/",
      "x"
    )
  ),
  last: pick(undefined, undefined, ...numbers, "é", "x".repeat(5000)),
  accept: pick(undefined, "text/plain", "*/*", "text/event-stream, x/y;q=2", "\xff"),
  encoding: pick(undefined, undefined, undefined, "gzip", "deflate, br")
})

/** In an address. */
const written = (text: string): string => encodeURIComponent(text.toWellFormed())

/** The path of an endpoint with these ids in it. */
const pathOf = ({ path }: Operation, ids: Ids): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => written(ids[name] ?? "none"))

/** Each hostile text in each place that takes one, and each broken body; the rest of the request is right. */
export const each = (operation: Operation, ids: Ids): ReadonlyArray<Garbage> => {
  const { hasBody, members, method, params, query, streams } = operation
  const body = endpoints[operation.id]?.body
  const right: Sending = hasBody ? { body } : {}
  const at = (path: string, sending: Sending = right): Garbage => ({ request: `${method} ${path}`, sending })
  const path = pathOf(operation, ids)
  return [
    ...hostile.flatMap((text) => [
      ...params.map((name) => at(pathOf(operation, { ...ids, [name]: text }))),
      ...query.map((name) => at(`${path}?${name}=${written(text)}`)),
      ...members.map((name) => at(path, { body: { ...body, [name]: text } })),
      ...members.map((name) => at(path, { body: { ...body, [name]: { [text]: text } } }))
    ]),
    ...numbers.flatMap((text) => [
      ...query.map((name) => at(`${path}?${name}=${written(text)}`)),
      ...(streams ? [at(path, { ...right, headers: { "last-event-id": text } })] : []),
      ...members.map((name) => at(path, { body: `{"${name}":${text === "" ? "\"\"" : text}}` }))
    ]),
    ...(hasBody ? bodies.map((body) => at(path, { body })) : [])
  ]
}

/** Requests to an endpoint, of which some are right by chance. */
export const requests = (operation: Operation, ids: Ids): Arbitrary.Arbitrary<Garbage> =>
  Arbitrary.map(
    Arbitrary.all({
      method: oneOf(pick(operation.method), pick(operation.method, "PUT", "PATCH", "DELETE", "POST", "GET", "OPTIONS")),
      token: pick(ann, ann, ann, bob),
      params: Arbitrary.all(
        operation.params.map((name) => oneOf(pick(ids[name] ?? "none"), oneOf(pick(...hostile), anyText)))
      ),
      // As it is, or written as addresses are.
      raw: pick(false, false, true),
      query: Arbitrary.all(
        [...operation.query, "__proto__"].map((name) =>
          Arbitrary.map(
            oneOf(pick(undefined), pick(...numbers), pick(...hostile), anyText),
            (text) => text === undefined ? [] : [`${name}=${written(text)}`]
          )
        )
      ),
      headers,
      body: oneOf(nearly(operation), broken)
    }),
    ({ body, headers: { accept, encoding, last, type }, method, params, query, raw, token }) => {
      const left = [...params]
      const path = operation.path.replaceAll(/\{\w+\}/g, () => {
        const text = left.shift() ?? ""
        return raw ? text.replaceAll(/[\s?#\\]/g, "") : written(text)
      })
      const asked = query.flat()
      return {
        request: `${method} ${path}${asked.length === 0 ? "" : `?${asked.join("&")}`}`,
        sending: {
          token,
          headers: {
            ...(last === undefined ? {} : { "last-event-id": last }),
            ...(accept === undefined ? {} : { accept }),
            ...(encoding === undefined ? {} : { "content-encoding": encoding }),
            ...(method === "GET" ? {} : { "content-type": type })
          },
          ...(method === "GET" ? {} : { body })
        }
      }
    }
  )
