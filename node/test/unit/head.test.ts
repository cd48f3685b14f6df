// Our client submits the bytes that the peer's client puts on the wire.

import * as net from 'node:net';
import { Readable } from 'node:stream';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as peer from 'undici';

import { control, flushed, turned } from '../support/addon';
import { Client } from '../../src/dispatchers/client';
import { peerMajor } from '../../src/undici/undici';
import { DispatchFlag, WireBody } from '../../src/wire/generated';

let server: net.Server;
let port: number;
let received: (bytes: string) => void = () => {};

/** A server that reads a complete request, responds, and reports the bytes. */
beforeAll(async () => {
  server = net.createServer((socket) => {
    let bytes = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1');
      const headEnd = bytes.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const head = bytes.slice(0, headEnd).toLowerCase();
      const body = bytes.slice(headEnd + 4);
      const length = /content-length: (\d+)/.exec(head);
      if (head.includes('transfer-encoding: chunked') && !body.endsWith('0\r\n\r\n')) return;
      if (length && body.length < Number(length[1])) return;
      received(bytes);
      socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as net.AddressInfo).port;
});

afterAll(() => {
  server.close();
});

afterEach(() => control.reset());

async function peerBytes(options: object, clientOptions: object): Promise<string> {
  const client = new peer.Client(`http://127.0.0.1:${port}`, clientOptions);
  const bytes = new Promise<string>((resolve) => {
    received = resolve;
  });
  const response = client.request(options as never).catch(() => {});
  const seen = await bytes;
  await response;
  await client.destroy();
  return seen;
}

async function ourHead(options: object, clientOptions: object) {
  const client = new Client(`http://127.0.0.1:${port}`, clientOptions);
  client.request(options as never).catch(() => {});
  await flushed();
  if (control.of('Dispatch').length === 0) await turned();
  return control.request;
}

type Make = () => object;
const same: [name: string, options: Make, clientOptions?: object][] = [
  ['a GET', () => ({ path: '/', method: 'GET' })],
  ['a query', () => ({ path: '/a', method: 'GET', query: { b: 'c d', e: [1, 2] } })],
  ['an absolute path', () => ({ path: 'http://example.com/x', method: 'GET' })],
  ['a path with latin1', () => ({ path: '/\u00e4', method: 'GET' })],
  ['an unusual method', () => ({ path: '/', method: 'PROPFIND' })],
  [
    'headers as an object',
    () => ({ path: '/', method: 'GET', headers: { 'X-Foo': 'bar', n: 1, b: true } }),
  ],
  [
    'headers as a flat array',
    () => ({ path: '/', method: 'GET', headers: ['X-Foo', 'bar', 'x-foo', 'baz'] }),
  ],
  ['headers as pairs', () => ({ path: '/', method: 'GET', headers: new Map([['a', 'b']]) })],
  ['a list of values', () => ({ path: '/', method: 'GET', headers: { a: ['b', 'c', 1, null] } })],
  ['a null value', () => ({ path: '/', method: 'GET', headers: { a: null, b: undefined } })],
  ['latin1 in a value', () => ({ path: '/', method: 'GET', headers: { a: '\u00fc' } })],
  ['a host of its own', () => ({ path: '/', method: 'GET', headers: { host: 'example.com' } })],
  ['connection: close', () => ({ path: '/', method: 'GET', headers: { connection: 'close' } })],
  [
    'connection: keep-alive',
    () => ({ path: '/', method: 'GET', headers: { connection: 'keep-alive' } }),
  ],
  ['reset', () => ({ path: '/', method: 'GET', reset: true })],
  ['no pipelining', () => ({ path: '/', method: 'GET' }), { pipelining: 0 }],
  ['a POST without a body', () => ({ path: '/', method: 'POST' })],
  ['a POST with text', () => ({ path: '/', method: 'POST', body: 'h\u00e9llo' })],
  ['a POST with empty text', () => ({ path: '/', method: 'POST', body: '' })],
  ['a POST with bytes', () => ({ path: '/', method: 'POST', body: Buffer.from('abc') })],
  [
    'a POST with a typed array',
    () => ({ path: '/', method: 'POST', body: new Uint16Array([1, 2]) }),
  ],
  [
    'a POST with a DataView',
    () => ({ path: '/', method: 'POST', body: new DataView(new ArrayBuffer(3), 1) }),
  ],
  ['a POST with an ArrayBuffer', () => ({ path: '/', method: 'POST', body: new ArrayBuffer(4) })],
  ['a GET with a body', () => ({ path: '/', method: 'GET', body: 'abc' })],
  ['a DELETE with a body', () => ({ path: '/', method: 'DELETE', body: 'abc' })],
  [
    'a given content-length',
    () => ({ path: '/', method: 'PUT', headers: { 'Content-Length': '3' }, body: 'abc' }),
  ],
  [
    'a typed Blob',
    () => ({ path: '/', method: 'POST', body: new Blob(['abc'], { type: 'text/plain' }) }),
  ],
  ['an empty Blob', () => ({ path: '/', method: 'POST', body: new Blob([]) })],
  [
    'a Blob with a content-type',
    () => ({
      path: '/',
      method: 'POST',
      headers: { 'content-type': 'a/b' },
      body: new Blob(['abc'], { type: 'text/plain' }),
    }),
  ],
  ['a stream', () => ({ path: '/', method: 'POST', body: Readable.from(['ab', 'c']) })],
  [
    'a stream of known length',
    () => ({
      path: '/',
      method: 'POST',
      headers: { 'content-length': '3' },
      body: Readable.from(['ab', 'c']),
    }),
  ],
  ['an empty stream', () => ({ path: '/', method: 'POST', body: Readable.from([]) })],
  ['an empty stream of a DELETE', () => ({ path: '/', method: 'DELETE', body: Readable.from([]) })],
  ['an iterable', () => ({ path: '/', method: 'POST', body: new Set(['ab', 'c']) })],
  [
    'an async generator',
    () => ({
      path: '/',
      method: 'POST',
      body: (async function* () {
        yield 'ab';
        yield Buffer.from('c');
      })(),
    }),
  ],
  [
    'an empty async generator',
    () => ({ path: '/', method: 'POST', body: (async function* () {})() }),
  ],
  ['a web stream', () => ({ path: '/', method: 'POST', body: new Blob(['abc']).stream() })],
];

describe('the head', () => {
  for (const [name, options, clientOptions = {}] of same) {
    it(`of ${name} is the peer's`, async () => {
      const bytes = await peerBytes(options(), clientOptions);
      const headEnd = bytes.indexOf('\r\n\r\n') + 4;
      const { head, body, aux } = await ourHead(options(), clientOptions);
      expect(head).toBe(bytes.slice(0, headEnd));
      if (aux === WireBody.Full) expect(body.toString('latin1')).toBe(bytes.slice(headEnd));
      else expect(body.length).toBe(0);
    });
  }

  // undici 7 counts one request too many; we count as undici 8 does.
  it.runIf(peerMajor >= 8)("of one request for each connection is the peer's", async () => {
    const options = { path: '/', method: 'GET' };
    const clientOptions = { maxRequestsPerClient: 1 };
    const { head, flags } = await ourHead(options, clientOptions);
    expect(head).toBe(await peerBytes(options, clientOptions));
    expect(flags & DispatchFlag.Reset).toBe(DispatchFlag.Reset);
  });

  it('of HEAD ends the connection, as undici does, unless reset is false', async () => {
    const { head, flags } = await ourHead({ path: '/', method: 'HEAD' }, {});
    expect(head).toContain('connection: keep-alive\r\n');
    expect(flags & DispatchFlag.Head).toBe(DispatchFlag.Head);
    expect(flags & DispatchFlag.Reset).toBe(DispatchFlag.Reset);
    const kept = await ourHead({ path: '/', method: 'HEAD', reset: false }, {});
    expect(kept.flags & DispatchFlag.Reset).toBe(0);
  });

  it('of an upgrade names the protocol', async () => {
    const client = new Client(`http://127.0.0.1:${port}`);
    client.upgrade({ path: '/', protocol: 'Websocket' }).catch(() => {});
    await flushed();
    expect(control.request.head).toBe(
      `GET / HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: upgrade\r\nupgrade: Websocket\r\n\r\n`,
    );
    expect(control.request.flags & DispatchFlag.Upgrade).toBe(DispatchFlag.Upgrade);
  });

  it('of CONNECT closes the connection, as undici does', async () => {
    const client = new Client(`http://127.0.0.1:${port}`);
    client.connect({ path: 'example.com:443' }).catch(() => {});
    await flushed();
    expect(control.request.head).toBe(
      `CONNECT example.com:443 HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n\r\n`,
    );
    expect(control.request.flags & DispatchFlag.Connect).toBe(DispatchFlag.Connect);
  });

  it('asks for 100 Continue where expectContinue is set and there is a body', async () => {
    const { head, flags } = await ourHead(
      { path: '/', method: 'POST', body: 'x', expectContinue: true },
      {},
    );
    expect(head).toContain('\r\nexpect: 100-continue\r\n\r\n');
    expect(flags & DispatchFlag.ExpectContinue).toBe(DispatchFlag.ExpectContinue);
    const without = await ourHead({ path: '/', method: 'GET', expectContinue: true }, {});
    expect(without.head).not.toContain('expect');
  });

  it('has a form’s length and the boundary in its content-type', async () => {
    const body = new peer.FormData();
    body.set('a', 'b\nc');
    body.set('f"\n', new File(['xyz'], 'n"ame.txt', { type: 'text/plain' }));
    const make = () => ({ path: '/', method: 'POST', body });
    const bytes = await peerBytes(make(), {});
    const { head, aux, bodyLength } = await ourHead(make(), {});
    const plain = (text: string) => text.replace(/boundary=\S+/, 'boundary=X');
    expect(plain(head)).toBe(plain(bytes.slice(0, bytes.indexOf('\r\n\r\n') + 4)));
    expect(aux).toBe(WireBody.Sized);
    expect(bodyLength).toBe(bytes.length - bytes.indexOf('\r\n\r\n') - 4);
  });

  it('marks requests that may be repeated, block, or end their connection', async () => {
    const flagsOf = async (options: object) => (await ourHead({ path: '/', ...options }, {})).flags;
    const { Idempotent, Blocking, Reset, Head } = DispatchFlag;
    expect(await flagsOf({ method: 'GET' })).toBe(Idempotent | Blocking);
    expect(await flagsOf({ method: 'GET', blocking: false })).toBe(Idempotent);
    expect(await flagsOf({ method: 'POST' })).toBe(Blocking);
    expect(await flagsOf({ method: 'POST', idempotent: true })).toBe(Idempotent | Blocking);
    expect(await flagsOf({ method: 'HEAD' })).toBe(Idempotent | Head | Reset);
    expect(await flagsOf({ method: 'GET', reset: true })).toBe(Idempotent | Blocking | Reset);
    expect(await flagsOf({ method: 'GET', body: 'x' })).toBe(Idempotent | Blocking | Reset);
    expect(await flagsOf({ method: 'GET', body: 'x', reset: false })).toBe(Idempotent | Blocking);
  });

  it('has the timeouts of the request, and none where the pool’s apply', async () => {
    const given = await ourHead(
      { path: '/', method: 'GET', headersTimeout: 0, bodyTimeout: 12.5 },
      {},
    );
    expect([given.headersTimeout, given.bodyTimeout]).toEqual([0, 13]);
    const none = await ourHead({ path: '/', method: 'GET' }, {});
    expect([none.headersTimeout, none.bodyTimeout]).toEqual([0xffffffff, 0xffffffff]);
  });
});
