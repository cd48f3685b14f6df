// S13: two hosts at one address, behind one certificate. HTTP/2 would allow a client to send the
// requests of both over one connection (RFC 9113, section 9.1.1); this one never does, so a server
// that answers 421 has nothing to correct.

import type { LookupFunction } from 'node:net';
import type { Http2Session } from 'node:http2';

import { afterEach, expect, it } from 'vitest';

import { Agent } from '../../src/index';
import { Authority } from '../support/certificates';
import { http2Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const authority = new Authority();
const lookup: LookupFunction = (_host, _options, found) =>
  found(null, [{ address: '127.0.0.1', family: 4 }]);

/** A server for both hosts; `served` has each request's host and the number of its session. */
async function both(status: (authority: string) => number) {
  const served: string[] = [];
  const sessions: Http2Session[] = [];
  const origin = await http2Origin(
    (stream, headers) => {
      const host = new URL(`https://${headers[':authority']}`).hostname;
      const session = stream.session as Http2Session;
      if (!sessions.includes(session)) sessions.push(session);
      served.push(`${host} ${sessions.indexOf(session)}`);
      stream.respond({ ':status': status(host) });
      stream.end(host);
    },
    authority.issue({ names: ['one.test', 'two.test'] }),
  );
  cleanup.add(() => origin.close());
  const agent = new Agent({ allowH2: true, connect: { ca: authority.ca, lookup } });
  cleanup.add(() => agent.destroy());
  const { port } = new URL(origin.url);
  const ask = async (host: string) => {
    const { statusCode, body } = await agent.request({
      origin: `https://${host}:${port}`,
      path: '/',
      method: 'GET',
    });
    return `${statusCode} ${await body.text()}`;
  };
  return { served, ask };
}

it('hosts that share address and certificate share no connection', async () => {
  const { served, ask } = await both(() => 200);
  for (const host of ['one.test', 'two.test', 'one.test', 'two.test']) {
    expect(await ask(host)).toBe(`200 ${host}`);
  }
  expect(served).toEqual(['one.test 0', 'two.test 1', 'one.test 0', 'two.test 1']);
});

it('a 421 is delivered like any other response, and not retried elsewhere', async () => {
  const { served, ask } = await both((host) => (host === 'one.test' ? 421 : 200));
  expect(await ask('one.test')).toBe('421 one.test');
  expect(await ask('two.test')).toBe('200 two.test');
  expect(served).toEqual(['one.test 0', 'two.test 1']);
});
