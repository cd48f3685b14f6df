// The order of undici's diagnostics messages, and the sockets in them, when a response closes its
// connection and the next request uses another one.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, type Dispatcher } from '../../src/index';
import { peer, peerMajor } from '../../src/undici/undici';
import { attempt, Cleanup, wireOrigin } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Message {
  readonly request?: { readonly path: string };
  readonly socket?: { readonly localPort: number };
}

const NAMES = [
  ...['client:beforeConnect', 'client:connected', 'client:sendHeaders'],
  ...['request:create', 'request:bodySent', 'request:headers', 'request:trailers'],
];

/** Collects messages, with paths and with sockets as numbers, and the events of `dispatcher`. */
function record(dispatcher: Dispatcher): string[] {
  const log: string[] = [];
  const ports: number[] = [];
  for (const name of NAMES) {
    const listener = (message: unknown): void => {
      const { request, socket } = message as Message;
      if (socket !== undefined && !ports.includes(socket.localPort)) ports.push(socket.localPort);
      const number = socket === undefined ? '' : ` #${ports.indexOf(socket.localPort) + 1}`;
      log.push(`${name} ${request?.path ?? ''}${number}`);
    };
    subscribe(`undici:${name}`, listener);
    cleanup.add(() => unsubscribe(`undici:${name}`, listener));
  }
  for (const name of ['connect', 'disconnect']) {
    (dispatcher as EventEmitter).on(name, () => log.push(`(${name})`));
  }
  return log;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const BODY = 'content-length: 2\r\n\r\nok';

interface Case {
  readonly title: string;
  readonly answer?: string;
  /** The server closes the connection after the response. */
  readonly closes?: boolean;
  readonly options?: object;
  readonly request?: object;
}

const CASES: Case[] = [
  { title: 'the connection stays' },
  { title: 'a hint of one second', answer: `${OK}keep-alive: timeout=1\r\n${BODY}` },
  { title: 'a hint of three seconds', answer: `${OK}keep-alive: timeout=3\r\n${BODY}` },
  { title: 'connection: close', answer: `${OK}connection: close\r\n${BODY}`, closes: true },
  { title: 'no length', answer: `${OK}\r\nok`, closes: true },
  { title: 'HTTP/1.0', answer: `HTTP/1.0 200 OK\r\n${BODY}` },
  {
    title: 'HTTP/1.0 with keep-alive',
    answer: `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${BODY}`,
  },
  { title: 'HEAD', answer: `${OK}content-length: 2\r\n\r\n`, request: { method: 'HEAD' } },
  { title: 'reset', request: { reset: true } },
  { title: 'no pipelining', options: { pipelining: 0 } },
  // undici 7 uses one connection for all three.
  ...(peerMajor === 7
    ? []
    : [{ title: 'two requests at most', options: { maxRequestsPerClient: 2 } }]),
];

async function play(
  make: (url: string, options: object) => Dispatcher,
  { answer = OK + BODY, closes = false, options = {}, request = {} }: Case,
): Promise<string[]> {
  const origin = await wireOrigin((socket) => {
    if (closes) socket.end(answer, 'latin1');
    else socket.write(answer, 'latin1');
  });
  const dispatcher = make(origin.url, options);
  const log = record(dispatcher);
  for (const path of ['/1', '/2', '/3']) {
    const outcome = await attempt(dispatcher, { origin: origin.url, path, ...request });
    expect(outcome).toEqual({ status: 200 });
  }
  await dispatcher.close();
  await cleanup.run();
  await origin.close();
  return log;
}

describe('diagnostics messages of consecutive requests', () => {
  it.each(CASES)('are published as undici’s, with the same sockets: $title', async (scenario) => {
    const theirs = await play((url, options) => new peer.Client(url, options), scenario);
    const ours = await play((url, options) => new Client(url, options), scenario);
    expect(ours).toEqual(theirs);
  });

  it('of an Agent name the connection that a request uses', async () => {
    const answer = `${OK}keep-alive: timeout=1\r\n${BODY}`;
    const log = await play(() => new Agent(), { title: '', answer });
    const each = (number: number): string[] => [
      ...['client:beforeConnect ', `client:connected  #${number}`, '(connect)'],
      `client:sendHeaders /${number} #${number}`,
      ...[`request:bodySent /${number}`, `request:headers /${number}`],
      ...[`request:trailers /${number}`],
    ];
    expect(log).toEqual([
      ...['request:create /1', ...each(1)],
      ...['request:create /2', '(disconnect)', ...each(2)],
      ...['request:create /3', '(disconnect)', ...each(3), '(disconnect)'],
    ]);
  });
});
