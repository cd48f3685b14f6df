// What keeps a process alive, and what does not: each case is a process of its own that nobody ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { httpOrigin, type Origin } from '../support/servers';

const dodici = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
const LARGE = Buffer.alloc(4 * 1024 * 1024, 'x');

let origin: Origin;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    if (request.url === '/large') response.end(LARGE);
    else if (request.url === '/silent') response.writeHead(200).flushHeaders();
    // '/never' gets no answer at all.
  });
});
afterAll(() => origin.close());

/** Runs `script` until it ends by itself, and returns what it printed. */
async function lines(script: string): Promise<string[]> {
  const preamble = `
    const { Client, request } = require(${JSON.stringify(dodici)});
    const client = new Client(${JSON.stringify(origin.url)});
    const rest = { onResponseData() {}, onResponseEnd() {} };
    const say = (text) => process.stdout.write(text + '\\n');
    client.on('disconnect', (_url, _targets, _error, { reason }) => say('disconnect: ' + reason));`;
  const child = spawn(process.execPath, ['-e', preamble + script]);
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(0);
  return out.split('\n').slice(0, -1);
}

it('a body that is not read does not keep the process alive', async () => {
  const seen = await lines(`
    client.request({ path: '/large', method: 'GET' }).then(({ statusCode }) => say(String(statusCode)));`);
  expect(seen).toEqual(['200']);
});

it('a request whose reader continues keeps it alive again', async () => {
  const seen = await lines(`
    client.request({ path: '/large', method: 'GET' }).then(({ body }) => {
      let length = 0;
      setTimeout(() => {
        body.on('data', (chunk) => (length += chunk.length));
        body.on('end', () => say(String(length)));
      }, 50);
    });`);
  expect(seen).toEqual([String(LARGE.length)]);
});

it.each([
  ['before the head', '/never', `setTimeout(() => controller.abort(), 50)`],
  ['in the body', '/silent', ''],
])('an abort %s is followed by the disconnect of its connection', async (_when, path, later) => {
  const seen = await lines(`
    client.dispatch({ path: '${path}', method: 'GET' }, {
      ...rest, onRequestStart(controller) { ${later} },
      onResponseStart(controller) { controller.abort(); },
      onResponseError(_controller, { code }) { say(code); },
    });`);
  expect(seen).toEqual(['UND_ERR_ABORTED', 'disconnect: aborted']);
});

it('an abort of a request that waits ends nothing, and holds nobody', async () => {
  const seen = await lines(`
    const first = { ...rest, onRequestStart() {}, onResponseStart(controller) {
      client.dispatch({ path: '/never', method: 'GET' }, second);
      setImmediate(() => { waiting.abort(); running.abort(); });
    }, onResponseError() { say('first'); } };
    let waiting, running;
    const second = { ...rest, onRequestStart(controller) { waiting = controller; }, onResponseStart() {}, onResponseError() { say('second'); } };
    client.dispatch({ path: '/silent', method: 'GET' }, {
      ...first, onRequestStart(controller) { running = controller; } });`);
  expect(seen).toEqual(['second', 'first', 'disconnect: aborted']);
});
