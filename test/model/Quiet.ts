/**
 * Imported before `effect`: nobody reads stack traces and Node's async contexts where thousands of schedules run, and
 * together they cost a seventh of the time.
 */
Error.stackTraceLimit = 0
Reflect.set(process, "getBuiltinModule", undefined)
