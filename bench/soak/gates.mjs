// The gates of `just soak`: each checks one requirement. The tests run them with a few repetitions,
// `just soak <name>` with many.
//
// A gate gets `{ dodici, server, count, random, progress, problems }`, writes what went wrong into
// `problems`, and returns figures for the report. None asserts wall-clock time.
import { crowd, origins, poison, race } from "./gates/connections.mjs";
import { aborts, fetches, garbage } from "./gates/endings.mjs";
import { backpressure, timeouts } from "./gates/limits.mjs";

/** All gates, by their names on the command line. */
export const gates = {
  ...{ crowd, origins, race, poison, aborts, garbage, fetches, timeouts, backpressure },
};
