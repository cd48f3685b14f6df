// Values of options that JSON does not have, or that only some of undici's classes check: the outcome of a
// request with undici and with ours, side by side.

import * as undici from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dodici from '../../src/index';
import { CLIENT_OPTIONS, H2_OPTIONS, POOL_OPTIONS } from '../../src/options/generated';
import { OWN_OPTIONS } from '../../src/options/options';
import type { Dispatcher } from '../../src/undici/undici';
import { httpOrigin, type Origin } from '../support/servers';
import { connectProxy, type Tunnel } from '../support/tunnels';

type Library = typeof undici;
const LIBRARIES: readonly Library[] = [undici, dodici as unknown as Library];

let origin: Origin;
let proxy: Tunnel;
beforeAll(async () => {
  origin = await httpOrigin((_request, response) => response.end('answer'));
  proxy = await connectProxy();
});
afterAll(async () => {
  await origin.close();
  await proxy.close();
});

const CLASSES: Record<string, (library: Library, options: object) => Dispatcher> = {
  Client: ({ Client }, options) => new Client(origin.url, options),
  Pool: ({ Pool }, options) => new Pool(origin.url, options),
  Agent: ({ Agent }, options) => new Agent(options),
  BalancedPool: ({ BalancedPool }, options) => new BalancedPool([origin.url], options),
  RoundRobinPool: ({ RoundRobinPool }, options) => new RoundRobinPool(origin.url, options),
  'ProxyAgent, tunnel': ({ ProxyAgent }, options) =>
    new ProxyAgent({ uri: `http://localhost:${proxy.port}`, proxyTunnel: true, ...options }),
};

/** Whether a request succeeds; if not, why: also if the constructor already rejects the options. */
async function outcome(library: Library, name: string, options: object): Promise<string> {
  let dispatcher: Dispatcher | undefined;
  try {
    dispatcher = CLASSES[name]!(library, options);
    const { body } = await dispatcher.request({ origin: origin.url, path: '/', method: 'GET' });
    return await body.text();
  } catch (error) {
    return (error as Error).message;
  } finally {
    await dispatcher?.destroy();
  }
}

/** Where ours differs, and why. */
const CHECKED = 'undici’s pools do not check it; here every option is';
const NO_LIMIT = 'JSON makes it null, to undici a limit of 0, here none';
const REASONS: Record<string, string> = {
  connectTimeout: CHECKED,
  autoSelectFamilyAttemptTimeout: CHECKED,
  maxResponseSize: NO_LIMIT,
  'useH2c RoundRobinPool': 'undici’s does not use it at all',
  'useH2c Pool': 'undici 7 copies it through JSON, too',
};

const NAMES = [...CLIENT_OPTIONS, ...POOL_OPTIONS, ...H2_OPTIONS]
  .map(({ name }) => name)
  .filter((name) => !OWN_OPTIONS.has(name));
const LEGACY = [
  'socketTimeout',
  'requestTimeout',
  'idleTimeout',
  'keepAlive',
  'maxKeepAliveTimeout',
];

describe.each(Object.keys(CLASSES))('options of %s', (name) => {
  it.each([...NAMES, ...LEGACY])(
    '%s: what JSON does not have is what undici makes of it',
    async (option) => {
      for (const value of [NaN, Infinity, () => undefined]) {
        // A function is called as a connector, or as a factory.
        if (option === 'connect') continue;
        const outcomes = LIBRARIES.map((library) => outcome(library, name, { [option]: value }));
        const [theirs, ours] = await Promise.all(outcomes);
        const reason = REASONS[option] ?? REASONS[`${option} ${name}`];
        if (reason === undefined) expect(ours).toBe(theirs);
      }
    },
  );
});

it.each(['keepAliveTimeoutThreshold', 'pipelining'])('%s may be negative', async (option) => {
  for (const name of ['Client', 'Pool', 'Agent', 'RoundRobinPool']) {
    expect(await outcome(LIBRARIES[1]!, name, { [option]: -1 })).toBe('answer');
  }
});

it('what undici would only notice, or never, when it is used is an error of the constructor', () => {
  const uri = 'http://localhost:1';
  expect(() => new dodici.ProxyAgent({ uri, factory: {} as never })).toThrow(
    'Proxy opts.factory must be a function.',
  );
  const socks = 'socks5://localhost:1';
  expect(() => new dodici.Socks5ProxyAgent(socks, { connect: {} as never })).toThrow(
    'connect must be a function',
  );
  const options = { factory: null as never };
  expect(() => new dodici.BalancedPool(uri, options)).toThrow('factory must be a function.');
});

it('requests that a proxy forwards do not use HTTP/2, whatever the options say', async () => {
  const uri = `http://localhost:${proxy.port}`;
  for (const h2c of [{ useH2c: true }, { h2Options: { useH2c: true } }]) {
    const agent = new dodici.ProxyAgent({ uri, proxyTunnel: false, ...h2c } as object as never);
    const { body } = await agent.request({ origin: origin.url, path: '/', method: 'GET' });
    expect(await body.text()).toBe('answer');
    await agent.destroy();
  }
});
