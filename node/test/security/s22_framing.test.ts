// S22 to S25: responses that are too long, too short or not responses, through the package.

import * as tls from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Client, type Pool } from '../../src/index';
import { Authority } from '../support/certificates';
import { rawOrigin } from '../support/servers';
import { Cleanup, wireOrigin } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Answer {
  readonly status?: number;
  readonly body: string;
  readonly trailers?: unknown;
  readonly error?: any;
}

/** What the handler of one request received. */
function exchange(dispatcher: Client | Pool, options: object = {}): Promise<Answer> {
  return new Promise((resolve) => {
    let status: number | undefined;
    let body = '';
    dispatcher.dispatch(
      { path: '/', method: 'GET', ...options },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, chunk) {
          body += chunk.toString('latin1');
        },
        onResponseEnd: (_controller, trailers) => resolve({ status: status!, body, trailers }),
        onResponseError: (_controller, error) =>
          resolve(status === undefined ? { body, error } : { status, body, error }),
      },
    );
  });
}

const MARKER = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nmarker';

/** Responds to `/poison` with these bytes, in these pieces, and to `/marker` with the marker. */
async function poisoned(pieces: readonly string[], then: (socket: Socket) => void = () => {}) {
  const origin = await wireOrigin((socket, request) => {
    if (!request.startsWith('GET /poison ')) {
      socket.write(MARKER);
      return;
    }
    socket.setNoDelay(true);
    const write = (i: number): void => {
      if (i === pieces.length) then(socket);
      else socket.write(Buffer.from(pieces[i]!, 'latin1'), () => setImmediate(write, i + 1));
    };
    write(0);
  });
  cleanup.add(() => origin.close());
  const client = new Client(origin.url, { headersTimeout: 2000, bodyTimeout: 2000 });
  cleanup.add(() => client.destroy());
  return { origin, client };
}

