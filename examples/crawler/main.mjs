// A crawler that visits 1,000 hosts with few connections, and depends on none of them. See README.md.

import { parseArgs } from 'node:util';

import { Agent, interceptors } from 'dodici';

import { crawl } from './crawl.mjs';
import { startHosts } from './hosts.mjs';

const { values: options } = parseArgs({
  options: {
    hosts: { type: 'string', default: '1000' },
    pages: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`Usage: node main.mjs [options]

  --hosts N         hosts on this machine, at least 10 (1000)
  --pages N         pages of each (3)
  --connections N   connections to all of them together (64)`);
  process.exit(0);
}
const hosts = await startHosts(Number(options.hosts), Number(options.pages));

const [first] = hosts.urls;
const silent = hosts.urls.at(-1);

const agent = new Agent({
  maxConnections: Number(options.connections), // to all hosts together: they take turns
  connections: 2, // to each
  keepAliveTimeout: 1_000,
  connect: { timeout: 5_000 },
  totalTimeout: 60_000, // from the call to the end of the body
  minBodyRate: 1_000, // bytes per second, while we read
  decompress: { maxSize: 1_000_000 },
  origins: { [first]: { connections: 4 }, [silent]: { totalTimeout: 2_000 } },
});
const open = { now: 0, most: 0, ever: 0 };
agent.on('connect', () => {
  open.ever++;
  open.most = Math.max(open.most, ++open.now);
});
agent.on('disconnect', () => open.now--);

console.log('ready before the first page:', await agent.preconnect(first, 2));
// For example on SIGUSR2, when a program hangs at night.
const snapshot = setTimeout(async () => {
  const counts = {};
  for (const { activity } of await agent.connections()) {
    counts[activity] = (counts[activity] ?? 0) + 1;
  }
  console.log('connections after a second:', counts);
}, 1_000);
const started = performance.now();
const redirecting = agent.compose(interceptors.redirect({ maxRedirections: 3 }));
const { pages, bytes, ...failed } = await crawl(`${first}/`, redirecting);
const seconds = (performance.now() - started) / 1e3;
clearTimeout(snapshot);

console.log(`${pages} pages, ${(bytes / 1e6).toFixed(1)} MB of text, in ${seconds.toFixed(1)} s`);
console.log('failed:', failed);
console.log('connections in all:', open.ever, 'at a time:', open.most);
console.log('memory, hosts included:', Math.round(process.memoryUsage.rss() / 1e6), 'MB');

await agent.close();
hosts.close();
