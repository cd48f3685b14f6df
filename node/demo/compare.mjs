// The end of the demo: the same load through undici's Pool and through ours, taking turns, with
// the load generator of bench/. `just bench-h1` is the thorough version.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { alternate, table } from '../../bench/lib/compare.mjs';
import { minimalServer } from '../../bench/lib/origins.mjs';

/** Rounds of the comparison; each measures both clients. */
const ROUNDS = 2;
const CONNECTIONS = 50;

/** @param {number} seconds measured time, both clients and all rounds together */
export async function compareWithUndici(seconds) {
  // With the preload of `just demo` (scripts/peer.cjs) this is undici 7 on a Node before 22.19.
  const require = createRequire(import.meta.url);
  const { version } = require('undici/package.json');
  const clients = [
    { name: 'undici', module: require.resolve('undici') },
    { name: 'dodici', module: fileURLToPath(new URL('../dist/index.js', import.meta.url)) },
  ];
  console.log(
    `\nComparison with undici ${version}: ${CONNECTIONS} connections, small responses, ${seconds} s`,
  );
  const origin = await minimalServer({ bytes: 13 });
  try {
    const results = await alternate({
      clients,
      rounds: ROUNDS,
      node: process.execPath,
      nodeArgs: process.execArgv,
      args: [
        ...origin.args,
        ...['--connections', String(CONNECTIONS), '--bytes', '13'],
        ...['--seconds', String(seconds / ROUNDS / clients.length), '--warmup', '0.4'],
      ],
      onRound() {},
    });
    const [theirs, mine] = clients.map(({ name }) => results[name].median);
    const row = (name, figures) => [
      name,
      Math.round(figures.throughput).toLocaleString('en-US'),
      figures.jsCpu.toFixed(2),
    ];
    const rows = [
      ['', 'requests/s', 'JS thread µs per request'],
      row('undici', theirs),
      row('dodici', mine),
      [
        'ratio',
        `${(mine.throughput / theirs.throughput).toFixed(2)}×`,
        `${(mine.jsCpu / theirs.jsCpu).toFixed(2)}×`,
      ],
    ];
    console.log(table(rows).replaceAll(/^/gm, '  '));
    if (mine.completionsPerDoorbell !== undefined) {
      const { completionsPerDoorbell, requestsPerSubmit } = mine;
      console.log(
        `  ${completionsPerDoorbell.toFixed(1)} completions per doorbell, ${requestsPerSubmit.toFixed(1)} requests per submission call`,
      );
    }
  } finally {
    await origin.stop();
  }
}
