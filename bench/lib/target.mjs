// Options for the target of a measured client, shared by load.mjs, start.mjs and idle.mjs;
// lib/origins.mjs writes some of them.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const OPTIONS = {
  module: { type: 'string' },
  kind: { type: 'string', default: 'pool' },
  origin: { type: 'string', multiple: true },
  path: { type: 'string', default: '/' },
  connections: { type: 'string', default: '50' },
  pipelining: { type: 'string', default: '1' },
  body: { type: 'string' },
  streamed: { type: 'boolean', default: false },
  stamp: { type: 'boolean', default: false },
  http2: { type: 'boolean', default: false },
  http3: { type: 'boolean', default: false },
  streams: { type: 'string', default: '100' },
  'io-threads': { type: 'string' },
  socket: { type: 'string' },
  ca: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
};

const HELP = `
  --origin URL        for example http://127.0.0.1:8080; several are used in rotation
  --path PATH         request target (default /)
  --connections N     connections of the pool (default 50)
  --pipelining N      pipelining of the pool (default 1)
  --body N            POST bodies of N bytes
  --streamed          as a stream of 64 KiB slices
  --stamp             send the dispatch time of each request to the server
  --http2             let TLS negotiate HTTP/2
  --http3             speak HTTP/3, with prior knowledge
  --streams N         concurrent requests on one HTTP/2 or HTTP/3 connection (default 100)
  --io-threads N      of an Agent of ours
  --socket PATH       Unix socket
  --ca FILE           certificate authority, PEM
`;

/**
 * The options of this process: these and `own`. Prints `help` and exits if requested, or if
 * there is no origin.
 *
 * @param {string} help of the process's own options
 * @param {import('node:util').ParseArgsConfig['options']} [own]
 * @returns {Record<string, any>}
 */
export function parseOptions(help, own = {}) {
  const { values } = parseArgs({ options: { ...OPTIONS, ...own } });
  if (values.help || !values.origin) {
    process.stdout.write(help + HELP);
    process.exit(values.help ? 0 : 2);
  }
  return values;
}

/**
 * @param {Record<string, any>} options parsed
 * @returns {import('./clients.mjs').Target}
 */
export function target(options) {
  return {
    origins: options.origin,
    path: options.path,
    connections: Number(options.connections),
    pipelining: Number(options.pipelining),
    socketPath: options.socket,
    ca: options.ca && readFileSync(options.ca, 'utf8'),
    http2: options.http2,
    http3: options.http3,
    streams: Number(options.streams),
    ioThreads: options['io-threads'] && Number(options['io-threads']),
    body: options.body === undefined ? undefined : Number(options.body),
    streamed: options.streamed,
    stamp: options.stamp,
  };
}
