// The programs in examples/ run, and say what they are for.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));

/** Runs one of them inside this package, where `dodici` is the package itself. */
async function run(example: string): Promise<string> {
  const folder = mkdtempSync(`${root}example-`);
  const isModule = (path: string) => !path.endsWith('.json');
  cpSync(examples + example, folder, { recursive: true, filter: isModule });
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [`${folder}/main.mjs`]);
      let [output, errors] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
      child.on('close', (code) => (code === 0 ? resolve(output) : reject(new Error(errors))));
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('opentelemetry: metrics and spans from timings', async () => {
  const output = await run('opentelemetry');
  const lines = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const series = (when: string, metric: string) =>
    lines.filter((line) => line.when === when && line.metric === metric);

  const server = { 'server.address': '127.0.0.1', 'url.scheme': 'http' };
  expect(series('open', 'http.client.request.duration')).toMatchObject([
    {
      count: 3,
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'network.protocol.version': '1.1',
      ...server,
    },
  ]);
  expect(series('open', 'http.client.active_requests')).toMatchObject([{ sum: 0, ...server }]);
  expect(series('open', 'http.client.open_connections')).toMatchObject([
    { sum: 1, 'http.connection.state': 'idle', ...server },
    { sum: 0, 'http.connection.state': 'active', ...server },
  ]);
  expect(series('open', 'http.client.connection.duration')).toEqual([]);
  expect(series('closed', 'http.client.connection.duration')).toMatchObject([{ count: 1 }]);

  const stages = series('open', 'dodici.client.request.stage.duration');
  const counts = Object.fromEntries(stages.map(({ stage, count }) => [stage, count]));
  expect(counts).toEqual({ queued: 3, tcp: 1, send: 3, wait: 3, receive: 3 });

  const spans = lines.filter((line) => line.span !== undefined);
  expect(spans.map((span) => [span.path, span['dodici.connection.new']])).toEqual([
    ['/', true],
    ['/', false],
    ['/slow', false],
  ]);
  for (const span of spans) expect(span['dodici.stage.wait']).toBeGreaterThan(0);
});

it('ssrf-guard: what its README says', async () => {
  const text = readFileSync(`${examples}ssrf-guard/README.md`, 'utf8');
  expect(await run('ssrf-guard')).toBe(/^```text\n(.*?)^```$/ms.exec(text)?.[1]);
});
