// S9: however a host is spelled, its rule applies, and an origin has one pool.

import type { LookupFunction } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Agent, type Dispatcher } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';

let origin: Origin;
let port: string;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => response.end(request.headers.host));
  ({ port } = new URL(origin.url));
});

afterAll(() => origin.close());

/** A rule for `pattern`, and the names looked up for it. */
function ruled(pattern: string): { agent: Agent; asked: string[] } {
  const asked: string[] = [];
  const lookup = ((name: string, _options: object, done: (...given: unknown[]) => void) => {
    asked.push(name);
    done(null, [{ address: '127.0.0.1', family: 4 }]);
  }) as unknown as LookupFunction;
  const refused = { lookup: (() => expect.unreachable('no rule applied')) as LookupFunction };
  return {
    agent: new Agent({ connect: refused, origins: { [pattern]: { connect: { lookup } } } }),
    asked,
  };
}

async function hostOf(agent: Dispatcher, url: string): Promise<string> {
  const { origin: whole } = /^(?<origin>https?:\/\/[^/]*)/.exec(url)!.groups!;
  const { body } = await agent.request({ origin: whole!, path: '/', method: 'GET' });
  return body.text();
}

const SAME: [pattern: string, hosts: string[]][] = [
  [
    'rule.test',
    ['rule.test', 'RULE.test', 'rule.test.', 'Rule.Test.', 'r%75le.test', 'ｒule.test'],
  ],
  ['rule.test.', ['rule.test', 'rule.test.']],
  ['RULE.TEST', ['rule.test', 'rule.test.']],
  ['*.rule.test', ['a.rule.test', 'A.RULE.TEST.', 'a.b.rule.test.']],
  ['*.rule.test.', ['a.rule.test', 'a.rule.test.']],
  ['bücher.test', ['bücher.test', 'xn--bcher-kva.test', 'BÜCHER.test.', 'XN--BCHER-KVA.test']],
  ['xn--bcher-kva.test', ['bücher.test', 'bücher.test.']],
];

describe('s09 a pattern applies to every spelling of its host', () => {
  for (const [pattern, hosts] of SAME) {
    for (const host of hosts) {
      it(`${pattern}: ${host}`, async () => {
        const { agent, asked } = ruled(pattern);
        await hostOf(agent, `http://${host}:${port}`);
        expect(asked).toHaveLength(1);
        await agent.destroy();
      });
    }
  }

  for (const [pattern, hosts] of [
    ['127.0.0.1', ['127.0.0.1', '127.1', '0x7f.1', '2130706433', '0177.0.0.1', '127.0.0.1.']],
    ['0x7f.0.0.1', ['127.0.0.1', '127.1']],
    ['[::1]', ['[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]']],
    ['[::ffff:7f00:1]', ['[::ffff:127.0.0.1]', '[0:0:0:0:0:FFFF:7f00:0001]']],
  ] as const) {
    for (const host of hosts) {
      it(`${pattern}: ${host}`, async () => {
        const agent = new Agent({ origins: { [pattern]: { connect: { socketPath: '/rule' } } } });
        await expect(hostOf(agent, `http://${host}:${port}`)).rejects.toMatchObject({
          code: 'ENOENT',
        });
        await agent.destroy();
      });
    }
  }

  it('and to its port, however it is given', async () => {
    for (const [pattern, url] of [
      ['http://rule.test', 'http://rule.test.:80'],
      ['http://rule.test:80', 'HTTP://RULE.test'],
      ['https://rule.test:443', 'https://rule.test.'],
    ] as const) {
      const agent = new Agent({ origins: { [pattern]: { connect: { socketPath: '/rule' } } } });
      const request = agent.request({ origin: url, path: '/', method: 'GET' });
      await expect(request).rejects.toMatchObject({ code: 'ENOENT' });
      await agent.destroy();
    }
  });

  it('two patterns for the same host are rejected', () => {
    for (const [one, other] of [
      ['rule.test', 'rule.test.'],
      ['*.rule.test', '*.RULE.test.'],
      ['127.0.0.1', '0x7f.1'],
    ] as const) {
      expect(() => new Agent({ origins: { [one]: {}, [other]: {} } })).toThrow('means the same');
    }
  });
});

it('s09 spellings of one origin share its pool; a name with a trailing dot is another', async () => {
  const agent = new Agent({ connections: 1 });
  let connections = 0;
  agent.on('connect', () => connections++);
  const text = `http://localhost:${port}`;
  for (const spelled of [text, `${text}/`, new URL(text), text.replace('localhost', 'LOCALHOST')]) {
    const { body } = await agent.request({ origin: spelled, path: '/', method: 'GET' });
    expect(await body.text()).toBe(`localhost:${port}`);
  }
  expect(connections).toBe(1);
  expect(Object.keys(agent.stats)).toEqual([text]);
  await agent.destroy();
});
