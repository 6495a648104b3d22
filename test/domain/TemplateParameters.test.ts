import { assert, describe, it } from "@effect/vitest"
import { Duration, Result } from "effect"
import { TemplateId } from "../../src/domain/Ids.ts"
import { type Parameter, Template } from "../../src/domain/Template.ts"
import { compile, type ParameterValues, resolve } from "../../src/domain/TemplateParameters.ts"

const template = (...parameters: ReadonlyArray<Parameter>): Template =>
  new Template({
    templateId: TemplateId.make("node"),
    name: "node",
    description: "",
    readme: null,
    parameters,
    agents: [{ name: "main", displayOrder: 0 }],
    provider: { type: "process", settings: {}, directory: null },
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120)
  })

const values = (parameters: ReadonlyArray<Parameter>, given: ParameterValues, base?: Record<string, string>) =>
  Result.getOrThrow(resolve(template(...parameters), given, { base }))

const problems = (parameters: ReadonlyArray<Parameter>, given: ParameterValues, base?: Record<string, string>) =>
  Result.getOrThrow(Result.flip(resolve(template(...parameters), given, { base }))).problems.map(
    ({ parameter, problem }) => `${parameter} ${problem}`
  )

const string: Parameter = { name: "p", type: "string" }
const number: Parameter = { name: "p", type: "number" }
const boolean: Parameter = { name: "p", type: "boolean" }

