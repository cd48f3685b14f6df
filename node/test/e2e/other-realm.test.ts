// Values of another realm, as created by test runners and sandboxes (node:vm, jsdom).

import { Blob as NodeBlob } from 'node:buffer';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import * as vm from 'node:vm';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client } from '../../src/index';
import { ca, httpOrigin, httpsOrigin, type Origin } from '../support/servers';

let origin: Origin;
let client: Client;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    void text(request).then((body) => response.end(body));
  });
  client = new Client(origin.url);
});

afterAll(async () => {
  await client.destroy();
  await origin.close();
});

/** Like jsdom's: its own classes, which `node:vm` does not have. */
class ForeignBlob {
  readonly type = '';
  constructor(private readonly content: string) {}
  get size(): number {
    return this.content.length;
  }
  get [Symbol.toStringTag](): string {
    return 'Blob';
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.resolve(run(`bytes(${JSON.stringify(this.content)}).buffer`) as ArrayBuffer);
  }
}

class ForeignEventTarget {
  listeners: (() => void)[] = [];
  aborted = false;
  reason = new Error('given up');
  addEventListener(_name: string, listener: () => void): void {
    this.listeners.push(listener);
  }
  removeEventListener(_name: string, listener: () => void): void {
    this.listeners = this.listeners.filter((other) => other !== listener);
  }
  abort(): void {
    this.aborted = true;
    for (const listener of this.listeners) listener();
  }
}

class ForeignUrl {
  constructor(readonly href: string) {}
  get [Symbol.toStringTag](): string {
    return 'URL';
  }
  get origin(): string {
    return new URL(this.href).origin;
  }
  toString(): string {
    return this.href;
  }
}

const context = vm.createContext({ Readable, ReadableStream, Blob: NodeBlob, ForeignBlob });

function run(code: string): unknown {
  return vm.runInContext(
    `(() => { const bytes = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0)); return ${code}; })()`,
    context,
  );
}

describe('a body of another realm is sent:', () => {
  const bodies: Record<string, string> = {
    'a Uint8Array': `bytes('hello')`,
    'a part of a larger one': `bytes('xxhelloxx').subarray(2, 7)`,
    'an ArrayBuffer': `bytes('hello').buffer`,
    'a DataView': `new DataView(bytes('xhellox').buffer, 1, 5)`,
    'an array of other numbers': `new Uint16Array(Uint8Array.from([...bytes('hellos')].slice(0, 4)).buffer)`,
    'an array of chunks': `[bytes('hel'), bytes('lo')]`,
    'a generator': `(function* () { yield bytes('hel'); yield 'lo'; })()`,
    'an async generator': `(async function* () { yield bytes('hel'); yield new DataView(bytes('lo').buffer); })()`,
    'a stream of Node': `Readable.from([bytes('hel'), bytes('lo')], { objectMode: false })`,
    'a stream of objects': `Readable.from([bytes('hel'), bytes('lo')])`,
    'a web stream': `new ReadableStream({ start(c) { c.enqueue(bytes('hel')); c.enqueue(bytes('lo')); c.close(); } })`,
    'a Blob of its bytes': `new Blob([bytes('hello')])`,
    'a Blob of its own class': `new ForeignBlob('hello')`,
  };

  for (const [name, code] of Object.entries(bodies)) {
    it(name, async () => {
      const body = run(code) as Buffer;
      const answer = await client.request({ path: '/', method: 'POST', body });
      expect(await answer.body.text()).toBe(code.includes('Uint16') ? 'hell' : 'hello');
    });
  }

  it('a write to an upgraded socket', async () => {
    const echo = await httpOrigin(() => {});
    echo.server.on('upgrade', (_request, socket: NodeJS.ReadWriteStream) => {
      socket.write('HTTP/1.1 101 x\r\nupgrade: bytes\r\nconnection: upgrade\r\n\r\n');
      socket.pipe(socket);
    });
    const own = new Client(echo.url);
    const { socket } = await own.upgrade({ path: '/', protocol: 'bytes' });
    socket.write(run(`bytes('hel')`));
    socket.end(run(`bytes('lo')`) as Uint8Array);
    expect(await text(socket)).toBe('hello');
    await own.destroy();
    await echo.close();
  });
});

describe('of another realm is recognized', () => {
  it('a certificate', async () => {
    const secure = await httpsOrigin((_request, response) => response.end('hello'));
    context['pem'] = ca.toString('latin1');
    for (const code of [`bytes(pem)`, `bytes(pem).buffer`, `new DataView(bytes(pem).buffer)`]) {
      const own = new Client(secure.url, { connect: { ca: run(code) as Buffer } });
      const { body } = await own.request({ path: '/', method: 'GET' });
      expect(await body.text()).toBe('hello');
      await own.destroy();
    }
    await secure.close();
  });

  it('a plain object as options and headers, a Map as headers', async () => {
    const options = run(`({ path: '/', method: 'POST', headers: { 'x-a': '1' }, body: 'hello' })`);
    expect(await (await client.request(options as never)).body.text()).toBe('hello');
    const map = run(`new Map([['x-a', '1']])`) as Map<string, string>;
    const answer = await client.request({ path: '/', method: 'POST', headers: map, body: 'hello' });
    expect(await answer.body.text()).toBe('hello');
  });

  it('a URL as an origin', async () => {
    const agent = new Agent();
    const url = new ForeignUrl(origin.url);
    const { body } = await agent.request({
      origin: url as unknown as URL,
      path: '/',
      method: 'POST',
      body: 'hello',
    });
    expect(await body.text()).toBe('hello');
    const own = new Client(url as unknown as URL);
    await (await own.request({ path: '/', method: 'GET' })).body.dump();
    await Promise.all([agent.destroy(), own.destroy()]);
  });

  it('a signal, also while the request waits for its turn', async () => {
    const stalled = await httpOrigin(() => {});
    const own = new Client(stalled.url, { pipelining: 2 });
    const first = own.request({ path: '/', method: 'POST', body: 'x' }).catch(() => {});
    const signal = new ForeignEventTarget();
    const second = own.request({ path: '/', method: 'GET', signal: signal as never });
    signal.abort();
    await expect(second).rejects.toThrow('given up');
    await Promise.all([own.destroy(), first]);
    await stalled.close();
  });
});
