/**
 * Export of spans, metrics and logs over OTLP, when the standard variables of OpenTelemetry name an endpoint.
 *
 * `OTEL_EXPORTER_OTLP_ENDPOINT`, or one of its forms for a single signal, switches it on; without one nothing is sent.
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_{TRACES,METRICS,LOGS}_EXPORTER`,
 * `OTEL_SDK_DISABLED` and the others are read as the standard says. Both encodings over HTTP are spoken, gRPC is not.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Tracer from "effect/Tracer"
import * as QuietTracer from "../turn/QuietTracer.ts"

/**
 * Exports while the layer lives. What is under way when it ends is sent within the timeout of the exporter.
 *
 * A variable that cannot be read fails with the error that names it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, Config.ConfigError, HttpClient.HttpClient> = Layer.unwrap(
  Effect.gen(function*() {
    const { attributes, protocol } = yield* settings
    const exported = Layer.effect(Tracer.Tracer, Effect.map(Tracer.Tracer, QuietTracer.make)).pipe(
      Layer.provideMerge(Otlp.layerFromConfig()),
      Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf)
    )
    const defaults = ConfigProvider.fromUnknown({
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_LOGS_EXPORTER: "otlp",
      // A name given among the attributes would lose against one of its own.
      ...(attributes.includes("service.name") ? {} : { OTEL_SERVICE_NAME: "chat-workspace" })
    })
    return Layer.provide(exported, ConfigProvider.layerAdd(defaults))
  })
)

const settings = Config.all({
  attributes: Config.withDefault(Config.String("OTEL_RESOURCE_ATTRIBUTES"), ""),
  protocol: Config.withDefault(
    Config.Literals(["http/protobuf", "http/json"], "OTEL_EXPORTER_OTLP_PROTOCOL"),
    "http/protobuf"
  )
})
