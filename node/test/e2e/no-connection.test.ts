// Attempts that cannot succeed: a lookup that never answers, or has no usable address, and rules that throw
// or allow nothing. Whatever an option of undici's or ours is, the request fails with a typed error, and
// nothing waits or stays behind.
import { BlockList } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Agent, type AgentOptions, type RequestTimings, TotalTimeoutError } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';

type Done = (error: Error | null, ...found: unknown[]) => void;

const thrown = new Error('thrown');
const fail = (): never => {
  throw thrown;
};
const finds = (found: unknown) => (_name: string, _options: object, done: Done) =>
  done(null, found);
const NOT_ALLOWED = 'ERR_DODICI_ADDRESS_NOT_ALLOWED';

/** Options of `connect`, and what the request fails with. */
const CASES: Record<string, [connect: object, failure: object]> = {
  'a lookup that never answers': [
    { lookup: () => {}, timeout: 50 },
    { code: 'UND_ERR_CONNECT_TIMEOUT', phase: 'resolve' },
  ],
  'a lookup that throws': [{ lookup: fail }, thrown],
  'a lookup that finds no address': [{ lookup: finds([]) }, { code: 'ENOTFOUND' }],
  'a lookup that finds what is none': [
    { lookup: finds([{ address: 'nonsense', family: 4 }]) },
    { code: 'ERR_INVALID_IP_ADDRESS' },
  ],
  'a rule that throws': [
    { lookup: finds([{ address: '127.0.0.1', family: 4 }]), allow: fail },
    { code: NOT_ALLOWED, cause: thrown },
  ],
  'a list that allows no address': [
    { lookup: finds([{ address: '127.0.0.1', family: 4 }]), allow: new BlockList() },
    { code: NOT_ALLOWED },
  ],
};

let origin: Origin;
let accepted = 0;
const agents: Agent[] = [];

beforeEach(async () => {
  accepted = 0;
  origin = await httpOrigin((_request, response) => response.end('ok'));
  origin.server.on('connection', () => accepted++);
});

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
  await origin.close();
});

describe.each(Object.entries(CASES))('%s', (_name, [connect, failure]) => {
  const bad = (): string => `http://bad.test:${new URL(origin.url).port}`;

  function made(options: AgentOptions = {}): Agent {
    const origins = { [bad()]: { connect } } as AgentOptions['origins'];
    const agent = new Agent({ ...options, origins });
    agents.push(agent);
    return agent;
  }

  const ask = async (agent: Agent, url: string, options: object = {}): Promise<string> =>
    (await agent.request({ origin: url, path: '/', method: 'GET', ...options })).body.text();

  it('fails requests, and leaves no connection', async () => {
    const agent = made({ dns: { ttl: 60_000 }, totalTimeout: 60_000, minBodyRate: 1 });
    for (let i = 0; i < 2; i++) await expect(ask(agent, bad())).rejects.toMatchObject(failure);
    expect(await agent.connections()).toEqual([]);
    expect(await ask(agent, origin.url)).toBe('ok');
    expect(accepted).toBe(1);
    await agent.close();
  });

  it('makes room under maxConnections', async () => {
    const agent = made({ maxConnections: 1 });
    const failing = [ask(agent, bad()), ask(agent, bad())];
    const waiting = ask(agent, origin.url);
    const [first, second] = await Promise.allSettled(failing);
    expect([first, second]).toMatchObject(Array(2).fill({ status: 'rejected', reason: failure }));
    expect(await waiting).toBe('ok');
  });

  it('rejects preconnect()', async () => {
    // The agent may drop its pool, which has nothing left, before the answer arrives.
    const several = Array.from({ length: 20 }, () => made({ maxConnections: 2 }));
    const asked = await Promise.allSettled(several.map((agent) => agent.preconnect(bad(), 2)));
    expect(asked).toMatchObject(Array(20).fill({ status: 'rejected', reason: failure }));
    expect(await several[0]?.preconnect(origin.url, 2)).toBe(2);
  });

  it('is in the timings as a request without a connection', async () => {
    const timings = await new Promise<RequestTimings>((timings) => {
      ask(made(), bad(), { timings }).catch(() => {});
    });
    const nothing = { assigned: null, headSent: null, firstByte: null, connection: null };
    expect(timings).toMatchObject({ ...nothing, isNew: null, end: expect.any(Number) });
  });
});

it('totalTimeout does not wait for a lookup that never answers', async () => {
  const agent = new Agent({ totalTimeout: 50, connect: { lookup: () => {} } as object });
  agents.push(agent);
  const asked = agent.request({ origin: 'http://a.test', path: '/', method: 'GET' });
  await expect(asked).rejects.toBeInstanceOf(TotalTimeoutError);
  await asked.catch((error: unknown) => expect(error).toMatchObject({ phase: 'queued' }));
});
