// S16 and S39: what goes along with a redirect, and where redirects end.

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, errors, fetch, interceptors, request } from '../../src/index';
import { httpOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SECRETS = {
  authorization: 'Bearer secret',
  cookie: 'session=secret',
  'proxy-authorization': 'Basic secret',
};

/** Two origins: `from` redirects `/` by `status` to `to`, which tells what it was sent. */
async function origins(status: number, back = false) {
  const seen: Record<string, unknown>[] = [];
  const to = await httpOrigin((incoming, response) => {
    seen.push(incoming.headers);
    if (back) response.writeHead(302, { location: `${from.url}/home` }).end();
    else response.end('there');
  });
  const from = await httpOrigin((incoming, response) => {
    if (incoming.url === '/home') {
      seen.push(incoming.headers);
      response.end('home');
    } else response.writeHead(status, { location: `${to.url}/there` }).end();
  });
  cleanup.add(() => to.close());
  cleanup.add(() => from.close());
  return { from: from.url, seen };
}

const following = (maxRedirections = 5) => {
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  return agent.compose(interceptors.redirect({ maxRedirections }));
};

describe('s16 a redirect to another origin', () => {
  it.each([301, 302, 303, 307, 308])('by %i leaves credentials behind', async (status) => {
    const { from, seen } = await origins(status);
    const dispatcher = following();
    const { body } = await request(`${from}/`, { dispatcher, headers: SECRETS });
    expect(await body.text()).toBe('there');
    const response = await fetch(`${from}/`, { dispatcher, headers: SECRETS });
    expect(await response.text()).toBe('there');
    expect(seen).toHaveLength(2);
    expect(JSON.stringify(seen)).not.toContain('secret');
  });

  it('and back again does not bring them back', async () => {
    const { from, seen } = await origins(302, true);
    const { body } = await request(`${from}/`, { dispatcher: following(), headers: SECRETS });
    expect(await body.text()).toBe('home');
    expect(seen).toHaveLength(2);
    expect(JSON.stringify(seen)).not.toContain('secret');
  });

  it('within the same origin keeps them', async () => {
    const seen: unknown[] = [];
    const origin = await httpOrigin((incoming, response) => {
      if (incoming.url === '/') response.writeHead(307, { location: '/next' }).end();
      else {
        seen.push(incoming.headers.authorization);
        response.end();
      }
    });
    cleanup.add(() => origin.close());
    const { body } = await request(`${origin.url}/`, {
      dispatcher: following(),
      headers: SECRETS,
    });
    await body.text();
    expect(seen).toEqual(['Bearer secret']);
  });
});

describe('s39 redirects', () => {
  async function redirecting(location: string | ((count: number) => string)) {
    const counts = { requests: 0 };
    const origin = await httpOrigin((_incoming, response) => {
      counts.requests++;
      const to = typeof location === 'string' ? location : location(counts.requests);
      response.writeHead(302, { location: to }).end();
    });
    cleanup.add(() => origin.close());
    return { url: origin.url, counts };
  }

  it('in a loop end at their limit', async () => {
    const { url, counts } = await redirecting((count) => `/${count}`);
    const { statusCode, body } = await request(url, { dispatcher: following(4) });
    await body.dump();
    expect([statusCode, counts.requests]).toEqual([302, 5]);
    await expect(fetch(url, { dispatcher: following(0) })).rejects.toThrow('fetch failed');
  });

  it.each(['data:text/plain,x', 'file:///etc/passwd', 'javascript:alert(1)'])(
    'to %s fail',
    async (location) => {
      const { url, counts } = await redirecting(location);
      await expect(request(url, { dispatcher: following() })).rejects.toBeInstanceOf(Error);
      expect(counts.requests).toBe(1);
    },
  );

  it('with an endless Location are an overflow', async () => {
    const { url, counts } = await redirecting(`/${'x'.repeat(1024 * 1024)}`);
    await expect(request(url, { dispatcher: following() })).rejects.toBeInstanceOf(
      errors.HeadersOverflowError,
    );
    expect(counts.requests).toBe(1);
  });
});