const HEAD = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`;

describe('s22 an ambiguous response is an error, and the next one is intact', () => {
  const poison: Record<string, string> = {
    'bare LF in the head': 'HTTP/1.1 200 OK\nX: y\n\n',
    'NUL in a value': `${HEAD}x: a\0b\r\ncontent-length: 0\r\n\r\n`,
    'folded line': `${HEAD}x: a\r\n b\r\ncontent-length: 0\r\n\r\n`,
    'space before the colon': `${HEAD}content-length : 0\r\n\r\n`,
    'two lengths': `${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nab`,
    'length twice': `${HEAD}content-length: 1\r\ncontent-length: 1\r\n\r\na`,
    'length in hexadecimal': `${HEAD}content-length: 0x1\r\n\r\na`,
    'length with a sign': `${HEAD}content-length: +1\r\n\r\na`,
    'length beside chunks': `${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    'chunked twice': `${HEAD}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    'chunk size in front of a space': `${CHUNKED}1 \r\na\r\n0\r\n\r\n`,
    'chunk size without digits': `${CHUNKED}\r\na\r\n0\r\n\r\n`,
    'chunk size beyond 2^64': `${CHUNKED}11111111111111111\r\na`,
    'chunk without its CRLF': `${CHUNKED}1\r\nabc0\r\n\r\n`,
    'chunk line ended by LF': `${CHUNKED}1\na\r\n0\r\n\r\n`,
    'length among the trailers': `${CHUNKED}0\r\ncontent-length: 5\r\n\r\n`,
    'another protocol': 'ICY 200 OK\r\ncontent-length: 0\r\n\r\n',
    'another version': 'HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n',
    'four digits of status': 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n',
    'status 099': 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n',
    'unsolicited switch of protocols': 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n',
  };

  for (const [name, bytes] of Object.entries(poison)) {
    for (const [how, pieces] of [
      ['in one piece', [bytes]],
      ['byte by byte', [...bytes]],
    ] as const) {
      it(`${name}, ${how}`, async () => {
        const { client, origin } = await poisoned(pieces);
        const [answer, marker] = await Promise.all([
          exchange(client, { path: '/poison' }),
          exchange(client, { path: '/marker' }),
        ]);
        expect(answer.error.code).toMatch(/^(HPE_|UND_ERR_)/);
        expect(answer.error.code).not.toMatch(/TIMEOUT/);
        expect(marker).toEqual({ status: 200, body: 'marker', trailers: {} });
        expect(origin.connections).toBe(2);
        expect(origin.requests).toHaveLength(2);
      });
    }
  }
});

describe('s23 an unsolicited second response', () => {
  const good = `${HEAD}content-length: 4\r\n\r\ngood`;
  const evil = `${HEAD}content-length: 4\r\n\r\nevil`;

  it('in the same segment is never the response to a request', async () => {
    const { client, origin } = await poisoned([good + evil]);
    expect(await exchange(client, { path: '/poison' })).toMatchObject({
      status: 200,
      body: 'good',
    });
    expect(await exchange(client, { path: '/marker' })).toMatchObject({ body: 'marker' });
    expect(origin.connections).toBe(2);
  });

  it('some time after the first ends the idle connection, and a POST is sent once', async () => {
    const { client, origin } = await poisoned([good], (socket) => {
      void answered.then(() => socket.write(evil));
    });
    let sayAnswered!: () => void;
    const answered = new Promise<void>((resolve) => (sayAnswered = resolve));
    const disconnected = new Promise<any>((resolve) => {
      client.on('disconnect', ((_url: unknown, _targets: unknown, error: unknown, info: unknown) =>
        resolve({ error, info })) as never);
    });
    expect(await exchange(client, { path: '/poison' })).toMatchObject({ body: 'good' });
    sayAnswered();
    const { info } = await disconnected;
    expect(info.reason).toBe('unsolicited data');
    const post = { path: '/post', method: 'POST', body: 'once' };
    expect(await exchange(client, post)).toMatchObject({ body: 'marker' });
    expect(origin.requests.filter((text) => text.startsWith('POST'))).toHaveLength(1);
    expect(origin.connections).toBe(2);
  });

  it('already in the socket when a POST follows is not its response', async () => {
    for (let i = 0; i < 50; i++) {
      let sayWritten!: () => void;
      const written = new Promise<void>((resolve) => (sayWritten = resolve));
      const { client, origin } = await poisoned([good], (socket) => {
        void answered.then(() => socket.write(evil, () => sayWritten()));
      });
      let sayAnswered!: () => void;
      const answered = new Promise<void>((resolve) => (sayAnswered = resolve));
      expect(await exchange(client, { path: '/poison' })).toMatchObject({ body: 'good' });
      sayAnswered();
      await written;
      const post = { path: '/post', method: 'POST', body: 'once' };
      expect(await exchange(client, post)).toMatchObject({ body: 'marker' });
      expect(origin.requests.filter((text) => text.startsWith('POST'))).toHaveLength(1);
      expect(origin.connections).toBe(2);
      await cleanup.run();
    }
  });
});

const complete: Record<string, { bytes: string; body: string; trailers?: object }> = {
  'of a given length': { bytes: `${HEAD}content-length: 5\r\n\r\nwhole`, body: 'whole' },
  'of chunks': { bytes: `${CHUNKED}5\r\nwhole\r\n0\r\n\r\n`, body: 'whole' },
  'of chunks with trailers': {
    bytes: `${CHUNKED}5\r\nwhole\r\n0\r\nx-sum: 1\r\n\r\n`,
    body: 'whole',
    trailers: { 'x-sum': '1' },
  },
  'of no length': { bytes: `${HEAD}\r\nwhole`, body: 'whole' },
  'of length zero': { bytes: `${HEAD}content-length: 0\r\n\r\n`, body: '' },
  'of 204': { bytes: 'HTTP/1.1 204 No Content\r\n\r\n', body: '' },
};

describe('s24 a FIN directly after a complete body', () => {
  for (const [name, { bytes, body, trailers = {} }] of Object.entries(complete)) {
    it(`${name} is success`, async () => {
      for (let i = 0; i < 20; i++) {
        const origin = await rawOrigin((socket) => socket.once('data', () => socket.end(bytes)));
        const client = new Client(origin.url);
        expect(await exchange(client)).toMatchObject({ body, trailers });
        await client.destroy();
        await origin.close();
      }
    });
  }
});

const truncated: Record<string, string> = {
  'body shorter than its length': `${HEAD}content-length: 10\r\n\r\nhalf`,
  'body of a length without a byte': `${HEAD}content-length: 10\r\n\r\n`,
  'chunk without its end': `${CHUNKED}a\r\nhalf`,
  'chunk without its CRLF': `${CHUNKED}4\r\nhalf`,
  'last chunk missing': `${CHUNKED}4\r\nhalf\r\n`,
  'last chunk without the empty line': `${CHUNKED}4\r\nhalf\r\n0\r\n`,
  'trailers without the empty line': `${CHUNKED}4\r\nhalf\r\n0\r\nx: y\r\n`,
  'chunk size cut': `${CHUNKED}4`,
};

describe('s25 a truncated response is an error, never a success:', () => {
  for (const [name, bytes] of Object.entries(truncated)) {
    it(`${name}, by FIN`, async () => {
      const origin = await rawOrigin((socket) => socket.once('data', () => socket.end(bytes)));
      cleanup.add(() => origin.close());
      const client = new Client(origin.url);
      cleanup.add(() => client.destroy());
      const answer = await exchange(client);
      expect(answer).toMatchObject({ status: 200, error: { code: 'UND_ERR_SOCKET' } });
      expect(answer).not.toHaveProperty('trailers');
    });

    it(`${name}, by FIN without close_notify`, async () => {
      const { client } = await secure((socket, raw) => {
        socket.write(bytes, () => raw.end());
      });
      expect(await exchange(client)).toMatchObject({
        status: 200,
        error: { code: expect.any(String) },
      });
    });
  }

  it('head cut in the middle', async () => {
    const origin = await rawOrigin((socket) => socket.once('data', () => socket.end(`${HEAD}x: `)));
    cleanup.add(() => origin.close());
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    const answer = await exchange(client);
    expect(answer).toEqual({
      body: '',
      error: expect.objectContaining({ code: 'UND_ERR_SOCKET' }),
    });
  });
});

const authority = new Authority();

/** A TLS server whose connections can be cut below TLS. */
async function secure(respond: (socket: tls.TLSSocket, raw: Socket) => void) {
  const identity = authority.issue();
  const server = tls.createServer(identity);
  const raws: Socket[] = [];
  server.on('connection', (raw: Socket) => raws.push(raw));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => respond(socket, raws.at(-1)!));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = new Client(`https://localhost:${port}`, { connect: { ca: authority.ca } });
  cleanup.add(async () => {
    await client.destroy();
    server.close();
    for (const raw of raws) raw.destroy();
  });
  return { client };
}

describe('s25 over TLS', () => {
  // By RFC 9112, section 9.8, the first one is incomplete; undici accepts it, because many servers
  // send no close_notify, and only a length could mark the end.
  it('a body without a length ends with the connection, cleanly or not, as in undici', async () => {
    const cut = await secure((socket, raw) => socket.write(`${HEAD}\r\nall`, () => raw.end()));
    expect(await exchange(cut.client)).toMatchObject({ status: 200, body: 'all', trailers: {} });
    const whole = await secure((socket) => socket.end(`${HEAD}\r\nall`));
    expect(await exchange(whole.client)).toMatchObject({ status: 200, body: 'all', trailers: {} });
  });

  for (const [name, { bytes, body }] of Object.entries(complete)) {
    if (name === 'of no length') continue;
    it(`a complete body ${name} needs no close_notify`, async () => {
      const { client } = await secure((socket, raw) => socket.write(bytes, () => raw.end()));
      expect(await exchange(client)).toMatchObject({ body, trailers: expect.anything() });
    });
  }
});
