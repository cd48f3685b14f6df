// Programs extend dispatchers and give them fields: their names are theirs, as over undici's classes, which
// keep what is their own under symbols.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dodici from '../../src/index';
import { peer } from '../../src/undici/undici';
import { httpOrigin, type Origin } from '../support/servers';

let origin: Origin;
beforeAll(async () => {
  origin = await httpOrigin((_request, response) => response.end('ok'));
});
afterAll(() => origin.close());

/** What users see of our classes, and undici's do not have. */
const PUBLIC = ['connections', 'optionsFor', 'preconnect', 'servedBy'];

const NAMES = ['Client', 'Pool', 'Agent', 'BalancedPool', 'RoundRobinPool', 'ProxyAgent'] as const;
const ALL = [...NAMES, 'EnvHttpProxyAgent', 'Socks5ProxyAgent', 'RetryAgent'] as const;
type Name = (typeof ALL)[number];

type Library = Readonly<Record<Name, new (...given: unknown[]) => dodici.Dispatcher>>;
const ours = dodici as unknown as Library;
const theirs = peer as unknown as Library;

function argumentsOf(name: Name): unknown[] {
  if (name === 'Agent') return [];
  if (name === 'RetryAgent') return [new dodici.Agent()];
  if (name === 'EnvHttpProxyAgent') return [{ httpProxy: origin.url, noProxy: '*' }];
  if (name === 'ProxyAgent') return [{ uri: origin.url, proxyTunnel: false }];
  return name === 'Socks5ProxyAgent' ? ['socks5://localhost:1'] : [origin.url];
}

/** Own and inherited ones. */
function membersOf(value: object): Set<string> {
  const names = new Set<string>();
  for (let at = value; at !== null; at = Object.getPrototypeOf(at) as object) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  return names;
}

describe.each(ALL)('%s', (name) => {
  it('has no members that undici’s has not, but public ones and those that begin with $', async () => {
    const [own, other] = [ours, theirs].map((library) => new library[name](...argumentsOf(name)));
    const known = membersOf(other!);
    const added = [...membersOf(own!)].filter((member) => !known.has(member));
    expect(added.filter((member) => !member.startsWith('$') && !PUBLIC.includes(member))).toEqual(
      [],
    );
    await Promise.all([own!.destroy(), other!.destroy()]);
  });

  it.skipIf(name === 'Socks5ProxyAgent')('works with any field of a subclass', async () => {
    const fields = ['agent', 'agents', 'factory', 'limit', 'noProxy', 'options', 'origins'];
    for (const field of [...fields, 'pool', 'pools', 'settings', 'timings', 'url']) {
      class Extended extends ours[name] {
        constructor(...given: unknown[]) {
          super(...given);
          Object.assign(this, { [field]: { of: 'the program' } });
        }
      }
      const dispatcher = new Extended(...argumentsOf(name));
      const given = { origin: origin.url, path: '/', method: 'GET' } as const;
      const { body } = await dispatcher.request(given);
      expect(await body.text(), field).toBe('ok');
      await dispatcher.close();
    }
  });
});
