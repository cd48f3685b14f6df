// undici's own classes with ours behind them, over the engine.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  type Dispatcher,
  MockAgent,
  Pool,
  request,
  RetryAgent,
} from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';

let origin: Origin;
beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => response.end(`origin ${incoming.url}`));
});
afterAll(() => origin.close());

const textOf = async (dispatcher: Dispatcher, url: string) =>
  (await request(url, { dispatcher })).body.text();

describe('undici’s own classes', () => {
  it('BalancedPool uses our pools and sees when they have capacity', async () => {
    const made: Pool[] = [];
    const balanced = new BalancedPool(origin.url, {
      factory: (url, options) => {
        const pool = new Pool(url, options);
        made.push(pool);
        return pool;
      },
    });
    for (const path of ['/1', '/2', '/3']) {
      const { body } = await balanced.request({ path, method: 'GET' });
      expect(await body.text()).toBe(`origin ${path}`);
    }
    expect(made).toHaveLength(1);
    expect(made[0]!.stats).toMatchObject({ connected: 1, free: 1, size: 0 });
    await balanced.close();
  });

  it('RetryAgent repeats requests of our agent', async () => {
    const agent = new Agent();
    const retrying = new RetryAgent(agent);
    expect(await textOf(retrying, `${origin.url}/retry`)).toBe('origin /retry');
    await retrying.close();
    expect(agent.closed).toBe(true);
  });

  it('MockPool and MockClient are a Pool and a Client, as in undici', async () => {
    class OwnPool extends Pool {}
    class OwnClient extends Client {}
    for (const [connections, Class, Other, Own] of [
      [undefined, Pool, Client, OwnPool],
      [1, Client, Pool, OwnClient],
    ] as const) {
      const agent = new MockAgent(connections === undefined ? {} : { connections });
      const mock = agent.get(origin.url);
      expect(mock).toBeInstanceOf(Class);
      expect(mock).not.toBeInstanceOf(Other);
      expect(mock).not.toBeInstanceOf(Own);
      const own = new Own(origin.url);
      expect(own).toBeInstanceOf(Own);
      expect(own).toBeInstanceOf(Class);
      await Promise.all([agent.close(), own.close()]);
    }
    expect(null).not.toBeInstanceOf(Pool);
    expect({}).not.toBeInstanceOf(Client);
  });
});
