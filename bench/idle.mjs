// Memory of an idle connection: opens many, lets them idle, and reports the memory per connection.
// driver.mjs starts it as a separate process with --expose-gc. It prints one line of JSON.
import { openClient } from './lib/clients.mjs';
import { parseOptions, target } from './lib/target.mjs';

const HELP = `Usage: node --expose-gc bench/idle.mjs --origin URL --module PATH [options]

  --module PATH       the client's module
  --kind KIND         as load.mjs knows them (default pool)
  --count N           number of idle connections (default 1000)

The server must delay its responses (dodici-bench-server --delay), or fewer connections are opened.
`;

const options = parseOptions(HELP, { count: { type: 'string', default: '1000' } });
if (globalThis.gc === undefined) throw new Error('run node with --expose-gc');

const count = Number(options.count);
const aim = target(options);
const open = () => openClient(options.kind, options.module, { ...aim, connections: count });
// The first connections have additional costs (the client's start, room for so many concurrent
// requests). Only what as many further connections add is counted.
const first = await open();
await ask(first);
const before = await memory();
const second = await open();
await ask(second);
const after = await memory();

const result = {
  total: 2 * count,
  connections: 2 * count,
  perConnection: (after - before) / count / 1024,
  rss: process.memoryUsage.rss() / 1e6,
};
await Promise.all([first.close(), second.close()]);
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

/** One request per connection, concurrently. */
function ask(client) {
  const one = () =>
    new Promise((resolve, reject) => {
      client.lane((error) => (error === undefined ? resolve() : reject(error)))();
    });
  return Promise.all(Array.from({ length: count }, one));
}

/** Bytes in use: the whole process, but of V8's heap only live objects. */
async function memory() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc();
    // Finalizers, and what they free, run in later turns.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return rss - heapTotal + heapUsed;
}
