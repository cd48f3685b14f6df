// WebSocket over our dispatchers, against the `ws` server: the peer's class in this process, Node's
// own in one of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RawData, WebSocketServer } from 'ws';

import { Agent, Client, WebSocket } from '../../src/index';

const dodici = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
const MIB = 1024 * 1024;

let server: WebSocketServer;
let url: string;

beforeAll(async () => {
  server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    maxPayload: 64 * MIB,
    perMessageDeflate: { threshold: 1024 },
    handleProtocols: (offered) => (offered.has('echo') ? 'echo' : false),
  });
  server.on('connection', (socket, request) => {
    socket.on('error', () => {});
    if (request.url === '/fragments') {
      for (let i = 0; i < 100; i++) socket.send('x', { fin: i === 99 });
    }
    if (request.url === '/ping') socket.on('pong', (data) => socket.send(`pong ${String(data)}`));
    if (request.url === '/ping') socket.ping('hello');
    if (request.url === '/terminate') socket.terminate();
    socket.on('message', (data: RawData, binary) => socket.send(data, { binary }));
  });
  await once(server, 'listening');
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  for (const socket of server.clients) socket.terminate();
  await new Promise((resolve) => server.close(resolve));
});

interface Closed {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

const next = async (socket: WebSocket): Promise<unknown> => {
  const [event] = (await once(socket as unknown as EventTarget, 'message')) as [MessageEvent];
  return event.data;
};

describe.each([
  ['Agent', () => new Agent()],
  ['Client', () => new Client(url.replace('ws:', 'http:'))],
])('the peer’s WebSocket over %s', (_name, make) => {
  it('echoes text and bytes of every size, with and without compression', async () => {
    const dispatcher = make();
    const socket = new WebSocket(url, { protocols: ['other', 'echo'], dispatcher });
    socket.binaryType = 'arraybuffer';
    await once(socket as unknown as EventTarget, 'open');
    expect(socket.protocol).toBe('echo');
    expect(socket.extensions).toContain('permessage-deflate');
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 3 * MIB]) {
      socket.send('ü'.repeat(size));
      expect(await next(socket)).toBe('ü'.repeat(size));
      const bytes = Buffer.alloc(size, 'dodici');
      socket.send(bytes);
      expect(bytes.equals(Buffer.from((await next(socket)) as ArrayBuffer))).toBe(true);
    }
    socket.close(4001, 'enough');
    const [closed] = (await once(socket as unknown as EventTarget, 'close')) as [Closed];
    expect([closed.code, closed.reason, closed.wasClean]).toEqual([4001, 'enough', true]);
    await dispatcher.close();
  });

  it('joins fragments and answers pings', async () => {
    const dispatcher = make();
    const joined = new WebSocket(`${url}/fragments`, { dispatcher });
    expect(await next(joined)).toBe('x'.repeat(100));
    joined.close();
    await once(joined as unknown as EventTarget, 'close');
    const pinged = new WebSocket(`${url}/ping`, { dispatcher });
    expect(await next(pinged)).toBe('pong hello');
    pinged.close();
    await once(pinged as unknown as EventTarget, 'close');
    await dispatcher.close();
  });

  it('tells of a connection that is cut, and of a server that is no WebSocket', async () => {
    const dispatcher = make();
    const cut = new WebSocket(`${url}/terminate`, { dispatcher });
    const [closed] = (await once(cut as unknown as EventTarget, 'close')) as [Closed];
    expect([closed.code, closed.wasClean]).toEqual([1006, false]);
    await dispatcher.destroy();
  });
});

describe('Node’s own WebSocket', () => {
  // Behind a flag in Node 20, and not among the globals' types of that line.
  const flags = process.versions.node.startsWith('20.') ? ['--experimental-websocket'] : [];

  it.each([
    ['through install()', 'dodici.install(agent);', 'new WebSocket(url)'],
    ['through { dispatcher }', '', 'new WebSocket(url, { dispatcher: agent })'],
    [
      'through install() with interceptors',
      'dodici.install(agent.compose(dodici.interceptors.retry()));',
      'new WebSocket(url)',
    ],
  ])('echoes over our Agent %s, and lets the process end', async (_how, prepare, make) => {
    const script = `
      const dodici = require(${JSON.stringify(dodici)});
      const url = ${JSON.stringify(url)};
      const agent = new dodici.Agent();
      let connects = 0;
      agent.on('connect', () => connects++);
      ${prepare}
      const socket = ${make};
      socket.onopen = () => socket.send('x'.repeat(100_000));
      socket.onmessage = ({ data }) => { console.log(data.length); socket.close(1000); };
      socket.onclose = ({ code, wasClean }) => console.log(code, wasClean, connects);
      socket.onerror = ({ error }) => console.log(error);`;
    const child = spawn(process.execPath, [...flags, '-e', script]);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    const said = out.split('\n').filter((line) => !/^\(node:|^\(Use/.test(line));
    expect([code, ...said]).toEqual([0, '100000', '1000 true 1', '']);
  });
});
