// S1, S2: every byte in every caller-supplied position of a request.

import { Client as PeerClient } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import { attempt, headLines, wireOrigin, type Outcome, type WireOrigin } from '../support/wire';

let origin: WireOrigin;
let client: Client;
let peer: PeerClient;

beforeAll(async () => {
  origin = await wireOrigin();
  client = new Client(origin.url);
  peer = new PeerClient(origin.url, { allowH2: false });
});

afterAll(async () => {
  await client.destroy();
  await peer.destroy();
  await origin.close();
});

const typedBlob = (type: string) => Object.defineProperty(new Blob(['x']), 'type', { value: type });

/** Each position as a function of the text put there, and the line that must result. */
const places: Record<
  string,
  { options: (text: string) => object; line: (text: string) => string }
> = {
  method: {
    options: (text) => ({ method: `G${text}T` }),
    line: (text) => `G${text}T / HTTP/1.1`,
  },
  path: {
    options: (text) => ({ path: `/a${text}b` }),
    line: (text) => `GET /a${text}b HTTP/1.1`,
  },
  'end of the path': {
    options: (text) => ({ path: `/a${text}` }),
    line: (text) => `GET /a${text} HTTP/1.1`,
  },
  query: {
    options: (text) => ({ path: `/?a=${text}b` }),
    line: (text) => `GET /?a=${text}b HTTP/1.1`,
  },
  'header name': {
    options: (text) => ({ headers: { [`x${text}y`]: 'v' } }),
    line: (text) => `x${text}y: v`,
  },
  'header name in a flat array': {
    options: (text) => ({ headers: [`${text}y`, 'v'] }),
    line: (text) => `${text}y: v`,
  },
  'header value': {
    options: (text) => ({ headers: { x: `v${text}w` } }),
    line: (text) => `x: v${text}w`,
  },
  'header value in an iterable': {
    options: (text) => ({ headers: new Map([['x', `v${text}`]]) }),
    line: (text) => `x: v${text}`,
  },
  'header value in a list': {
    options: (text) => ({ headers: { x: ['u', `${text}w`] } }),
    line: (text) => `x: ${text}w`,
  },
  host: {
    options: (text) => ({ headers: { host: `a${text}b` } }),
    line: (text) => `host: a${text}b`,
  },
  'content-type': {
    options: (text) => ({ method: 'POST', body: 'x', headers: { 'content-type': `a/${text}b` } }),
    line: (text) => `content-type: a/${text}b`,
  },
  'type of a Blob': {
    options: (text) => ({ method: 'POST', body: typedBlob(`a/${text}b`) }),
    line: (text) => `content-type: a/${text}b`,
  },
  cookie: {
    options: (text) => ({ headers: { cookie: `a=${text}b` } }),
    line: (text) => `cookie: a=${text}b`,
  },
  'authority of CONNECT': {
    options: (text) => ({ method: 'CONNECT', path: `a${text}b:443` }),
    line: (text) => `CONNECT a${text}b:443 HTTP/1.1`,
  },
  upgrade: {
    options: (text) => ({ upgrade: `a${text}b` }),
    line: (text) => `upgrade: a${text}b`,
  },
};

/** The outcome, and what it put on the wire. */
async function run(dispatcher: object, options: object): Promise<[Outcome, string[]]> {
  const before = origin.requests.length;
  const outcome = await attempt(dispatcher, options);
  return [outcome, origin.requests.slice(before)];
}

describe('s01 a byte from 0x00 to 0xff', () => {
  for (const [place, { options, line }] of Object.entries(places)) {
    it(`in the ${place} is rejected as in undici, or sent unchanged in one request`, async () => {
      let refused = 0;
      let sent = 0;
      for (let byte = 0; byte <= 0xff; byte++) {
        const text = String.fromCharCode(byte);
        const [outcome, requests] = await run(client, options(text));
        const [expected] = await run(peer, options(text));
        expect([byte, outcome]).toEqual([byte, expected]);
        if (requests.length === 0) {
          expect(outcome).toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
          refused++;
          continue;
        }
        sent++;
        expect(requests).toHaveLength(1);
        expect(headLines(requests[0]!)).toContain(line(text));
      }
      // Some are rejected and some are sent, and no byte of a rejected request was written.
      expect(refused).toBeGreaterThan(30);
      expect(sent).toBeGreaterThan(70);
      expect(origin.rest()).toBe('');
    });
  }
});

describe('s02 a code point beyond latin1', () => {
  // Their low bytes: LF, CR, NUL, space, colon; and one that lower-cases to an ASCII letter.
  const points = [
    '\u010a',
    '\u010d',
    '\u0100',
    '\u0120',
    '\u013a',
    '\u212a',
    '\uff0a',
    '\u{1f60a}',
  ];

  for (const [place, { options }] of Object.entries(places)) {
    it(`in the ${place} is rejected, and nothing is written`, async () => {
      for (const point of points) {
        const [outcome, requests] = await run(client, options(point));
        expect([point, outcome]).toMatchObject([point, { code: 'UND_ERR_INVALID_ARG' }]);
        expect(requests).toEqual([]);
      }
      const marker = await run(client, { path: '/marker' });
      expect(marker).toMatchObject([{ status: 200 }, [expect.stringMatching(/^GET \/marker /)]]);
      expect(origin.rest()).toBe('');
    });
  }
});
