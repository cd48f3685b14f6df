// The stages of a request as attributes of its span, which @opentelemetry/instrumentation-undici makes.

import { subscribe } from 'node:diagnostics_channel';

import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';

import { stagesOf } from './stages.mjs';

/** The instrumentation; its spans have `dodici.stage.queued` and so on, in seconds. */
export function instrument(tracerProvider) {
  const spans = new WeakMap();
  const instrumentation = new UndiciInstrumentation({
    requestHook: (span, request) => void spans.set(request, span),
  });
  instrumentation.setTracerProvider(tracerProvider);
  subscribe('dodici:request:timings', ({ request, timings }) => {
    const span = spans.get(request);
    if (!span) return;
    span.setAttribute('dodici.connection.new', timings.isNew === true);
    for (const [stage, milliseconds] of Object.entries(stagesOf(timings))) {
      span.setAttribute(`dodici.stage.${stage}`, milliseconds / 1000);
    }
  });
  return instrumentation;
}
