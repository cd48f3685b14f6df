// Origin patterns: grammar, matching, and precedence.
import { describe, expect, it } from 'vitest';

import {
  checkOriginOptions,
  findRule,
  mergeOptions,
  parseOrigins,
  parsePattern,
} from '../../src/options/origins';
import { errors } from '../../src/undici/undici';

/** The pattern that wins for `origin`, whatever the order in which they were given. */
function winner(patterns: string[], origin: string): string | undefined {
  const results = [patterns, [...patterns].reverse()].map((order) => {
    const rules = parseOrigins(Object.fromEntries(order.map((pattern) => [pattern, {}])));
    return findRule(rules, new URL(origin))?.pattern.text;
  });
  expect(results[0]).toBe(results[1]);
  return results[0];
}

const matches = (pattern: string, origin: string) => winner([pattern], origin) !== undefined;

describe('an origin pattern', () => {
  it.each([
    ['https://api.example.com', 'https://api.example.com'],
    ['https://api.example.com', 'https://api.example.com:443'],
    ['HTTPS://API.Example.COM/', 'https://api.example.com'],
    ['https://api.example.com:8443', 'https://api.example.com:8443'],
    ['https://api.example.com:*', 'https://api.example.com:8443'],
    ['api.example.com', 'http://api.example.com:8080'],
    ['api.example.com', 'https://api.example.com'],
    ['api.example.com:443', 'https://api.example.com'],
    ['*.example.com', 'https://a.example.com'],
    ['*.example.com', 'https://a.b.example.com:1'],
    ['http://*.internal:8080', 'http://a.internal:8080'],
    ['*', 'http://anything:1'],
    ['https://*', 'https://anything'],
    ['*:8080', 'http://anything:8080'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['[::0001]', 'http://[::1]:3000'],
    ['127.0.0.1', 'http://127.0.0.1:3000'],
    ['*.münchen.example', 'https://www.xn--mnchen-3ya.example'],
    ['localhost', 'http://localhost:3000'],
  ])('%s matches %s', (pattern, origin) => {
    expect(matches(pattern, origin)).toBe(true);
  });

  it.each([
    ['https://api.example.com', 'http://api.example.com'],
    ['https://api.example.com', 'https://api.example.com:8443'],
    ['api.example.com:443', 'http://api.example.com'],
    ['*.example.com', 'https://example.com'],
    ['*.example.com', 'https://evilexample.com'],
    ['*.example.com', 'https://example.com.evil'],
    ['http://*.internal:8080', 'http://a.internal'],
    ['https://*', 'https://anything:8443'],
    ['example.com', 'https://www.example.com'],
  ])('%s does not match %s', (pattern, origin) => {
    expect(matches(pattern, origin)).toBe(false);
  });

  it.each([
    '',
    'ftp://example.com',
    'https://',
    'https://example.com/path',
    'https://example.com?query',
    'https://user@example.com',
    'https://example.com:0',
    'https://example.com:65536',
    'https://example.com:http',
    'a.*.example.com',
    'api-*.example.com',
    '**.example.com',
    '*.*.example.com',
    '*example.com',
    'exa mple.com',
    '*://example.com',
    'http://[::g]',
    '*.1.2.3.4.5',
  ])('%j is refused', (pattern) => {
    expect(() => parsePattern(pattern)).toThrow(errors.InvalidArgumentError);
    expect(() => parsePattern(pattern)).toThrow(/^invalid origin pattern ".*": /);
  });

  it('equivalent to another is rejected', () => {
    expect(() =>
      parseOrigins({ 'https://example.com': {}, 'https://EXAMPLE.com:443/': {} }),
    ).toThrow(/it means the same as https:\/\/example\.com$/);
  });
});

describe('of several matching patterns', () => {
  const ALL = [
    '*',
    'https://*:*',
    '*.com',
    '*.example.com',
    '*.api.example.com',
    'https://*.api.example.com',
    'v1.api.example.com',
    'https://v1.api.example.com:*',
    'v1.api.example.com:443',
    'https://v1.api.example.com',
  ];

  it('the most specific wins: host, then port, then scheme', () => {
    const order: (string | undefined)[] = [];
    let left = ALL;
    while (left.length > 0) {
      const best = winner(left, 'https://v1.api.example.com')!;
      order.push(best);
      left = left.filter((pattern) => pattern !== best);
    }
    expect(order).toEqual([
      'https://v1.api.example.com',
      'v1.api.example.com:443',
      'https://v1.api.example.com:*',
      'v1.api.example.com',
      'https://*.api.example.com',
      '*.api.example.com',
      '*.example.com',
      '*.com',
      'https://*:*',
      '*',
    ]);
  });
});

describe('options of an origin', () => {
  it('must be an object of per-origin options', () => {
    for (const wrong of [null, undefined, 1, 'x', []]) {
      expect(() => parseOrigins({ 'a.example': wrong as object })).toThrow(
        'origins["a.example"] must be an object',
      );
    }
    expect(() => checkOriginOptions({ keepaliveTimeout: 1 }, 'here')).toThrow(
      'here.keepaliveTimeout is not a per-origin option',
    );
    for (const name of ['maxOrigins', 'origins', 'ioThreads', 'factory']) {
      expect(() => checkOriginOptions({ [name]: 1 }, 'here')).toThrow(errors.InvalidArgumentError);
    }
  });

  it('replace those of the agent, and connect objects are merged key by key', () => {
    const own = { connections: 1, connect: { ca: 'own' } };
    expect(
      mergeOptions({ connections: 5, pipelining: 2, connect: { ca: 'base', timeout: 9 } }, own),
    ).toEqual({ connections: 1, pipelining: 2, connect: { ca: 'own', timeout: 9 } });
    const connect = () => {};
    expect(mergeOptions({ connect }, own)['connect']).toEqual({ ca: 'own' });
    expect(mergeOptions({ connect: { timeout: 9 } }, { connect })['connect']).toBe(connect);
  });
});
