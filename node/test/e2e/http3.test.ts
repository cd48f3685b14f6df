// HTTP/3 through the whole package: with prior knowledge, and where an origin offers it.

import { once } from 'node:events';
import { Readable } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, type ConnectInfo, type DisconnectInfo, fetch, Pool } from '../../src/index';
import { built, inChild } from '../support/child';
import { hasHttp3Server, type Http3Origin, http3Origin } from '../support/http3';
import { ca, http2Origin, httpsOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function keep<T extends { destroy(): Promise<void> }>(dispatcher: T): T {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

async function serve(): Promise<Http3Origin> {
  const origin = await http3Origin();
  cleanup.add(() => origin.close());
  return origin;
}

const SIZE = 13;
const get = { path: '/', method: 'GET' } as const;

async function length(dispatcher: Pool | Client | Agent, request: object): Promise<number> {
  const { body } = await dispatcher.request(request as typeof get & { origin: string });
  return (await body.bytes()).length;
}

describe.skipIf(!hasHttp3Server)("h3: 'prior-knowledge'", () => {
  const classes = {
    Client: (url: string, options: object) => new Client(url, options),
    Pool: (url: string, options: object) => new Pool(url, options),
    Agent: (_url: string, options: object) => new Agent(options),
  };
  it.each(Object.entries(classes))('uses nothing else in a %s', async (_name, make) => {
    const { url, options, account } = await serve();
    const dispatcher = keep(make(url, { ...options, h3: 'prior-knowledge' }));
    const connected = once(dispatcher, 'connect') as Promise<[URL, unknown, ConnectInfo]>;
    for (let n = 0; n < 3; n += 1) {
      expect(await length(dispatcher, { ...get, origin: url })).toBe(SIZE);
    }
    const [, , info] = await connected;
    expect(info.protocol).toBe('h3');
    expect(await account()).toEqual({ requests: 3, connections: 1, received: 0 });
    expect(await dispatcher.connections()).toMatchObject([{ protocol: 'h3' }]);
  });

  it('is for single origins and requests of an Agent, too', async () => {
    const { url, options, account } = await serve();
    const origins = { [url]: { h3: 'prior-knowledge' } };
    const byOrigin = keep(new Agent({ ...options, origins } as Agent.Options));
    expect(await length(byOrigin, { ...get, origin: url })).toBe(SIZE);
    const agent = keep(new Agent(options));
    const request = { ...get, origin: url, h3: 'prior-knowledge' };
    expect(await length(agent, request)).toBe(SIZE);
    expect(await account()).toEqual({ requests: 2, connections: 2, received: 0 });
    // Nobody listens there with TCP.
    await expect(agent.request({ ...get, origin: url })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('sends bodies of any kind, all of them', async () => {
    const { url, options, account } = await serve();
    const pool = keep(new Pool(url, { ...options, h3: 'prior-knowledge' }));
    const part = Buffer.alloc(64 * 1024, 'x');
    const bodies = [Buffer.alloc(300_000), 'text', Readable.from(Array(32).fill(part))];
    const sent = bodies.map((body) => length(pool, { path: '/', method: 'POST', body }));
    expect(await Promise.all(sent)).toEqual([SIZE, SIZE, SIZE]);
    expect((await account()).received).toBe(300_000 + 4 + 32 * part.length);
  });

  it('serves fetch', async () => {
    const { url, options } = await serve();
    const dispatcher = keep(new Agent({ ...options, h3: 'prior-knowledge' }));
    const response = await fetch(url, { dispatcher });
    expect(response.status).toBe(200);
    expect(await response.text()).toHaveLength(SIZE);
  });

  it('fails if nobody answers, as TCP does', async () => {
    const { url, options, port } = await serve();
    await cleanup.run();
    const client = keep(new Client(url, { ...options, h3: 'prior-knowledge' }));
    await expect(client.request(get)).rejects.toMatchObject({ code: 'ECONNREFUSED', port });
  });
});

describe('h3 and allowH3', () => {
  it.each([{ h3: true }, { h3: 'always' }, { allowH3: 1 }, { h3EarlyData: 'yes' }])(
    'are checked: %o',
    (options) => {
      for (const make of [
        () => new Client('https://localhost', options as object),
        () => new Agent(options as object),
      ])
        expect(make).toThrow(expect.objectContaining({ code: 'UND_ERR_INVALID_ARG' }));
    },
  );
});

describe.skipIf(!hasHttp3Server)('allowH3', () => {
  /** An origin of TCP that offers this one. */
  const offering: Record<string, (field: string) => Promise<Origin>> = {
    'HTTP/1.1': (field) =>
      httpsOrigin((_request, response) => {
        response.writeHead(200, { 'alt-svc': field }).end('over tcp');
      }),
    'HTTP/2': (field) =>
      http2Origin((stream) => {
        stream.respond({ ':status': 200, 'alt-svc': field });
        stream.end('over tcp');
      }),
  };
  it.each(Object.entries(offering))('moves on from %s', async (_name, offer) => {
    const { port, account } = await serve();
    const origin = await offer(`h3=":${port}"; ma=60`);
    cleanup.add(() => origin.close());
    const pool = keep(new Pool(origin.url, { ...origin.options, allowH3: true }));
    const ended = once(pool, 'disconnect') as Promise<[URL, unknown, Error, DisconnectInfo]>;
    const lengths = new Set<number>();
    // The trial runs beside the requests.
    while (!lengths.has(SIZE)) lengths.add(await length(pool, get));
    expect(lengths).toEqual(new Set(['over tcp'.length, SIZE]));
    const [, , , info] = await ended;
    expect(info.reason).toBe('superseded');
    expect(await pool.connections()).toMatchObject([{ protocol: 'h3' }]);
    expect((await account()).connections).toBe(1);
  });

  it('is known to the thread that heard of it, and to no other', async () => {
    const { port } = await serve();
    const origin = await offering['HTTP/1.1']!(`h3=":${port}"`);
    cleanup.add(() => origin.close());
    const lengths = await inChild(
      `const { Worker } = require('node:worker_threads');
      const ask = async (pool) => (await (await pool.request(values.request)).body.bytes()).length;
      const pool = new dodici.Pool(values.url, values.options);
      while ((await ask(pool)) !== values.size);
      const script =
        'const { parentPort, workerData: { built, url, options, request } } = require("node:worker_threads");' +
        'const pool = new (require(built).Pool)(url, options);' +
        'pool.request(request).then(({ body }) => body.bytes()).then((bytes) => parentPort.postMessage(bytes.length));';
      const worker = new Worker(script, { eval: true, workerData: values });
      const first = await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
      await worker.terminate();
      const again = await ask(pool);
      await pool.close();
      return [first, again];`,
      {
        values: {
          built,
          url: origin.url,
          options: { allowH3: true, connect: { ca: String(ca) } },
          request: get,
          size: SIZE,
        },
      },
    );
    expect(lengths).toEqual(['over tcp'.length, SIZE]);
  });

  it('is off by default', async () => {
    const { port, account } = await serve();
    const origin = await offering['HTTP/1.1']!(`h3=":${port}"`);
    cleanup.add(() => origin.close());
    const pool = keep(new Pool(origin.url, origin.options));
    for (let n = 0; n < 20; n += 1) expect(await length(pool, get)).not.toBe(SIZE);
    expect(await account()).toEqual({ requests: 0, connections: 0, received: 0 });
  });
});
