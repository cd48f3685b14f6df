// Invalid input to the peer's Client and to ours must cause the same error, with nothing written.

import { Readable } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';
import * as peer from 'undici';

import { control, flushed } from '../support/addon';
import { Client } from '../../src/dispatchers/client';
import { peerMajor } from '../../src/undici/undici';

const handler = () => ({
  onRequestStart() {},
  onResponseStart() {},
  onResponseData() {},
  onResponseEnd() {},
});

type Case = [name: string, options: unknown, handler?: object | null];

const request = (more: object) => ({ path: '/', method: 'GET', ...more });

const cases: Case[] = [
  ['no options', undefined],
  ['options that are a string', 'x'],
  ['no path', { method: 'GET' }],
  ['a path that is a number', { path: 1, method: 'GET' }],
  ['a relative path', { path: 'a', method: 'GET' }],
  ['an empty path', { path: '', method: 'GET' }],
  ['a path with a space', { path: '/a b', method: 'GET' }],
  ['a path with a line break', { path: '/a\r\nb', method: 'GET' }],
  ['a path with a NUL', { path: '/\0', method: 'GET' }],
  ['a path beyond latin1', { path: '/\u0100', method: 'GET' }],
  ['no method', { path: '/' }],
  ['a method with a space', { path: '/', method: 'G ET' }],
  ['an empty method', { path: '/', method: '' }],
  ['a method with a line break', { path: '/', method: 'GET\r\n' }],
  ['an upgrade that is true', request({ upgrade: true })],
  ['an upgrade with a line break', request({ upgrade: 'a\r\nb' })],
  ['a negative headersTimeout', request({ headersTimeout: -1 })],
  ['a headersTimeout that is text', request({ headersTimeout: '1' })],
  ['a headersTimeout without end', request({ headersTimeout: Infinity })],
  ['a negative bodyTimeout', request({ bodyTimeout: -1 })],
  ['a bodyTimeout that is NaN', request({ bodyTimeout: NaN })],
  ['a reset that is a number', request({ reset: 0 })],
  ['an expectContinue that is text', request({ expectContinue: 'asd' })],
  ['throwOnError', request({ throwOnError: true })],
  ['maxRedirections', request({ maxRedirections: 1 })],
  ['a typeOfService of 256', request({ typeOfService: 256 })],
  ['a typeOfService of 1.5', request({ typeOfService: 1.5 })],
  ['a body that is a number', request({ body: 1 })],
  ['a body that is an object', request({ body: {} })],
  ['a body that is true', request({ body: true })],
  ['a body that is a function', request({ body: () => {} })],
  ['query with a path that has one', request({ path: '/?a', query: { a: 1 } })],
  ['headers that are text', request({ headers: 'x' })],
  ['headers that are a number', request({ headers: 0 })],
  ['headers of odd length', request({ headers: ['a'] })],
  ['header pairs of three', request({ headers: new Set([['a', 'b', 'c']]) })],
  ['header pairs that are text', request({ headers: new Set(['ab']) })],
  ['a header name with a space', request({ headers: { 'a b': 'c' } })],
  ['an empty header name', request({ headers: { '': 'c' } })],
  ['a header name beyond ASCII', request({ headers: { ä: 'c' } })],
  ['a header name that is a number', request({ headers: [1, 'c'] })],
  ['a header value with a line break', request({ headers: { a: 'b\r\nc' } })],
  ['a header value with a NUL', request({ headers: { a: '\0' } })],
  ['a header value beyond latin1', request({ headers: { a: '\u0100' } })],
  ['a header value that is an object', request({ headers: { a: {} } })],
  ['a header value that is a symbol', request({ headers: { a: Symbol('x') } })],
  ['a list of header values with an object', request({ headers: { a: ['b', {}] } })],
  ['a list of header values with a line break', request({ headers: { a: ['b', '\n'] } })],
  [
    'a list of header values with a bad coercion',
    request({ headers: { a: [() => '\n', { toString: () => '' }] } }),
  ],
  ['two hosts', request({ headers: ['host', 'a', 'Host', 'b'] })],
  ['a list of hosts', request({ headers: { host: ['a'] } })],
  ['two content-lengths', request({ headers: ['content-length', '1', 'Content-Length', '1'] })],
  ['a content-length that is text', request({ headers: { 'content-length': 'asd' } })],
  ['a negative content-length', request({ headers: { 'content-length': '-1' } })],
  ['an empty content-length', request({ headers: { 'content-length': '' } })],
  ['a list of content-lengths', request({ headers: { 'content-length': ['1'] } })],
  ['transfer-encoding', request({ headers: { 'Transfer-Encoding': 'chunked' } })],
  ['keep-alive', request({ headers: { 'keep-alive': 'timeout=1' } })],
  ['upgrade', request({ headers: { upgrade: 'x' } })],
  ['a connection with a space', request({ headers: { connection: 'a b' } })],
  ['an empty connection', request({ headers: { connection: '' } })],
  ['a connection that is null', request({ headers: { connection: null } })],
  ['a list of connections', request({ headers: { connection: ['close'] } })],
  ['expect', request({ headers: { expect: '100-continue' } })],
  ['no handler', request({}), null],
  ['a handler without methods', request({}), {}],
];

