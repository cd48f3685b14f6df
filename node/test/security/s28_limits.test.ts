// S28 to S31: responses that are too large, too slow, or have hostile names.

import { afterEach, describe, expect, it } from 'vitest';

import { Client, errors, fetch } from '../../src/index';
import { Recorder } from '../support/recorder';
import { answer, rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function serve(onSocket: Parameters<typeof rawOrigin>[0], options: object = {}) {
  const origin = await rawOrigin(onSocket);
  cleanup.add(() => origin.close());
  const client = new Client(origin.url, options);
  cleanup.add(() => client.destroy());
  return client;
}

const text = (client: Client) =>
  client.request({ path: '/', method: 'GET' }).then(({ body }) => body.text());

const HEAD = 'HTTP/1.1 200 OK\r\n';
const EMPTY = 'content-length: 0\r\n\r\n';
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`;
const KB = 1024;

describe('s28 a head', () => {
  const tooLarge: Record<string, string> = {
    'of 17 KB in one field': `${HEAD}x: ${'v'.repeat(17 * KB)}\r\n${EMPTY}`,
    'of 17 KB in many fields': `${HEAD}${'x: v\r\n'.repeat(17 * 171)}${EMPTY}`,
    'with a name of 17 KB': `${HEAD}${'n'.repeat(17 * KB)}: v\r\n${EMPTY}`,
    'with a reason of 20 KB': `HTTP/1.1 200 ${'r'.repeat(20 * KB)}\r\n${EMPTY}`,
    'of 1 MB without a line end': `${HEAD}x: ${'v'.repeat(KB * KB)}`,
    'of 1 MB in its first line': `HTTP/1.1 200 ${'r'.repeat(KB * KB)}`,
    'of 17 KB in an informational response': `HTTP/1.1 103 Early\r\nx: ${'v'.repeat(17 * KB)}\r\n\r\n`,
  };

  for (const [name, bytes] of Object.entries(tooLarge)) {
    it(`${name} is an overflow, and the connection closes`, async () => {
      let closed = 0;
      const client = await serve((socket) => {
        socket.on('close', () => closed++);
        socket.once('data', () => socket.write(bytes));
      });
      const disconnected = new Promise((resolve) => client.once('disconnect', resolve));
      await expect(text(client)).rejects.toBeInstanceOf(errors.HeadersOverflowError);
      await disconnected;
      while (closed === 0) await new Promise((resolve) => setImmediate(resolve));
    });
  }

  it('of 15 KB is accepted', async () => {
    const client = await serve(answer(`${HEAD}x: ${'v'.repeat(15 * KB)}\r\n${EMPTY}`));
    const { headers } = await client.request({ path: '/', method: 'GET' });
    expect(headers['x']).toHaveLength(15 * KB);
  });

  it('may be as large as maxHeaderSize says', async () => {
    const bytes = `${HEAD}x: ${'v'.repeat(30 * KB)}\r\n${EMPTY}`;
    const client = await serve(answer(bytes), { maxHeaderSize: 32 * KB });
    const { headers } = await client.request({ path: '/', method: 'GET' });
    expect(headers['x']).toHaveLength(30 * KB);
  });
});

describe('s29 in a chunked body', () => {
  it('extensions of more than 16 KB of one chunk are an error', async () => {
    const bytes = `${CHUNKED}1;${'e'.repeat(17 * KB)}\r\nx\r\n0\r\n\r\n`;
    await expect(text(await serve(answer(bytes)))).rejects.toMatchObject({
      code: expect.stringMatching(/^(HPE_|UND_ERR_)/),
    });
  });

  it('extensions of a long body are ignored', async () => {
    const chunks = `1;${'e'.repeat(500)}\r\nx\r\n`.repeat(100);
    expect(await text(await serve(answer(`${CHUNKED}${chunks}0\r\n\r\n`)))).toBe('x'.repeat(100));
  });

  it('extensions of a few KB are ignored', async () => {
    const client = await serve(
      answer(`${CHUNKED}1;a=b;c="d"\r\nx\r\n0;${'e'.repeat(4000)}\r\n\r\n`),
    );
    expect(await text(client)).toBe('x');
  });

  const refused: Record<string, string> = {
    'more than 16 KB of trailers': `x: ${'v'.repeat(17 * KB)}\r\n`,
    'more than 1,000 trailers': 'x: v\r\n'.repeat(1001),
    'a trailer that sets the length': 'content-length: 5\r\n',
    'a trailer that sets the framing': 'transfer-encoding: chunked\r\n',
    'a trailer that names the host': 'host: evil\r\n',
    'a trailer with a bare LF': 'x: v\n',
    'a trailer without a colon': 'x\r\n',
  };

  for (const [name, trailers] of Object.entries(refused)) {
    it(`${name} is an error`, async () => {
      const client = await serve(answer(`${CHUNKED}1\r\nx\r\n0\r\n${trailers}\r\n`));
      await expect(text(client)).rejects.toMatchObject({
        code: expect.stringMatching(/^(HPE_|UND_ERR_)/),
      });
    });
  }

  it('trailers are kept apart from headers, whatever their names', async () => {
    const client = await serve(answer(`${CHUNKED}0\r\nx-sum: 1\r\nset-cookie: a=b\r\n\r\n`));
    const { headers, body, trailers } = await client.request({ path: '/', method: 'GET' });
    await body.text();
    expect(headers).toEqual({ 'transfer-encoding': 'chunked' });
    expect(trailers).toEqual({ 'x-sum': '1', 'set-cookie': 'a=b' });
  });
});

describe('s30 a server that is slow on purpose', () => {
  /** Writes one byte every few milliseconds while the client is connected. */
  const dribble = (first: string, endless: string, step: number) =>
    serve.bind(null, (socket) => {
      socket.setNoDelay(true);
      socket.once('data', () => {
        socket.write(first);
        const timer = setInterval(() => socket.write(endless), step);
        socket.on('close', () => clearInterval(timer));
      });
    });

  it('cannot hold a head open: headersTimeout counts from the request, not from the last byte', async () => {
    const client = await dribble(`${HEAD}x: `, 'v', 5)({ headersTimeout: 200 });
    await expect(text(client)).rejects.toBeInstanceOf(errors.HeadersTimeoutError);
  });

  it('cannot hold a head open with informational responses', async () => {
    const informational = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    const client = await dribble(informational, informational, 5)({ headersTimeout: 200 });
    await expect(text(client)).rejects.toMatchObject({ name: 'HeadersTimeoutError' });
  });

  it('may trickle a body: bodyTimeout counts from the last byte, as in undici', async () => {
    const client = await serve(
      (socket) => {
        let left = 60;
        socket.once('data', () => {
          socket.write(`${HEAD}content-length: 60\r\n\r\n`);
          const timer = setInterval(() => {
            socket.write('x');
            if (--left === 0) clearInterval(timer);
          }, 25);
          socket.on('close', () => clearInterval(timer));
        });
      },
      { bodyTimeout: 1200 },
    );
    expect(await text(client)).toHaveLength(60);
  });

  it('cannot outlast a signal, the deadline for the whole request', async () => {
    const client = await dribble(`${HEAD}content-length: 99999999\r\n\r\n`, 'x', 5)({});
    const reason = new Error('long enough');
    const deadline = new AbortController();
    const { body } = await client.request({ path: '/', method: 'GET', signal: deadline.signal });
    let received = 0;
    const reading = (async () => {
      for await (const chunk of body) {
        received += (chunk as Buffer).length;
        if (received > 10) deadline.abort(reason);
      }
    })();
    await expect(reading).rejects.toBe(reason);
  });

  it('that sends chunk lines without data cannot outlast bodyTimeout', async () => {
    const client = await serve(
      (socket) => socket.once('data', () => socket.write(`${CHUNKED}5\r\n`)),
      { bodyTimeout: 100 },
    );
    await expect(text(client)).rejects.toBeInstanceOf(errors.BodyTimeoutError);
  });
});

describe('s31 a header field', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'valueOf'];

  it('named like a property of Object.prototype is plain data, also twice and in trailers', async () => {
    const fields = names.map((name) => `${name}: 1\r\n${name.toUpperCase()}: 2\r\n`).join('');
    const client = await serve(
      answer(`${HEAD}transfer-encoding: chunked\r\n${fields}\r\n0\r\n${fields}\r\n`),
    );
    const recorder = new Recorder();
    await new Promise<void>((resolve) => {
      recorder.during = (name) => {
        if (name === 'end' || name === 'error') resolve();
      };
      client.dispatch({ path: '/', method: 'GET' }, recorder);
    });
    const headers = recorder.last('head')[2] as object;
    const trailers = recorder.last('end')[1] as object;
    for (const seen of [headers, trailers]) {
      expect(Object.getPrototypeOf(seen)).toBe(Object.prototype);
      for (const name of names) {
        const own = Object.getOwnPropertyDescriptor(seen, name.toLowerCase());
        expect(own).toMatchObject({ value: ['1', '2'], enumerable: true });
      }
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.getOwnPropertyNames(Object.prototype)).toContain('toString');
    expect({}.toString()).toBe('[object Object]');
  });

  it('with bytes that are not UTF-8 is latin1', async () => {
    const bytes = Buffer.from(Array.from({ length: 128 }, (_, i) => 0x80 + i));
    const head = Buffer.concat([Buffer.from(`${HEAD}x: a`), bytes, Buffer.from(`\r\n${EMPTY}`)]);
    const client = await serve(answer(head));
    const { headers } = await client.request({ path: '/', method: 'GET' });
    expect(headers['x']).toBe(`a${bytes.toString('latin1')}`);
  });

  it('with such names and bytes is plain data in fetch too', async () => {
    const origin = await rawOrigin(
      answer(Buffer.from(`${HEAD}__proto__: 1\r\nconstructor: \xe9\r\n${EMPTY}`, 'latin1')),
    );
    cleanup.add(() => origin.close());
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    const { headers } = await fetch(origin.url, { dispatcher: client });
    expect(headers.get('__proto__')).toBe('1');
    expect(headers.get('constructor')).toBe('\xe9');
  });
});
