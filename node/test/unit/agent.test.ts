// Agent over scripted dispatchers, and the differential with the peer's Agent.
import { EventEmitter } from 'node:events';

import { describe, expect, it } from 'vitest';

import {
  BalancedPool,
  EnvHttpProxyAgent,
  ProxyAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
} from '../../src/index';
import { Agent } from '../../src/dispatchers/agent';
import { Client } from '../../src/dispatchers/client';
import type { AgentOptions } from '../../src/options/types';
import { Pool } from '../../src/dispatchers/pool';
import { type Dispatcher, errors, peer, peerMajor, symbols } from '../../src/undici/undici';

/** A scripted dispatcher that records its requests. */
class Scripted extends EventEmitter {
  readonly dispatched: unknown[] = [];
  readonly ended: string[] = [];
  connected = 0;
  busy = false;
  pending = 0;
  readonly stats = { connected: 0, running: 1 };

  constructor(
    readonly origin: string | URL,
    readonly options: Record<string, unknown>,
  ) {
    super();
    Object.defineProperties(this, {
      [symbols.kUrl]: { get: () => new URL(String(origin)) },
      [symbols.kConnected]: { get: () => this.connected },
      [symbols.kBusy]: { get: () => this.busy },
      [symbols.kPending]: { get: () => this.pending },
      [symbols.kRunning]: { get: () => 2 },
    });
  }

  dispatch(options: unknown): boolean {
    this.dispatched.push(options);
    return this.dispatched.length < 2;
  }

  async close() {
    this.ended.push('close');
  }

  async destroy(error: Error) {
    this.ended.push(`destroy ${error.message}`);
  }
}

function scriptedAgent(options: AgentOptions = {}) {
  const made: Scripted[] = [];
  const agent = new Agent({
    ...options,
    factory: (origin, given) => {
      const dispatcher = new Scripted(origin, given as Record<string, unknown>);
      made.push(dispatcher);
      return dispatcher as unknown as Dispatcher;
    },
  });
  return { agent, made };
}

const handler = () => {
  const errors: Error[] = [];
  return {
    errors,
    onRequestStart() {},
    onResponseError(_controller: unknown, error: Error) {
      errors.push(error);
    },
  };
};

const send = (agent: Agent, origin: unknown, more: object = {}, to = handler()) => {
  const options = { origin, path: '/', method: 'GET', ...more };
  const returned = agent.dispatch(options as never, to);
  return { returned, errors: to.errors };
};