describe("TemplateParameters", () => {
  const good: ReadonlyArray<readonly [string, Parameter, string | number | boolean, string]> = [
    ["a text as it is", string, "  two words ", "  two words "],
    ["an empty text", string, "", ""],
    ["a number", number, 4, "4"],
    ["a number as a text", number, "4.50", "4.5"],
    ["a negative number with an exponent", number, "-1e3", "-1000"],
    ["zero", number, 0, "0"],
    ["a boolean", boolean, false, "false"],
    ["a boolean as a text", boolean, "true", "true"],
    ["one of the options", { ...string, options: ["a", "b"] }, "b", "b"],
    ["one of the options that are numbers", { ...number, options: [1, 2] }, "2.0", "2"],
    ["a text that the pattern matches", { ...string, pattern: "[a-z]+" }, "abc", "abc"],
    ["a number at its lower bound", { ...number, min: 1, max: 8 }, 1, "1"],
    ["a number at its upper bound", { ...number, min: 1, max: 8 }, 8, "8"],
    ["a text of 8 KiB", string, "x".repeat(8192), "x".repeat(8192)]
  ]

  it.each(good)("takes %s", (_, parameter, value, expected) => {
    assert.deepStrictEqual(values([parameter], { p: value }), { p: expected })
  })

  const bad: ReadonlyArray<readonly [string, Parameter, string | number | boolean, string]> = [
    ["a number for a string", string, 22.1, "p must be a string"],
    ["a boolean for a string", string, true, "p must be a string"],
    ["a text with NUL", string, "a\0b", "p must be a text without NUL and halves of characters"],
    ["half of a character", string, "a\ud83d", "p must be a text without NUL and halves of characters"],
    ["a text that is no number", number, "many", "p must be a number"],
    ["an empty text for a number", number, "", "p must be a number"],
    ["a hexadecimal number", number, "0x10", "p must be a number"],
    ["a number that is none", number, Number.NaN, "p must be a number"],
    ["a number without end", number, "1e999", "p must be a number"],
    ["a boolean for a number", number, true, "p must be a number"],
    ["a text that is no boolean", boolean, "yes", "p must be true or false"],
    ["a number for a boolean", boolean, 1, "p must be true or false"],
    ["none of the options", { ...string, options: ["a", "b"] }, "A", "p must be one of: a, b"],
    ["a text that only begins as the pattern", { ...string, pattern: "a|b" }, "ax", "p must match a|b"],
    ["a text of two lines whose first matches", { ...string, pattern: "[a-z]+" }, "abc\n", "p must match [a-z]+"],
    ["a number under its bound", { ...number, min: 1 }, 0, "p must be at least 1"],
    ["a number over its bound", { ...number, max: 8 }, 9, "p must be at most 8"],
    ["a text over 8 KiB", string, "x".repeat(8193), "p must not be longer than 8192 bytes"],
    ["a text over 8 KiB in bytes", string, "é".repeat(4097), "p must not be longer than 8192 bytes"]
  ]

  it.each(bad)("refuses %s", (_, parameter, value, problem) => {
    assert.deepStrictEqual(problems([parameter], { p: value }), [problem])
  })

  it("a default is taken where nothing is given, and what has none is required", () => {
    const parameters: ReadonlyArray<Parameter> = [{ name: "cpus", type: "number", default: 2 }, string]
    assert.deepStrictEqual(values(parameters, { p: "x" }), { cpus: "2", p: "x" })
    assert.deepStrictEqual(problems(parameters, {}), ["p is required"])
  })

  it("names every problem at once", () => {
    const parameters: ReadonlyArray<Parameter> = [
      { name: "region", type: "string", options: ["eu", "us"] },
      { name: "cpus", type: "number", max: 8 },
      { name: "image", type: "string" }
    ]
    assert.deepStrictEqual(problems(parameters, { region: "mars", cpus: 9, colour: "red" }), [
      "colour is not a parameter of this template",
      "region must be one of: eu, us",
      "cpus must be at most 8",
      "image is required"
    ])
  })

  it("what is given goes before the build before, and that before the default", () => {
    const parameters: ReadonlyArray<Parameter> = ["a", "b", "c"].map((name) => ({
      name,
      type: "number",
      default: 1
    }))
    assert.deepStrictEqual(values(parameters, { a: 3 }, { a: "2", b: "2" }), { a: "3", b: "2", c: "1" })
  })

  it("a value of the build before that no longer fits is named, unless another is given", () => {
    const parameters: ReadonlyArray<Parameter> = [{ name: "region", type: "string", options: ["eu"], default: "eu" }]
    assert.deepStrictEqual(problems(parameters, {}, { region: "us" }), ["region must be one of: eu"])
    assert.deepStrictEqual(values(parameters, { region: "eu" }, { region: "us" }), { region: "eu" })
  })

  it("a value of the build before for a parameter that is gone is left out", () => {
    assert.deepStrictEqual(values([string], { p: "x" }, { gone: "1" }), { p: "x" })
  })

  it("64 values are looked at, 65 are not", () => {
    const given = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`q${index}`, 1]))
    assert.lengthOf(problems([], given(64)), 64)
    assert.deepStrictEqual(problems([], given(65)), ["parameters are 65, and at most 64 are allowed"])
  })

  it("the limits may be others", () => {
    const limits = { count: 1, bytes: 2 }
    const outcome = (given: ParameterValues) => Result.isSuccess(resolve(template(string), given, { limits }))
    assert.deepStrictEqual([outcome({ p: "ab" }), outcome({ p: "abc" }), outcome({ p: "a", q: "b" })], [
      true,
      false,
      false
    ])
  })

  it("parameters that are named as methods of objects are ordinary ones", () => {
    const parameters: ReadonlyArray<Parameter> = [{ name: "constructor", type: "string" }]
    assert.deepStrictEqual(problems(parameters, {}), ["constructor is required"])
    assert.deepStrictEqual(values(parameters, { constructor: "x" }), { constructor: "x" })
    assert.deepStrictEqual(problems([], { toString: "x" }), ["toString is not a parameter of this template"])
  })

  it("an endless name is cut in its problem", () => {
    assert.deepStrictEqual(problems([], { ["n".repeat(100_000)]: 1 }), [
      `${"n".repeat(64)}… is not a parameter of this template`
    ])
  })

  it("a pattern is one by itself, not only between the brackets it is put in", () => {
    assert.isUndefined(compile("a)(b"))
    assert.isUndefined(compile("["))
    assert.isTrue(compile("a|b")?.test("b"))
  })
})