/** Checked by undici 8, not by undici 7. */
const newerCases: Case[] = [
  ['a dispatcher', request({ dispatcher: {} })],
  [
    'a handler without onResponseError',
    request({}),
    { onRequestStart() {}, onResponseError: undefined },
  ],
  [
    'a handler whose onBodySent is no function',
    request({}),
    { onRequestStart() {}, onBodySent: 1 },
  ],
  [
    'a handler whose onRequestSent is no function',
    request({}),
    { onRequestStart() {}, onRequestSent: '' },
  ],
  ['a handler without onResponseStart', request({}), { ...handler(), onResponseStart: null }],
  ['a handler without onResponseData', request({}), { ...handler(), onResponseData: 1 }],
  ['a handler without onResponseEnd', request({}), { ...handler(), onResponseEnd: undefined }],
  ['a CONNECT without onRequestUpgrade', { path: 'a:1', method: 'CONNECT' }],
  ['an upgrade without onRequestUpgrade', request({ upgrade: 'x' })],
];

const legacy = () => ({
  onConnect() {},
  onHeaders() {},
  onData() {},
  onComplete() {},
  onError() {},
  onUpgrade() {},
});

/** Handlers of the older generation, which undici 8 rejects. */
const olderCases: Case[] = [
  ['a legacy handler without onHeaders', request({}), { ...legacy(), onHeaders: undefined }],
  ['a legacy handler without onData', request({}), { ...legacy(), onData: undefined }],
  ['a legacy handler without onComplete', request({}), { ...legacy(), onComplete: 1 }],
  ['a legacy handler without onError', request({}), { ...legacy(), onError: undefined }],
  ['a legacy handler whose onBodySent is no function', request({}), { ...legacy(), onBodySent: 1 }],
  [
    'a legacy upgrade without onUpgrade',
    request({ upgrade: 'x' }),
    { ...legacy(), onUpgrade: undefined },
  ],
];

/** How a dispatcher rejects: what it throws, and the error passed to the handler. */
function refusal(dispatcher: any, options: unknown, given: object | null | undefined) {
  const told: unknown[] = [];
  const full =
    given === undefined
      ? { ...handler(), onResponseError: (...args: unknown[]) => told.push(args) }
      : given && 'onRequestStart' in given && !('onResponseError' in given)
        ? { ...given, onResponseError: (...args: unknown[]) => told.push(args) }
        : given && 'onError' in given && given.onError !== undefined
          ? { ...given, onError: (error: unknown) => told.push([null, error]) }
          : given;
  const describeError = (error: any) => ({
    class: error.constructor.name,
    name: error.name,
    message: error.message,
    code: error.code,
  });
  try {
    const returned = dispatcher.dispatch(options, full);
    return {
      returned,
      told: (told as [unknown, unknown][]).map(([controller, error]) => [
        // undici 7 has no controller and passes undefined.
        controller ?? null,
        describeError(error),
      ]),
    };
  } catch (error) {
    return { thrown: describeError(error), told: told.length };
  }
}

describe('validation', () => {
  afterEach(() => control.reset());

  for (const [name, options, given] of [...cases, ...(peerMajor >= 8 ? newerCases : olderCases)]) {
    it(`rejects ${name} exactly as the peer does`, async () => {
      const ours = new Client('http://localhost:1');
      const theirs = new peer.Client('http://localhost:1');
      const expected = refusal(theirs, options, given);
      expect('thrown' in expected || expected.told.length === 1).toBe(true);
      expect(refusal(ours, options, given)).toEqual(expected);
      await flushed();
      expect(control.submitted).toEqual([]);
      expect(ours.stats.size).toBe(0);
      await theirs.destroy();
    });
  }

  it('rejects a FormData that is not the peer’s with undici 8', () => {
    const body = new FormData();
    const ours = refusal(
      new Client('http://localhost:1'),
      request({ method: 'POST', body }),
      undefined,
    );
    const theirs = refusal(
      new peer.Client('http://localhost:1'),
      request({ method: 'POST', body }),
      undefined,
    );
    expect(ours).toEqual(theirs);
  });

  it('rejects requests to a closed or destroyed client', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const ours = new Client('http://localhost:1');
      const theirs = new peer.Client('http://localhost:1');
      void ours[end]();
      void theirs[end]();
      expect(refusal(ours, request({}), undefined)).toEqual(
        refusal(theirs, request({}), undefined),
      );
    }
  });

  it('fails a body whose length contradicts content-length before anything is written', async () => {
    const ours = new Client('http://localhost:1');
    const body = new Readable({ read() {} });
    body.push('abc');
    body.push(null);
    const failure = await ours
      .request({ path: '/', method: 'POST', headers: { 'content-length': '5' }, body })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(peer.errors.RequestContentLengthMismatchError);
    expect(control.of('Dispatch')).toEqual([]);
  });
});
