// A fetch runs our own code: a CPU profile shows nothing of undici's fetch but the creation of the
// Response, which is undici's, so that it is what programs compare it with.

import { once } from 'node:events';
import * as http from 'node:http';
import { Session } from 'node:inspector/promises';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { Agent, fetch } from '../../src/index';

/** What creating a Response, and reading the state it was created with, calls in undici. */
const CREATION = [
  ...['get body', 'webidl.brandCheck', 'webidl.is.Response'],
  ...['fromInnerResponse', 'Response', 'Headers', '<instance_members_initializer>'],
  ...['getResponseState', 'setResponseState', 'setResponseHeaders'],
  ...['setHeadersList', 'setHeadersGuard'],
];

const JSON_BODY = JSON.stringify(Array.from({ length: 200 }, (_, id) => ({ id, name: `${id}` })));

const PAGES: Readonly<Record<string, http.RequestListener>> = {
  '/json': (_request, response) => response.end(JSON_BODY),
  '/gzip': (_request, response) => {
    response.setHeader('content-encoding', 'gzip').end(gzipSync(JSON_BODY));
  },
  '/redirect': (_request, response) => response.writeHead(302, { location: '/json' }).end(),
  '/echo': (request, response) => request.pipe(response),
};

let server: http.Server;
let url: string;
const dispatcher = new Agent({ connections: 10 });

beforeAll(async () => {
  server = http.createServer((request, response) => PAGES[request.url!]!(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await dispatcher.destroy();
  server.close();
});

const get = (path: string) => fetch(url + path, { dispatcher });

const LOADS: Readonly<Record<string, () => Promise<unknown>>> = {
  json: async () => (await get('/json')).json(),
  text: async () => (await get('/json')).text(),
  arrayBuffer: async () => (await get('/json')).arrayBuffer(),
  gzip: async () => (await get('/gzip')).json(),
  redirect: async () => (await get('/redirect')).json(),
  async stream() {
    let length = 0;
    for await (const chunk of (await get('/json')).body!) length += (chunk as Uint8Array).length;
    return length;
  },
  post: async () => {
    const headers = { 'content-type': 'application/json' };
    const init = { dispatcher, method: 'POST', headers, body: JSON_BODY };
    return (await fetch(`${url}/echo`, init)).json();
  },
};

/** Functions called during `run`, by file, as far as samples show. */
async function profile(run: () => Promise<unknown>): Promise<{ url: string; name: string }[]> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 100 });
  await session.post('Profiler.start');
  await run();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  return profile.nodes.map(({ callFrame }) => ({
    url: callFrame.url,
    name: callFrame.functionName,
  }));
}

/** Ten at a time. */
const load = (call: () => Promise<unknown>) => async () => {
  const lane = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) await call();
  };
  await Promise.all(Array.from({ length: 10 }, lane));
};

it.each(Object.keys(LOADS))('%s runs nothing of undici’s fetch', async (name) => {
  // The first calls look at what the installed undici offers.
  await LOADS[name]!();
  const called = await profile(load(LOADS[name]!));
  expect(called.some(({ name }) => name === 'dispatch')).toBe(true);
  const theirs = called.filter(({ url }) => /[/\\]web[/\\]fetch[/\\]/.test(url));
  expect(theirs.filter(({ name }) => !CREATION.includes(name))).toEqual([]);
});
