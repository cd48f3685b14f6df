// S39: redirects that lead nowhere fail immediately.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, fetch, interceptors, request } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let origin: Origin;
let other: Origin;
let served: string[];
let location: (path: string) => string;

beforeAll(async () => {
  const make = () =>
    httpOrigin((incoming, response) => {
      served.push(incoming.url as string);
      response.writeHead(302, { location: location(incoming.url as string) }).end('x');
    });
  [origin, other] = [await make(), await make()];
});
afterAll(() => Promise.all([origin.close(), other.close()]));
beforeEach(() => (served = []));

const WAYS: Record<string, (agent: Agent, url: string) => Promise<unknown>> = {
  'interceptors.redirect()': async (agent, url) => {
    const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: 20 }));
    const { statusCode, body } = await request(url, {
      dispatcher,
      throwOnMaxRedirect: true,
    } as never);
    await body.dump();
    return statusCode;
  },
  fetch: async (agent, url) => (await fetch(url, { dispatcher: agent })).status,
};

describe.each(Object.keys(WAYS))('s39 by %s', (way) => {
  const follow = (path = '/') => {
    const agent = new Agent();
    cleanup.add(() => agent.destroy());
    return WAYS[way]!(agent, origin.url + path);
  };

  it.each([
    ['to itself', () => '/'],
    ['between two paths', (path: string) => (path === '/' ? '/a' : '/')],
    ['between two origins', (path: string) => (path === '/' ? `${other.url}/b` : `${origin.url}/`)],
    ['that never repeats', (path: string) => `/${Number(path.slice(1)) + 1}`],
    ['that grows', (path: string) => `${path}x`],
  ])('a loop %s fails after a bounded number of requests', async (_name, next) => {
    location = next;
    await expect(follow()).rejects.toThrow();
    expect(served.length).toBeGreaterThan(0);
    expect(served.length).toBeLessThanOrEqual(25);
  });

  it.each([
    'data:text/html,hello',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'ftp://localhost/',
    'about:blank',
    'http://',
    'http://:80',
    'http://localhost:99999/',
    'blob:http://localhost/1',
  ])('the target %s is refused', async (target) => {
    location = () => target;
    await expect(follow()).rejects.toThrow();
    expect(served).toEqual(['/']);
  });

  it('a Location larger than the header limit is rejected', async () => {
    location = () => `/${'x'.repeat(1_000_000)}`;
    await expect(follow()).rejects.toThrow();
    expect(served).toEqual(['/']);
  });
});
