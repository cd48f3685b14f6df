// What keeps a process alive, and what does not: each case is a separate process that must end by itself.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { httpOrigin, type Origin, rawOrigin } from '../support/servers';

const dodici = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
const LARGE = Buffer.alloc(4 * 1024 * 1024, 'x');

let origin: Origin;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    if (request.url === '/large') response.end(LARGE);
    else if (request.url === '/silent') response.writeHead(200).flushHeaders();
    else if (request.url === '/hinted') {
      response.writeEarlyHints({ link: '</app.js>; rel=preload; as=script' });
      // Time in which a process that nothing keeps alive would end.
      setTimeout(() => response.end('late'), 300);
    }
    // '/never' gets no response.
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

it('aborting a queued request closes nothing, and does not keep the process alive', async () => {
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

it.each([
  [
    'a handler that paused before its head',
    `onRequestStart(controller) { setImmediate(() => controller.pause()); },
     onResponseStart(controller, status) { say(String(status)); if (status >= 200) controller.resume(); },
     onResponseData(_controller, chunk) { say(String(chunk)); },
     onResponseError(_controller, error) { say(error.message); },
     onResponseEnd() {},`,
  ],
  [
    'a handler that paused at an early hint',
    `onRequestStart() {},
     onResponseStart(controller, status) {
       say(String(status));
       if (status < 200) controller.pause();
       else controller.resume();
     },
     onResponseData(_controller, chunk) { say(String(chunk)); },
     onResponseError(_controller, error) { say(error.message); },
     onResponseEnd() {},`,
  ],
  [
    'a handler of the older generation that answers an early hint with false',
    `onConnect() {},
     onHeaders(status) { say(String(status)); return status >= 200; },
     onData(chunk) { say(String(chunk)); return true; },
     onError(error) { say(error.message); },
     onComplete() {},`,
  ],
])('%s keeps the process alive', async (_who, handler) => {
  const seen = await lines(`client.dispatch({ path: '/hinted', method: 'GET' }, { ${handler} });`);
  expect(seen).toEqual(['103', '200', 'late']);
});

it('an unread upgraded stream that its peer has ended does not', async () => {
  const upgrading = await rawOrigin((socket) => {
    socket.once('data', () =>
      socket.end('HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nunread'),
    );
  });
  const seen = await lines(`
    const other = new Client('${upgrading.url}');
    other.upgrade({ path: '/', protocol: 'x' }).then(() => say('upgraded'));`);
  await upgrading.close();
  expect(seen).toEqual(['upgraded']);
});
