// Closing many connections: opens them, destroys their pool, and reports for how long at a time the
// event loop could not turn until all were gone. driver.mjs starts it as a separate process for each
// measurement. It prints one line of JSON.
import { performance } from 'node:perf_hooks';
import { openClient } from './lib/clients.mjs';
import { parseOptions, target } from './lib/target.mjs';
import { threadCpuClock } from './lib/thread-cpu.mjs';

const HELP = `Usage: node bench/closing.mjs --origin URL --module PATH [options]

  --module PATH       the client's module
  --kind KIND         as load.mjs knows them (default pool)

It opens as many as --connections says. The server must delay its responses
(dodici-bench-server --delay), or fewer are opened.
`;

/** Milliseconds after the end, within which what was put off would show. */
const SETTLED = 300;
/** Milliseconds between two looks at the clocks: without a pause, they would be most of the process's work. */
const LOOK = 1;

const options = parseOptions(HELP);
const aim = target(options);
const client = await openClient(options.kind, options.module, aim);
const one = () =>
  new Promise((resolve, reject) => {
    client.lane((error) => (error === undefined ? resolve() : reject(error)))();
  });
await Promise.all(Array.from({ length: aim.connections }, one));
// What the responses left behind is not part of closing.
await new Promise((resolve) => setTimeout(resolve, 200));

const threadCpu = threadCpuClock();
const cpuBefore = process.cpuUsage();
const began = performance.now();
let last = { at: began, cpu: threadCpu() };
let held = 0;
let heldCpu = 0;
/** The time of the clock depends on who else wants the processor. */
const turn = () => {
  const now = performance.now();
  const cpu = threadCpu();
  held = Math.max(held, now - last.at);
  heldCpu = Math.max(heldCpu, (cpu - last.cpu) / 1e3);
  last = { at: now, cpu };
  if (!closed || now - closed < SETTLED) setTimeout(turn, LOOK);
  else finish();
};
let closed = 0;
setTimeout(turn, LOOK);
await client.close();
closed = performance.now();

function finish() {
  const { user, system } = process.cpuUsage(cpuBefore);
  const result = {
    total: aim.connections,
    connections: aim.connections,
    held,
    heldCpu,
    closing: closed - began,
    processCpu: (user + system) / aim.connections,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
