// Every API of the dispatcher over every kind of origin.

import type { RequestListener } from 'node:http';
import { pipeline as pipe, Readable, Writable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Client, fetch as peerFetch, Pool } from '../../src/index';
import { Recorder } from '../support/recorder';
import { httpOrigin, httpsOrigin, unixOrigin, type Origin } from '../support/servers';

const listener: RequestListener = (request, response) => {
  if (request.url === '/echo') {
    response.setHeader('x-method', request.method!);
    request.pipe(response);
    return;
  }
  response.setHeader('content-type', 'text/plain');
  response.setHeader('Set-Cookie', ['a=1', 'b=2']);
  response.end(`hello from ${request.url}`);
};

const kinds = { http: httpOrigin, https: httpsOrigin, unix: unixOrigin };

for (const [kind, makeOrigin] of Object.entries(kinds)) {
  describe(`over ${kind}`, () => {
    let origin: Origin;
    let client: Client;

    beforeAll(async () => {
      origin = await makeOrigin(listener);
      client = new Client(origin.url, origin.options);
    });

    afterAll(async () => {
      await client.close();
      await origin.close();
    });

    it('request() gets status, headers and body', async () => {
      const { statusCode, statusText, headers, body } = await client.request({
        path: '/a',
        method: 'GET',
      });
      expect([statusCode, statusText]).toEqual([200, 'OK']);
      expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
      expect(await body.text()).toBe('hello from /a');
    });

    it('stream() writes into what the factory returns', async () => {
      let text = '';
      await client.stream({ path: '/b', method: 'GET' }, () => {
        return new Writable({
          write(chunk, _encoding, done) {
            text += String(chunk);
            done();
          },
        });
      });
      expect(text).toBe('hello from /b');
    });

    it('pipeline() is a Duplex', async () => {
      let text = '';
      await new Promise<void>((resolve, reject) => {
        pipe(
          Readable.from(['one ', 'two']),
          client.pipeline({ path: '/echo', method: 'POST' }, ({ body }) => body),
          new Writable({
            write(chunk, _encoding, done) {
              text += String(chunk);
              done();
            },
          }),
          (error) => (error ? reject(error) : resolve()),
        );
      });
      expect(text).toBe('one two');
    });

    it('dispatch() calls the handler in order', async () => {
      const recorder = new Recorder();
      await new Promise<void>((resolve) => {
        recorder.during = (name) => {
          if (name === 'end' || name === 'error') resolve();
        };
        client.dispatch({ path: '/c', method: 'GET' }, recorder);
      });
      expect(recorder.names).toEqual(['start', 'head', 'data', 'end']);
      expect(recorder.last('data')[1]).toBe('hello from /c');
    });

    it("the peer's fetch() works through it", async () => {
      const response = await peerFetch(`${origin.url}/echo`, {
        method: 'POST',
        body: 'fetched',
        dispatcher: client,
      });
      expect(response.headers.get('x-method')).toBe('POST');
      expect(await response.text()).toBe('fetched');
    });

    it("Node's own fetch() works through it", async () => {
      const response = await fetch(`${origin.url}/echo`, {
        method: 'PUT',
        body: new Blob(['built in']),
        dispatcher: client,
      } as never);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('built in');
    });

    it('all used one connection', () => {
      expect(origin.sockets.size).toBe(1);
    });

    it('a pool serves all requests over no more connections than allowed', async () => {
      const before = origin.sockets.size;
      const pool = new Pool(origin.url, { ...origin.options, connections: 3 });
      const texts = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const { body } = await pool.request({ path: `/${i}`, method: 'GET' });
          return body.text();
        }),
      );
      expect(texts).toEqual(Array.from({ length: 20 }, (_, i) => `hello from /${i}`));
      expect(origin.sockets.size - before).toBeLessThanOrEqual(3);
      expect(pool.stats.connected).toBeGreaterThan(0);
      await pool.close();
    });
  });
}
