/** The examples of how to test an application are tests themselves. */
await import("../../examples/test-your-app.ts")