describe('an agent', () => {
  it('creates one dispatcher per origin and returns what it returns', () => {
    const { agent, made } = scriptedAgent();
    expect(send(agent, 'http://a').returned).toBe(true);
    expect(send(agent, 'http://a').returned).toBe(false);
    send(agent, new URL('http://b'));
    expect(made.map(({ origin }) => String(origin))).toEqual(['http://a', 'http://b/']);
  });

  it('uses a separate dispatcher for requests without HTTP/2, as undici 8 does', () => {
    const { agent, made } = scriptedAgent();
    send(agent, 'http://a');
    send(agent, 'http://a', { allowH2: false });
    expect(made.map(({ options }) => options['allowH2'])).toEqual([undefined, false]);
  });

  it('uses separate dispatchers for requests that ask for HTTP/3, or not to use it', () => {
    const { agent, made } = scriptedAgent();
    send(agent, 'https://a');
    send(agent, 'https://a', { allowH3: false });
    for (const more of [{ allowH3: true }, { h3: 'prior-knowledge' }]) {
      for (let n = 0; n < 2; n++) send(agent, 'https://a', more);
    }
    expect(made.map(({ options }) => [options['allowH3'], options['h3']])).toEqual([
      [undefined, undefined],
      [true, undefined],
      [undefined, 'prior-knowledge'],
    ]);
    expect(send(agent, 'https://a', { h3: 'yes' }).errors[0]!.message).toBe(
      "h3 must be 'prior-knowledge'",
    );
    expect(send(agent, 'https://a', { allowH3: 1 }).errors[0]!.message).toBe(
      'allowH3 must be a valid boolean value',
    );
  });

  it.each([undefined, null, '', 1, {}])('fails a request with the invalid origin %j', (origin) => {
    const { agent } = scriptedAgent();
    const { returned, errors: told } = send(agent, origin);
    expect(returned).toBe(send(new peer.Agent() as never, origin).returned);
    expect(told[0]).toBeInstanceOf(errors.InvalidArgumentError);
    expect(told[0]!.message).toBe('opts.origin must be a non-empty string or URL.');
  });

  it('rejects an origin beyond maxOrigins, and accepts one again when another is gone', () => {
    const { agent, made } = scriptedAgent({ maxOrigins: 1 });
    send(agent, 'http://a');
    expect(send(agent, 'http://b').errors[0]).toBeInstanceOf(errors.MaxOriginsReachedError);
    made[0]!.emit('disconnect', new URL('http://a'), [made[0]], new Error('gone'));
    expect(made[0]!.ended).toEqual(['close']);
    expect(send(agent, 'http://b').errors).toEqual([]);
  });

  it.each(['connected', 'busy', 'pending'] as const)(
    'keeps a dispatcher that is still %s when a connection ends',
    (state) => {
      const { agent, made } = scriptedAgent();
      send(agent, 'http://a');
      made[0]![state] = 1 as never;
      made[0]!.emit('disconnect', new URL('http://a'), [made[0]], new Error('gone'));
      expect(made[0]!.ended).toEqual([]);
      send(agent, 'http://a');
      expect(made).toHaveLength(1);
    },
  );

  it('forwards events with all details, and itself as the first target', () => {
    const { agent, made } = scriptedAgent();
    send(agent, 'http://a');
    const [pool] = made;
    const url = new URL('http://a');
    const seen: unknown[] = [];
    for (const name of ['connect', 'disconnect', 'connectionError', 'drain']) {
      (agent as EventEmitter).on(name, (...args: unknown[]) => seen.push([name, ...args]));
    }
    const error = new Error('why');
    pool!.emit('connect', url, [pool], 'info');
    pool!.emit('drain', url, [pool]);
    pool!.connected = 1;
    pool!.emit('disconnect', url, [pool], error, 'account');
    pool!.emit('connectionError', url, [pool], error);
    expect(seen).toEqual([
      ['connect', url, [agent, pool], 'info'],
      ['drain', url, [agent, pool]],
      ['disconnect', url, [agent, pool], error, 'account'],
      ['connectionError', url, [agent, pool], error],
    ]);
  });

  it('exposes stats by origin and the counters that undici reads', () => {
    const { agent, made } = scriptedAgent();
    send(agent, 'http://a');
    send(agent, 'http://b');
    expect(agent.stats).toEqual({ 'http://a': made[0]!.stats, 'http://b': made[1]!.stats });
    expect((agent as unknown as Record<symbol, unknown>)[symbols.kRunning]).toBe(4);
  });

  it('closes and destroys all of them', async () => {
    const first = scriptedAgent();
    send(first.agent, 'http://a');
    send(first.agent, 'http://b');
    await first.agent.close();
    expect(first.made.map(({ ended }) => ended)).toEqual([['close'], ['close']]);
    expect(send(first.agent, 'http://a').errors[0]).toBeInstanceOf(errors.ClientDestroyedError);

    const second = scriptedAgent();
    send(second.agent, 'http://a');
    await second.agent.destroy(new Error('enough'));
    expect(second.made[0]!.ended).toEqual(['destroy enough']);
  });

  it('serves legacy handlers', () => {
    const { agent } = scriptedAgent();
    const told: Error[] = [];
    const legacy = { onConnect() {}, onError: (error: Error) => told.push(error) };
    agent.dispatch({ origin: '', path: '/', method: 'GET' }, legacy as never);
    expect(told[0]).toBeInstanceOf(errors.InvalidArgumentError);
  });

  it('passes the peer’s handler to a subclass of our Pool that overrides dispatch', () => {
    const given: object[] = [];
    class Overridden extends Pool {
      override dispatch(_options: unknown, receiver: object): boolean {
        given.push(receiver);
        return true;
      }
    }
    const agent = new Agent({ factory: (origin) => new Overridden(origin) });
    send(agent, 'http://a');
    expect((peerMajor === 7 ? 'onConnect' : 'onRequestStart') in given[0]!).toBe(true);
  });
});

