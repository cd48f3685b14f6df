// The programs in examples/ run, and say what they are for.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));

/** Runs one of them inside this package, where `dodici` is the package itself. */
async function run(example: string, ...options: string[]): Promise<string> {
  const folder = mkdtempSync(`${root}example-`);
  const isModule = (path: string) => !path.endsWith('.json');
  cpSync(examples + example, folder, { recursive: true, filter: isModule });
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [`${folder}/main.mjs`, ...options]);
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

/** What its README says that it prints. */
function printedOutput(example: string): string {
  const text = readFileSync(`${examples}${example}/README.md`, 'utf8');
  return /^```text\n(.*?)^```$/ms.exec(text)?.[1] ?? '';
}

it('ssrf-guard: what its README says', async () => {
  expect(await run('ssrf-guard')).toBe(printedOutput('ssrf-guard'));
});

it('gateway: what its README says, for fewer requests', async () => {
  const expected = printedOutput('gateway').replaceAll('5000', '500');
  expect(await run('gateway', '--requests', '500')).toBe(expected);
});

it('worker-pool: what its README says, for fewer requests', async () => {
  const expected = printedOutput('worker-pool').replaceAll('2000', '200');
  expect(await run('worker-pool', '--workers', '4', '--requests', '200')).toBe(expected);
});

it('renderer: both fetches make the same pages, ours with as many connections as it may open', async () => {
  const output = await run('renderer', '--pages', '20');
  const lines = output.split('\n');
  expect(lines[0]).toBe("Node's fetch: 20 pages, 2 with a gap, 420 fetches");
  expect(lines[2]).toBe("dodici's fetch: 20 pages, 2 with a gap, 420 fetches");
  expect(Number(/(\d+) connections$/.exec(lines[3] ?? '')?.[1])).toBeLessThanOrEqual(64);
  expect(lines[4]).toBe('the same pages: true');
});

it('crawler: reaches every page, and no host costs more than it may', async () => {
  const output = await run('crawler', '--hosts', '40', '--connections', '8');
  expect(output).toContain('ready before the first page: 2');
  // Three pages of each good host, and the front page that leads to the first of them.
  expect(output).toMatch(/^144 pages, /m);
  for (const failure of [
    "'status 302': 1",
    'UND_ERR_RES_EXCEEDED_MAX_SIZE: 1',
    'ERR_DODICI_TOTAL_TIMEOUT: 1',
    'ERR_DODICI_BODY_RATE: 1',
  ]) {
    expect(output).toContain(failure);
  }
  expect(Number(/ at a time: (\d+)$/m.exec(output)?.[1])).toBeLessThanOrEqual(8);
});

it.each(['gateway', 'crawler', 'renderer', 'worker-pool'])(
  '%s explains its options',
  async (example) => {
    expect(await run(example, '--help')).toMatch(/^Usage: node main.mjs /);
  },
);
