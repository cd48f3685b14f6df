// Reporter of Node's test runner: one line of JSON for each result, written at once.
//
// lib/run-file.mjs passes it with `--test-reporter` and reads the file. Written synchronously, so that a
// process that is killed has reported everything.
import { appendFileSync } from "node:fs";

// Set by preload.cjs; absent in workers and child processes.
const file = globalThis[Symbol.for("dodici.conformance.results")];
// Set by hook/case-timeout.cjs where Node does not report it.
const lines = globalThis[Symbol.for("dodici.conformance.lines")];

export default async function* reporter(events) {
  for await (const { type, data } of events) {
    if (file === undefined || (type !== "test:pass" && type !== "test:fail")) continue;
    const { name, nesting, line, skip, todo, details } = data;
    const result = {
      name,
      nesting,
      line: lines?.get(name)?.shift() ?? line,
      isSuite: details.type === "suite",
      milliseconds: Math.round(details.duration_ms),
      outcome: skip !== undefined ? "skip" : type === "test:pass" ? "pass" : "fail",
      todo: todo !== undefined,
      error: type === "test:fail" ? describe(details.error) : undefined,
    };
    appendFileSync(file, `${JSON.stringify(result)}\n`);
  }
  yield "";
}

/** What is reported of an error: its kind, its text and where it was thrown. */
function describe(error) {
  const cause = error?.cause ?? error;
  const text = (value) => (typeof value === "string" ? value : undefined);
  return {
    failure: error?.failureType,
    name: text(cause?.name),
    code: text(cause?.code),
    message: text(cause?.message) ?? String(cause),
    stack: text(cause?.stack),
  };
}
