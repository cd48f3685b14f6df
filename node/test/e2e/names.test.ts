// `connect.allow` and `dns` with a name server and public addresses, in a network namespace.

import { execFile, spawnSync } from 'node:child_process';
import * as dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, clearDnsCache, interceptors, Pool, request } from '../../src/index';
import { httpOrigin } from '../support/servers';
import { built } from '../support/child';

const NAMESPACE = ['--map-root-user', '--net', '--mount'];
const TRIAL = 'ip link set lo up && mount --bind /etc/hosts /etc/resolv.conf';
const isPermitted = spawnSync('unshare', [...NAMESPACE, 'sh', '-c', TRIAL]).status === 0;

const CODE = 'ERR_DODICI_ADDRESS_NOT_ALLOWED';

/** See `names.cjs`. */
type Result = Record<
  string,
  { readonly outcomes: unknown[]; readonly reached?: string[]; readonly queries?: number }
>;

const title = 'in a network with public addresses and its own name server';
describe.skipIf(!isPermitted)(
  `${title}${isPermitted ? '' : ' (needs unshare, ip and mount)'}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
    afterAll(() => rmSync(folder, { recursive: true }));

    let result: Result & { silent: string; ownLookups: number };
    beforeAll(async () => {
      const settings = join(folder, 'resolv.conf');
      writeFileSync(settings, 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
      const addresses = [
        '93.184.216.34/32',
        '10.1.2.3/32',
        '2606:2800:21f::1/128',
        '64:ff9b::7f00:1/128',
      ];
      const script = [
        'ip link set lo up',
        ...addresses.map((address) => `ip addr add ${address} dev lo`),
        'mount --bind "$1" /etc/resolv.conf',
        'shift; exec "$@"',
      ].join(' && ');
      const names = fileURLToPath(new URL('../support/names.cjs', import.meta.url));
      const undici = createRequire(built).resolve('undici');
      const args = [...NAMESPACE, 'sh', '-c', script, 'sh', settings, process.execPath];
      const output = await new Promise<string>((resolve, reject) => {
        execFile('unshare', [...args, names, built, undici], (error, stdout, stderr) => {
          if (error !== null || stderr !== '') reject(new Error(`${error?.message}\n${stderr}`));
          else resolve(stdout);
        });
      });
      result = JSON.parse(output) as typeof result;
    }, 60_000);

    it('a rule for public addresses lets public ones pass, and nothing else gets a packet', () => {
      const { inward, unguarded, both, rebinding } = result;
      expect(result['public']).toEqual({
        outcomes: ['reached', 'reached', 'reached', 'reached'],
        reached: ['93.184.216.34', '2606:2800:21f::1', '93.184.216.34', '93.184.216.34'],
      });
      expect(inward).toEqual({ outcomes: [CODE, CODE, CODE, CODE], reached: [] });
      expect(unguarded).toEqual({
        outcomes: ['reached', 'reached', 'reached'],
        reached: ['10.1.2.3', '64:ff9b::7f00:1', '10.1.2.3'],
      });
      expect(both).toEqual({ outcomes: ['reached'], reached: ['93.184.216.34'] });
      expect(rebinding).toEqual({ outcomes: ['reached', CODE], reached: ['93.184.216.34'] });
    });

    it('names are kept for dns.ttl, by all agents together, until they are cleared', () => {
      const { cached, cleared, uncached, undici } = result;
      expect(cached).toEqual({ outcomes: ['reached', 'reached', 'reached'], queries: 1 });
      expect(cleared?.queries).toBe(1);
      expect(uncached?.queries).toBe(2);
      // undici has no such option.
      expect(undici?.queries).toBe(2);
    });

    it('an origin has times of its own', () => {
      const { byOrigin, otherOrigin } = result;
      expect([byOrigin?.queries, otherOrigin?.queries]).toEqual([1, 2]);
    });

    it('so is the name of a SOCKS proxy', () => {
      const { socks, uncachedSocks } = result;
      expect(socks).toEqual({ outcomes: ['reached', 'reached'], queries: 1 });
      expect(uncachedSocks).toEqual({ outcomes: ['reached', 'reached'], queries: 2 });
    });

    it('failures are kept for dns.negativeTtl, of those agents that have one', () => {
      const { negative } = result;
      expect(negative).toEqual({ outcomes: Array(3).fill('ENOTFOUND'), queries: 2 });
    });

    it('a rule is asked about addresses that were kept', () => {
      expect(result['guardedCache']).toEqual({ outcomes: [CODE], queries: 0 });
    });

    it('a lookup that never ends is a connect timeout', () => {
      expect(result.silent).toBe('UND_ERR_CONNECT_TIMEOUT');
    });

    it('a lookup function is called for each connection', () => {
      expect(result.ownLookups).toBe(2);
    });
  },
);

describe('dns', () => {
  it.each<[unknown, string]>([
    ...[0, -1, NaN, Infinity, '10', 1n].map((ttl): [unknown, string] => [
      { ttl },
      'invalid dns.ttl',
    ]),
    ...[-1, NaN, '0'].map((staleTtl): [unknown, string] => [{ staleTtl }, 'invalid dns.staleTtl']),
    ...[-1, NaN, {}].map((time): [unknown, string] => [
      { negativeTtl: time },
      'invalid dns.negativeTtl',
    ]),
    ...[0, -1, 1.5, NaN, Infinity].map((count): [unknown, string] => [
      { maxEntries: count },
      'invalid dns.maxEntries',
    ]),
    [true, 'dns must be an object'],
    [() => ({ ttl: 1 }), 'dns must be an object'],
    [dns.lookup, 'dns must be an object'],
    [interceptors.dns(), 'dns must be an object'],
    [{ ttl: () => 1 }, 'invalid dns.ttl'],
    [[], 'dns must be an object'],
  ])('cannot be %s', (given, message) => {
    const options = { dns: given } as never;
    for (const make of [
      () => new Agent(options),
      () => new Pool('http://a.test', options),
      () => new Client('http://a.test', options),
      () => new Agent({ origins: { 'a.test': options } }),
    ]) {
      expect(make).toThrow(expect.objectContaining({ code: 'UND_ERR_INVALID_ARG' }));
      expect(make).toThrow(message);
    }
  });

  it('may be absent, empty, or have any of its parts', () => {
    for (const given of [
      undefined,
      null,
      {},
      { ttl: 1, staleTtl: 0 },
      { maxEntries: 1, negativeTtl: 5 },
    ]) {
      expect(() => new Agent({ dns: given })).not.toThrow();
    }
  });

  it('undici’s interceptor of that name looks names up by a function, here as there', async () => {
    const origin = await httpOrigin((incoming, response) => response.end(incoming.headers.host));
    const { port } = new URL(origin.url);
    const asked: string[] = [];
    const lookup = ((url: URL, _options: unknown, done: (...found: unknown[]) => void) => {
      asked.push(url.hostname);
      done(null, [{ address: '127.0.0.1', family: 4, ttl: 60_000 }]);
    }) as never;
    const agent = new Agent({ dns: { ttl: 60_000 } });
    const dispatcher = agent.compose(interceptors.dns({ lookup }));
    for (let i = 0; i < 2; i++) {
      const { body } = await request(`http://name.test:${port}`, { dispatcher });
      expect(await body.text()).toBe(`name.test:${port}`);
    }
    expect(asked).toEqual(['name.test']);
    await agent.close();
    await origin.close();
  });

  it('clearDnsCache() needs no request before it', () => {
    expect(clearDnsCache).not.toThrow();
  });
});
