// Interceptors written for undici 6 and 7: over undici 7 they get, as in undici, a handler with
// the methods of both generations, over undici 8 one of the newer generation.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  type Dispatcher,
  EnvHttpProxyAgent,
  fetch,
  interceptors,
  Pool,
  request,
  RoundRobinPool,
} from '../../src/index';
import { peerMajor } from '../../src/undici/undici';
import { httpOrigin, type Origin } from '../support/servers';

let origin: Origin;
beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => {
    response.setHeader('x-served', incoming.url as string);
    response.end('served');
  });
});
afterAll(() => origin.close());

const KINDS: Record<string, () => Dispatcher> = {
  Agent: () => new Agent(),
  Pool: () => new Pool(origin.url),
  Client: () => new Client(origin.url),
  BalancedPool: () => new BalancedPool(origin.url),
  RoundRobinPool: () => new RoundRobinPool(origin.url),
  EnvHttpProxyAgent: () => new EnvHttpProxyAgent(),
};

type Older = Record<string, (...given: never[]) => unknown>;
type Call = (...given: unknown[]) => unknown;

/** Responds by itself, as in-process routers and mocks do. */
const answering: Dispatcher.DispatcherComposeInterceptor = () => (_options, given) => {
  const handler = given as unknown as Record<string, Call>;
  handler['onConnect']!(() => {}, null);
  handler['onHeaders']!(201, [Buffer.from('x-a'), Buffer.from('b')], () => {}, 'Made');
  handler['onData']!(Buffer.from('by older '));
  handler['onData']!(Buffer.from('methods'));
  handler['onComplete']!([]);
  return true;
};

/** An interceptor with older methods on both sides. */
const between: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, given) => {
  const handler = given as unknown as Record<string, Call>;
  const names = ['onConnect', 'onHeaders', 'onData', 'onComplete', 'onError'];
  const older: Older = {};
  for (const name of names) older[name] = (...args) => handler[name]!(...args);
  return dispatch(options, older);
};

describe.runIf(peerMajor === 7).each(Object.keys(KINDS))('over our %s and undici 7', (kind) => {
  const composed = (...given: Dispatcher.DispatcherComposeInterceptor[]) =>
    KINDS[kind]!().compose(...given);

  it('an interceptor responds through legacy methods', async () => {
    const dispatcher = composed(answering);
    const { statusCode, headers, body } = await request(origin.url, { dispatcher });
    expect([statusCode, headers['x-a'], await body.text()]).toEqual([201, 'b', 'by older methods']);
    const response = await fetch(origin.url, { dispatcher });
    expect([response.status, await response.text()]).toEqual([201, 'by older methods']);
    await dispatcher.close();
  });

  it('an interceptor passes a legacy handler on to newer ones', async () => {
    const dispatcher = composed(interceptors.retry(), between);
    const { headers, body } = await request(`${origin.url}/x`, { dispatcher });
    expect([headers['x-served'], await body.text()]).toEqual(['/x', 'served']);
    const response = await fetch(`${origin.url}/y`, { dispatcher });
    expect([response.headers.get('x-served'), await response.text()]).toEqual(['/y', 'served']);
    await dispatcher.close();
  });

  it('interceptors.cache() responds with 504 for only-if-cached and an empty cache', async () => {
    const dispatcher = composed(interceptors.cache());
    const { statusCode } = await request(origin.url, {
      dispatcher,
      headers: { 'cache-control': 'only-if-cached' },
    });
    expect(statusCode).toBe(504);
    await dispatcher.close();
  });
});

describe.each(Object.keys(KINDS))('over our %s', (kind) => {
  it('a composed dispatcher accepts a legacy handler', async () => {
    const seen: unknown[] = [];
    const dispatcher = KINDS[kind]!().compose((dispatch) => (options, handler) => {
      seen.push(typeof (handler as { onRequestStart?: unknown }).onRequestStart);
      seen.push(typeof (handler as { onConnect?: unknown }).onConnect);
      return dispatch(options, handler);
    });
    const status = await new Promise((resolve, reject) => {
      let status = 0;
      dispatcher.dispatch({ origin: origin.url, path: '/', method: 'GET' }, {
        onConnect() {},
        onHeaders: (code: number) => (status = code) > 0,
        onData: () => true,
        onComplete: () => resolve(status),
        onError: reject,
      } as never);
    });
    expect(status).toBe(200);
    expect(seen).toEqual(['function', peerMajor === 7 ? 'function' : 'undefined']);
    await dispatcher.close();
  });
});
