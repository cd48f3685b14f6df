// An origin that records every request exactly as received, and outcomes that can be compared.

import type * as net from 'node:net';

import { rawOrigin, type Origin } from './servers';

export interface WireOrigin extends Origin {
  /** Heads as latin1 text, each with its empty line, and the body after it. */
  readonly requests: string[];
  /** Bytes that do not form a complete request yet. */
  readonly rest: () => string;
  readonly connections: number;
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';

/** The length of the first request in `text`, or -1 while it is incomplete. */
function requestLength(text: string): number {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return -1;
  const head = text.slice(0, end + 2);
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) {
    const last = text.indexOf('0\r\n\r\n', end + 4);
    return last === -1 ? -1 : last + 5;
  }
  const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1] ?? 0);
  const total = end + 4 + length;
  return text.length < total ? -1 : total;
}

/** Answers every request with an empty 200, or with what `respond` writes. */
export async function wireOrigin(
  respond: (socket: net.Socket, request: string) => void = (socket) => socket.write(OK),
): Promise<WireOrigin> {
  const requests: string[] = [];
  const rests = new Map<net.Socket, string>();
  const counts = { connections: 0 };
  const origin = await rawOrigin((socket) => {
    counts.connections++;
    rests.set(socket, '');
    socket.on('data', (chunk) => {
      let text = rests.get(socket)! + chunk.toString('latin1');
      for (let length = requestLength(text); length !== -1; length = requestLength(text)) {
        const request = text.slice(0, length);
        text = text.slice(length);
        requests.push(request);
        respond(socket, request);
      }
      rests.set(socket, text);
    });
  });
  return Object.assign(Object.create(counts) as typeof counts, origin, {
    requests,
    rest: () => [...rests.values()].join(''),
  });
}

/** The outcome of a request: an error's class, code and message, or the status. */
export type Outcome =
  | { readonly name: string; readonly code: unknown; readonly message: string }
  | { readonly status: number };

/** Dispatches and waits for the end; an upgrade counts as one. */
export function attempt(dispatcher: object, options: object): Promise<Outcome> {
  return new Promise((resolve) => {
    let status = 0;
    const fail = (error: any): void =>
      resolve({ name: error?.constructor?.name, code: error?.code, message: error?.message });
    const handler = {
      onRequestStart() {},
      onRequestUpgrade(_controller: unknown, code: number, _headers: unknown, socket: any) {
        socket.on('error', () => {});
        socket.destroy();
        resolve({ status: code });
      },
      onResponseStart(_controller: unknown, code: number) {
        status = code;
      },
      onResponseData() {},
      onResponseEnd: () => resolve({ status }),
      onResponseError: (_controller: unknown, error: unknown) => fail(error),
    };
    try {
      (dispatcher as any).dispatch({ path: '/', method: 'GET', ...options }, handler);
    } catch (error) {
      fail(error);
    }
  });
}

/** The lines of a head, without the empty one; throws on a forbidden control byte. */
export function headLines(request: string): string[] {
  const head = request.slice(0, request.indexOf('\r\n\r\n'));
  const lines = head.split('\r\n');
  for (const line of lines) {
    if (/[\r\n\0]/.test(line)) throw new Error(`control byte in ${JSON.stringify(line)}`);
  }
  return lines;
}

/** Runs the functions that `close` collects, newest first. */
export class Cleanup {
  private readonly steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.steps.splice(0).reverse()) await step();
  }
}

/** Repeatable pseudo-random numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