describe('per-origin options', () => {
  const origins = {
    'http://a.example:81': { connections: 4, connect: { timeout: 1 } },
    '*.example': { connections: 2 },
  };

  it('are those of the most specific pattern over those of the agent', () => {
    const { agent, made } = scriptedAgent({
      connections: 9,
      pipelining: 3,
      connect: { keepAlive: false },
      origins,
    });
    for (const origin of ['http://a.example:81', 'http://b.example', 'http://other']) {
      send(agent, origin);
    }
    expect(made.map(({ options }) => options)).toMatchObject([
      { connections: 4, pipelining: 3, connect: { timeout: 1, keepAlive: false } },
      { connections: 2, pipelining: 3, connect: { keepAlive: false } },
      { connections: 9, pipelining: 3, connect: { keepAlive: false } },
    ]);
    for (const { options } of made) {
      expect(Object.keys(options)).not.toContain('origins');
      expect(Object.keys(options)).not.toContain('factory');
    }
  });

  it('may come from a function, called once per dispatcher', () => {
    const asked: string[] = [];
    const { agent, made } = scriptedAgent({
      connections: 9,
      origins: (origin) => {
        asked.push(origin);
        return origin === 'http://a' ? { connections: 1 } : undefined;
      },
    });
    send(agent, 'http://a/');
    send(agent, 'http://a/');
    send(agent, 'http://b');
    expect(asked).toEqual(['http://a', 'http://b']);
    expect(made.map(({ options }) => options['connections'])).toEqual([1, 9]);
  });

  it('are told, with the pattern that applies, by optionsFor()', () => {
    const { agent } = scriptedAgent({ connections: 9, origins });
    expect(agent.optionsFor('http://a.example:81')).toMatchObject({
      pattern: 'http://a.example:81',
      options: { connections: 4, connect: { timeout: 1 } },
    });
    expect(agent.optionsFor(new URL('https://b.example'))).toEqual({
      pattern: '*.example',
      options: { connections: 2, connect: undefined, tls: undefined },
    });
    expect(agent.optionsFor('http://other')).toMatchObject({
      pattern: null,
      options: { connections: 9 },
    });
    expect(new Agent({ connections: 1 }).optionsFor('http://a').options.connections).toBe(1);
    const chosen = new Agent({ origins: () => ({ connections: 3 }) }).optionsFor('http://a');
    expect([chosen.pattern, chosen.options.connections]).toEqual([null, 3]);
  });

  it('given by optionsFor() are a copy', () => {
    const { agent, made } = scriptedAgent({ connections: 9 });
    agent.optionsFor('http://a').options.connections = 1;
    send(agent, 'http://a');
    expect(made[0]!.options['connections']).toBe(9);
  });

  it.each([
    [{ maxOrigin: 1 }, 'origins("http://a").maxOrigin is not a per-origin option'],
    [{ connections: -1 }, 'origins("http://a"): invalid connections'],
    [{ headersTimeout: 'x' }, /^origins\("http:\/\/a"\): headersTimeout must be/],
    [{ connect: { family: 5 } }, 'origins("http://a"): connect.family must be 0, 4 or 6'],
    [{ connect: { rejectUnauthorised: true } }, /^origins\("http:\/\/a"\)\.connect\.rejectUnaut/],
    [5, 'origins("http://a") must be an object'],
    [new Map(), 'origins("http://a") must be an object'],
    [Promise.resolve({}), /^origins\("http:\/\/a"\) must be an object, not a Promise/],
  ])('%j returned by a function names rule and key', (returned, message) => {
    const agent = new Agent({ origins: () => returned as never });
    const [error] = send(agent, 'http://a').errors;
    expect(error).toBeInstanceOf(errors.InvalidArgumentError);
    expect(() => {
      throw error!;
    }).toThrow(message);
  });

  it.each([
    ['Client', () => new Client('http://a', { origins } as never)],
    ['Pool', () => new Pool('http://a', { origins } as never)],
    ['BalancedPool', () => new BalancedPool([], { origins } as never)],
    ['RoundRobinPool', () => new RoundRobinPool('http://a', { origins } as never)],
    ['ProxyAgent', () => new ProxyAgent({ uri: 'http://a', origins } as never)],
    ['EnvHttpProxyAgent', () => new EnvHttpProxyAgent({ origins } as never)],
    ['Socks5ProxyAgent', () => new Socks5ProxyAgent('socks5://a', { origins } as never)],
  ])('are refused by %s', (name, construct) => {
    expect(construct).toThrow(errors.InvalidArgumentError);
    expect(construct).toThrow(`origins is an option of Agent, not of ${name}`);
  });

  it('returned by a function, if invalid, fail the request with the name of the option', () => {
    const { agent } = scriptedAgent({ origins: () => ({ maxOrigin: 1 }) as never });
    const [error] = send(agent, 'http://a').errors;
    expect(error).toBeInstanceOf(errors.InvalidArgumentError);
    expect(error!.message).toBe('origins("http://a").maxOrigin is not a per-origin option');
  });

  it.each([
    [{ origins: 1 }, 'origins must be an object or a function'],
    [{ origins: [] }, 'origins must be an object or a function'],
    [{ origins: new Map([['a', {}]]) }, 'origins must be an object or a function'],
    [{ origins: Promise.resolve({}) }, 'origins must be an object or a function'],
    [{ origins: { a: new Map() } }, 'origins["a"] must be an object'],
    [
      { origins: { 'https://user:secret@a': {} } },
      'invalid origin pattern "https://a": it must not contain a user name or a password',
    ],
    [
      { origins: { a: { connect: { rejectUnauthorised: false } } } },
      'origins["a"].connect.rejectUnauthorised is not an option',
    ],
    [
      { origins: { a: { tls: { sevrername: 'a' } } } },
      'origins["a"].tls.sevrername is not an option',
    ],
    [{ origins: { 'a b': {} } }, /^invalid origin pattern "a b"/],
    [{ origins: { a: { connections: -1 } } }, 'origins["a"]: invalid connections'],
    [{ origins: { a: { headersTimeout: -1 } } }, /^origins\["a"\]: headersTimeout must be/],
    [
      { origins: { a: { connect: { family: 5 } } } },
      'origins["a"]: connect.family must be 0, 4 or 6',
    ],
    [{ origins: { a: { maxOrigins: 1 } } }, 'origins["a"].maxOrigins is not a per-origin option'],
    [{ ioThreads: 0 }, /^ioThreads must be an integer from 1 to 64/],
    [{ ioThreads: 1.5 }, /^ioThreads must be an integer/],
    [{ ioThreads: '2' }, /^ioThreads must be an integer/],
    [{ headersTimeout: -1 }, 'headersTimeout must be a positive integer or zero'],
  ])('%j is refused at construction', (options, message) => {
    const construct = () => new Agent(options as never);
    expect(construct).toThrow(errors.InvalidArgumentError);
    expect(construct).toThrow(message);
  });
});

describe('constructor options', () => {
  it('are validated as the peer validates them', () => {
    const cases: object[] = [
      { factory: 'x' },
      { factory: null },
      { connect: 1 },
      { connect: false },
      { connect: null },
      { maxOrigins: 0 },
      { maxOrigins: -1 },
      { maxOrigins: NaN },
      { maxOrigins: '1' },
      { maxOrigins: null },
      { maxOrigins: Infinity },
      {},
    ];
    const verdict = (construct: () => unknown) => {
      try {
        construct();
        return 'accepted';
      } catch (error) {
        const { name, message } = error as Error;
        return { name, message };
      }
    };
    for (const options of cases) {
      expect(
        verdict(() => new Agent(options)),
        JSON.stringify(options),
      ).toEqual(verdict(() => new peer.Agent(options)));
    }
  });
});
