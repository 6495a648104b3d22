/** Real workspaces on this host, whose builds take long enough to be met by faults, and say how far they are. */
import { Duration, Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import * as ProcessProvider from "../../src/provisioner/process/ProcessProvider.ts"
import * as Provider from "../../src/provisioner/Provider.ts"
import type { ProviderRequest } from "../../src/provisioner/Provider.ts"
import * as Templates from "../../src/store/Templates.ts"

export const templateId = TemplateId.make("slow")

/** A build says so many lines, before and after what it does. */
export const steps = 6

const step = "250 millis"

/** Each run of a build has a name of its own, so that the log shows who wrote what. */
export const line = (run: string, number: number): string => `run ${run}, step ${number} of ${steps}`

/** The run and the step that a line is of. */
export const parse = (text: string): { readonly run: string; readonly step: number } | undefined => {
  const [, run, number] = /^run (\w+), step (\d+) of/.exec(text) ?? []
  return run === undefined ? undefined : { run, step: Number(number) }
}

const slowly = (act: Provider.Provider["start"]): Provider.Provider["start"] =>
  Effect.fnUntraced(function*(request: ProviderRequest) {
    const run = randomBytes(4).toString("hex")
    for (let number = 1; number <= steps; number++) {
      yield* request.log(line(run, number))
      if (number === steps / 2) yield* act(request)
      else yield* Effect.sleep(step)
    }
  })

/** The provider alone, and a template of it. Workspaces are folders in `root`. */
export const layer = (root: string): Layer.Layer<Provider.Providers | Templates.Templates> =>
  Layer.merge(
    Layer.effect(
      Provider.Providers,
      Effect.map(ProcessProvider.make({ root, agentProgram: agent }), (provider) =>
        Provider.make([{
          ...provider,
          start: slowly(provider.start),
          stop: slowly(provider.stop),
          delete: slowly(provider.delete)
        }]))
    ),
    Templates.layerMemory([
      new Template({
        templateId,
        name: "slow",
        description: "",
        readme: null,
        parameters: [],
        agents: [{ name: agentName, displayOrder: 0 }],
        provider: { type: "process", settings: {}, directory: null },
        owners: null,
        startupScript: null,
        shutdownScript: null,
        connectionTimeout: Duration.seconds(30)
      })
    ])
  )

export const agentName = "main"

const agent = new URL("./agent.ts", import.meta.url).pathname
