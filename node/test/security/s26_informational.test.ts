// S26 and S27: informational responses and unsolicited switches of protocol.

import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, fetch, Pool } from '../../src/index';
import { attempt, Cleanup, wireOrigin } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const HINT = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';

const kinds = {
  Client: (url: string) => new Client(url),
  Pool: (url: string) => new Pool(url),
  Agent: () => new Agent(),
};

/** An origin that responds to `/plain` correctly and to everything else with `respond`. */
async function serve(respond: (socket: Socket, request: string) => void) {
  const origin = await wireOrigin((socket, request) => {
    if (request.startsWith('GET /plain ')) socket.write(OK);
    else respond(socket, request);
  });
  cleanup.add(() => origin.close());
  return origin;
}

describe.each(Object.entries(kinds))('s26 over our %s', (_kind, make) => {
  it.each([
    ['100,000 of them', HINT.repeat(100_000)],
    ['one more than 64', HINT.repeat(65) + OK],
    [
      'more than 64 KB of them',
      `HTTP/1.1 103 E\r\nx: ${'x'.repeat(15_000)}\r\n\r\n`.repeat(5) + OK,
    ],
    ['102 and 100 in turns', 'HTTP/1.1 102 P\r\n\r\nHTTP/1.1 100 C\r\n\r\n'.repeat(50_000)],
  ])('%s fail the request, and the next one goes well', async (_name, bytes) => {
    const origin = await serve((socket) => socket.write(bytes));
    const dispatcher = make(origin.url);
    cleanup.add(() => dispatcher.destroy());
    expect(await attempt(dispatcher, { origin: origin.url, path: '/flood' })).toMatchObject({
      code: expect.stringMatching(/^(HPE_STRICT|UND_ERR_SOCKET)$/) as string,
    });
    expect(await attempt(dispatcher, { origin: origin.url, path: '/plain' })).toEqual({
      status: 200,
    });
    expect(origin.connections).toBe(2);
  });

  it('64 of them are harmless', async () => {
    const origin = await serve((socket) => socket.write(HINT.repeat(64) + OK));
    const dispatcher = make(origin.url);
    cleanup.add(() => dispatcher.destroy());
    for (let i = 0; i < 3; i++) {
      expect(await attempt(dispatcher, { origin: origin.url, path: '/some' })).toEqual({
        status: 200,
      });
    }
    expect(origin.connections).toBe(1);
  });
});

it('s26 a fetch fails too', async () => {
  const origin = await serve((socket) => socket.write(HINT.repeat(1000)));
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  await expect(fetch(`${origin.url}/flood`, { dispatcher: agent })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('Too many informational responses') as string },
  });
});

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';

describe.each(Object.entries(kinds))('s27 over our %s', (_kind, make) => {
  const unasked: [string, object, string][] = [
    ['a GET', { method: 'GET' }, SWITCH],
    ['a GET, with bytes behind it', { method: 'GET' }, `${SWITCH}HTTP/1.1 200 OK\r\n\r\n`],
    ['a GET, without Upgrade', { method: 'GET' }, 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['a HEAD', { method: 'HEAD' }, SWITCH],
    ['a POST', { method: 'POST', body: 'body' }, SWITCH],
    ['a POST whose body is still read', { method: 'POST', body: 'x'.repeat(500_000) }, SWITCH],
    ['an upgrade, without Upgrade', { upgrade: 'x' }, 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['a CONNECT', { method: 'CONNECT', path: 'localhost:1' }, SWITCH],
  ];

  it.each(unasked)(
    '101 in answer to %s is an error of the server',
    async (_name, options, answer) => {
      const origin = await serve((socket) => socket.write(answer));
      const dispatcher = make(origin.url);
      cleanup.add(() => dispatcher.destroy());
      const outcome = await attempt(dispatcher, { origin: origin.url, path: '/101', ...options });
      expect(outcome).toMatchObject({ code: expect.stringMatching(/^UND_ERR_|^HPE_/) as string });
      expect((outcome as { name: string }).name).not.toMatch(/Assertion/);
      expect(await attempt(dispatcher, { origin: origin.url, path: '/plain' })).toEqual({
        status: 200,
      });
    },
  );

  it('101 in response to an upgrade is one', async () => {
    const origin = await serve((socket) => socket.write(SWITCH));
    const dispatcher = make(origin.url);
    cleanup.add(() => dispatcher.destroy());
    expect(await attempt(dispatcher, { origin: origin.url, path: '/up', upgrade: 'x' })).toEqual({
      status: 101,
    });
  });
});

it('s27 a fetch that gets a 101 response fails', async () => {
  const origin = await serve((socket) => socket.write(SWITCH));
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  await expect(fetch(`${origin.url}/up`, { dispatcher: agent })).rejects.toThrow('fetch failed');
});
