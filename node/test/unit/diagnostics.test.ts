import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { control, flushed, turned } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/dispatchers/client';

const names = [
  'undici:client:beforeConnect',
  'undici:client:connected',
  'undici:client:connectError',
  'undici:client:sendHeaders',
  'undici:request:create',
  'undici:request:bodySent',
  'undici:request:bodyChunkSent',
  'undici:request:bodyChunkReceived',
  'undici:request:headers',
  'undici:request:trailers',
  'undici:request:error',
];

let messages: [string, any][];
let onMessage: (name: string, message: any) => void;
const listener = (message: unknown, name: string | symbol) => {
  messages.push([String(name), message]);
  onMessage(String(name), message);
};

beforeEach(() => {
  control.reset();
  messages = [];
  onMessage = () => {};
  for (const name of names) subscribe(name, listener);
});

afterEach(() => {
  for (const name of names) unsubscribe(name, listener);
});

const message = (name: string) => messages.find(([seen]) => seen === `undici:${name}`)![1];

it('publishes the events of a request in undici’s order, with one request object', async () => {
  const client = new Client('http://localhost:8080');
  onMessage = (name, { request }) => {
    if (name === 'undici:request:create') request.addHeader('hello', 'world');
  };
  client.dispatch(
    { path: '/', method: 'POST', headers: { bar: 'baz' }, body: 'abc' },
    new Recorder(),
  );
  await flushed();
  expect(messages.map(([name]) => name)).toEqual([
    'undici:request:create',
    'undici:client:beforeConnect',
  ]);
  const { request: sent } = control;
  expect(sent.head).toContain('bar: baz\r\nhello: world\r\n');
  control.deliver(
    control.connected(sent.pool, 1, [
      ['Protocol', 'h1'],
      ['RemotePort', 8080],
    ]),
    control.assigned(sent, 1),
    control.head(sent, 200, [['A', 'b']]),
    control.data(sent, 'x'),
    control.end(sent, [['T', '1']]),
  );
  await turned();
  expect(messages.slice(2).map(([name]) => name)).toEqual([
    'undici:client:connected',
    'undici:client:sendHeaders',
    'undici:request:bodyChunkSent',
    'undici:request:bodySent',
    'undici:request:headers',
    'undici:request:bodyChunkReceived',
    'undici:request:trailers',
  ]);
  const { request } = message('request:create');
  expect(request).toMatchObject({
    origin: 'http://localhost:8080',
    path: '/',
    method: 'POST',
    completed: true,
    aborted: false,
  });
  expect(request.headers).toEqual(['bar', 'baz', 'hello', 'world']);
  for (const [name, { request: other }] of messages) {
    if (name.startsWith('undici:request:')) expect(other).toBe(request);
  }
  expect(message('client:sendHeaders').headers).toBe(
    'POST / HTTP/1.1\r\nhost: localhost:8080\r\nconnection: keep-alive\r\nbar: baz\r\nhello: world\r\n',
  );
  expect(message('client:sendHeaders').socket).toBe(message('client:connected').socket);
  expect(message('client:sendHeaders').socket.remotePort).toBe(8080);
  expect(message('client:connected').connector).toBe(message('client:beforeConnect').connector);
  expect(message('client:beforeConnect').connectParams).toEqual({
    host: 'localhost:8080',
    hostname: 'localhost',
    protocol: 'http:',
    port: '8080',
    version: undefined,
    servername: null,
    localAddress: null,
  });
  const { response } = message('request:headers');
  expect([response.statusCode, response.statusText, response.headers.map(String)]).toEqual([
    200,
    'OK',
    ['A', 'b'],
  ]);
  expect(message('request:trailers').trailers.map(String)).toEqual(['T', '1']);
});

it('publishes a failed connect before the failure of its request', async () => {
  const client = new Client('http://localhost:8080');
  const recorder = new Recorder();
  client.dispatch({ path: '/', method: 'GET' }, recorder);
  await flushed();
  const refused = [
    ['Code', 9],
    ['Phase', 'connect'],
    ['SystemCode', 'ECONNREFUSED'],
  ] as [string, unknown][];
  const { pool } = control.request;
  control.deliver(control.error(control.request, refused), control.connectFailed(pool, refused));
  expect(messages.map(([name]) => name)).toEqual([
    'undici:request:create',
    'undici:client:beforeConnect',
    'undici:client:connectError',
    'undici:request:error',
  ]);
  expect(message('client:connectError').error).toBe(message('request:error').error);
});

it('publishes an attempt that was given up, and announces the next one', async () => {
  const client = new Client('http://localhost:8080');
  const events: string[] = [];
  client.on('connectionError', () => events.push('connectionError'));
  const recorder = new Recorder();
  client.dispatch({ path: '/', method: 'GET' }, recorder);
  await flushed();
  recorder.controller.abort(new Error('stop'));
  await flushed();
  control.deliver(control.end(control.request), control.connectGivenUp(control.request.pool));
  client.dispatch({ path: '/', method: 'GET' }, new Recorder());
  expect(messages.map(([name]) => name)).toEqual([
    'undici:request:create',
    'undici:client:beforeConnect',
    'undici:request:error',
    'undici:client:connectError',
    'undici:request:create',
    'undici:client:beforeConnect',
  ]);
  expect(message('client:connectError').error.message).toBe('no request waits for this connection');
  expect(events).toEqual([]);
});

it('publishes failures', async () => {
  const client = new Client('http://localhost:8080');
  const recorder = new Recorder();
  client.dispatch({ path: '/', method: 'GET' }, recorder);
  await flushed();
  control.deliver(
    control.connectFailed(control.request.pool, [
      ['Code', 9],
      ['Message', 'x'],
      ['SystemCode', 'ECONNREFUSED'],
    ]),
    control.error(control.request, [
      ['Code', 9],
      ['Message', 'x'],
      ['SystemCode', 'ECONNREFUSED'],
    ]),
  );
  expect(message('client:connectError').error.code).toBe('ECONNREFUSED');
  expect(message('request:error').error).toBe(recorder.last('error')[1]);
  expect(message('request:error').request.aborted).toBe(true);
});
