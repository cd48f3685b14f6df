// Renders pages with Node's fetch, and then with dodici's, and compares. See README.md.

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { install } from 'dodici';

import { renderPage } from './render.mjs';

const { values: options } = parseArgs({
  options: {
    pages: { type: 'string', default: '500' },
    concurrency: { type: 'string', default: '16' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`Usage: node main.mjs [--pages N] [--concurrency N]

  --pages N         pages to render, of 20 fetches each (500)
  --concurrency N   pages at a time (16)`);
  process.exit(0);
}
const [pages, concurrency] = [Number(options.pages), Number(options.concurrency)];

const api = new Worker(new URL('api.mjs', import.meta.url));
const [port] = await once(api, 'message');

/** Renders all pages. Returns them and what it took. */
async function render() {
  const html = [];
  let next = 0;
  const started = performance.now();
  const before = process.threadCpuUsage?.();
  const renderer = async () => {
    while (next < pages) {
      const id = next++;
      html[id] = await renderPage(`http://127.0.0.1:${port}`, id, new AbortController().signal);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, renderer));
  const seconds = (performance.now() - started) / 1e3;
  const busy = before && process.threadCpuUsage(before);
  api.postMessage('counts');
  const [counts] = await once(api, 'message');
  return { html, seconds, busy, counts };
}

function report(who, { html, seconds, busy, counts }) {
  const gaps = html.filter((page) => page.includes('class="gap"')).length;
  console.log(`${who}: ${html.length} pages, ${gaps} with a gap, ${counts.requests} fetches`);
  const thread =
    busy && `, JavaScript thread ${((busy.user + busy.system) / 1e3 / pages).toFixed(2)} ms a page`;
  console.log(
    `  ${Math.round(pages / seconds)} pages/s${thread ?? ''}, ${counts.connections} connections`,
  );
}

const warmUp = () => renderPage(`http://127.0.0.1:${port}`, 1, new AbortController().signal);
await warmUp();
const builtin = await render();
report("Node's fetch", builtin);

// The only line that a program needs.
const { dispatcher, uninstall } = install({ connections: 64 });
await warmUp();
const ours = await render();
report("dodici's fetch", ours);
console.log('the same pages:', ours.html.join() === builtin.html.join());

uninstall();
await dispatcher?.close();
await api.terminate();
