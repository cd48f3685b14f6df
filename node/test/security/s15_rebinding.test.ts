// S15: a name that first resolves to a public address and then to a private one. A filter sees
// every address, and the connection goes to the address it checked.

import type { LookupAddress } from 'node:dns';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, Client, interceptors, Pool, request, type Dispatcher } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let origin: Origin;
let url: string;
/** Addresses under which the origin was reached. */
let reached: unknown[];

beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => {
    reached.push(incoming.socket.localAddress);
    response.end('reached');
  });
  url = `http://rebinding.invalid:${(origin.server.address() as AddressInfo).port}`;
});
afterAll(() => origin.close());
beforeEach(() => (reached = []));

type Done = (error: Error | null, addresses?: LookupAddress[] | string, family?: number) => void;

/** A lookup that returns one address after the other, and rejects those that `allow` does not accept. */
function filter(addresses: string[], allow: (address: string) => boolean) {
  const seen: string[] = [];
  const lookup = (_name: unknown, options: { all?: boolean }, done: Done): void => {
    const address = addresses[Math.min(seen.length, addresses.length - 1)]!;
    seen.push(address);
    if (!allow(address)) {
      done(Object.assign(new Error(`${address} is not allowed`), { code: 'EFILTERED' }));
    } else if (options.all) done(null, [{ address, family: 4 }]);
    else done(null, address, 4);
  };
  return { seen, lookup: lookup as never };
}

const kinds: Record<string, (connect: object) => Dispatcher> = {
  Agent: (connect) => new Agent({ connect, keepAliveTimeout: 1, pipelining: 0 }),
  Pool: (connect) => new Pool(url, { connect, pipelining: 0 }),
  Client: (connect) => new Client(url, { connect, pipelining: 0 }),
};

describe.each(Object.keys(kinds))('s15 over our %s', (kind) => {
  it('connect.lookup is called for every connection, and its error is final', async () => {
    // The origin listens on 127.0.0.1; it stands for the public address, 127.0.0.2 for the private.
    const { seen, lookup } = filter(
      ['127.0.0.1', '127.0.0.2'],
      (address) => address === '127.0.0.1',
    );
    const dispatcher = kinds[kind]!({ lookup });
    cleanup.add(() => dispatcher.destroy());
    const { body } = await request(url, { dispatcher });
    expect(await body.text()).toBe('reached');
    await expect(request(url, { dispatcher })).rejects.toThrow('127.0.0.2 is not allowed');
    expect(seen).toEqual(['127.0.0.1', '127.0.0.2']);
    expect(reached).toEqual(['127.0.0.1']);
  });
});

describe('s15 interceptors.dns() with a filter', () => {
  it('makes our Agent connect to the checked address, without another lookup', async () => {
    const { seen, lookup } = filter(
      ['127.0.0.1', '127.0.0.2'],
      (address) => address === '127.0.0.1',
    );
    const agent = new Agent();
    cleanup.add(() => agent.destroy());
    const connected: unknown[] = [];
    agent.on('connect', (_origin, _targets, info) => connected.push(info?.remoteAddress));
    const dispatcher = agent.compose(
      interceptors.dns({
        affinity: 4,
        dualStack: false,
        lookup: ((name: unknown, options: object, done: Done) =>
          (lookup as (...args: unknown[]) => void)(name, { ...options, all: true }, done)) as never,
      }),
    );
    // `invalid` never resolves: had our engine looked the name up itself, this would fail.
    for (let i = 0; i < 3; i++) {
      const { body } = await request(url, { dispatcher });
      expect(await body.text()).toBe('reached');
    }
    expect(seen).toEqual(['127.0.0.1']);
    expect(connected).toEqual(['127.0.0.1']);
    expect(reached).toEqual(Array(3).fill('127.0.0.1'));
  });
});

it('s15 an address in the URL is used as it is', async () => {
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  const connected: unknown[] = [];
  agent.on('connect', (_origin, _targets, info) => connected.push(info?.remoteAddress));
  const { port } = new URL(url);
  const forms = ['127.0.0.1', '0x7f.1', '2130706433', '127.1', '0177.0.0.1'];
  for (const host of forms) {
    const { body } = await request(`http://${host}:${port}`, { dispatcher: agent });
    await body.dump();
  }
  // All of them are one origin: a filter of the parsed URL sees the address that is connected.
  expect(connected).toEqual(['127.0.0.1']);
  expect(forms.map((host) => new URL(`http://${host}`).hostname)).toEqual(
    forms.map(() => '127.0.0.1'),
  );
});
