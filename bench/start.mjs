// Cold start: the time to load a client, and from there to the first response. driver.mjs starts it
// as a separate process for each measurement. It prints one line of JSON.
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { parseOptions, target } from './lib/target.mjs';

const HELP = `Usage: node bench/start.mjs --origin URL [--module PATH] [options]

  --module PATH       the client's module; none for what is built into Node
  --kind KIND         as load.mjs knows them (default pool)
`;

const options = parseOptions(HELP);
const aim = target(options);
const { module: file, kind } = options;
const require = createRequire(import.meta.url);
// A program loads its client by name. Here it is loaded by path, so that Node's first lookup of a
// name, a millisecond, would be charged only to clients that load other packages.
require.resolve('undici');
const before = performance.now();
if (file !== undefined) require(file);
const loaded = performance.now();

// Not earlier: it loads parts of Node that the client would otherwise load itself.
const { load, openClient } = await import('./lib/clients.mjs');
if (file !== undefined) await load(file);

const cpuBefore = process.cpuUsage();
const opened = performance.now();
const client = await openClient(kind, file, aim);
await new Promise((resolve, reject) => {
  client.lane((error) => (error === undefined ? resolve() : reject(error)))();
});
const answered = performance.now();
const cpu = process.cpuUsage(cpuBefore);
const rss = process.memoryUsage.rss();
await client.close();

const result = {
  total: 1,
  import: loaded - before,
  firstRequest: answered - opened,
  firstByte: loaded - before + (answered - opened),
  firstCpu: (cpu.user + cpu.system) / 1e3,
  rss: rss / 1e6,
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
