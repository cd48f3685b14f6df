// Responses that nobody reads, which only V8's collections end.

import { describe, expect, it } from 'vitest';

import { inChild } from '../support/child';

describe('an unread body', () => {
  const flags = ['--expose-gc'];

  it('releases its connection when it is collected, and holds one window until then', async () => {
    const sent = await inChild(
      `const http = require('node:http');
       const { once } = require('node:events');
       let sent = 0;
       const server = http.createServer((request, response) => {
         const more = () => {
           do sent += 65536;
           while (response.write(Buffer.alloc(65536)));
         };
         response.on('drain', more);
         more();
       });
       server.listen(0, '127.0.0.1');
       await once(server, 'listening');
       const dispatcher = new dodici.Agent();
       const url = 'http://127.0.0.1:' + server.address().port;
       const request = once(server, 'request');
       await (async () => void (await dodici.fetch(url, { dispatcher })))();
       const [, response] = await request;
       const collecting = setInterval(gc, 10);
       await once(response, 'close');
       clearInterval(collecting);
       server.close();
       await dispatcher.destroy();
       return sent;`,
      { flags },
    );
    // How much the kernel buffers on both sides is not under our control.
    expect(sent).toBeLessThan(16 << 20);
  });

  it('is read to its end if only the promise of its text, or its stream, is left', async () => {
    const texts = await inChild(
      `const http = require('node:http');
       const { once } = require('node:events');
       const server = http.createServer((request, response) => {
         response.write('first,');
         collected.then(() => response.end('second'));
       });
       server.listen(0, '127.0.0.1');
       await once(server, 'listening');
       const url = 'http://127.0.0.1:' + server.address().port;
       const dispatcher = new dodici.Agent();
       let collected = new Promise((resolve) => {
         let turns = 0;
         const collecting = setInterval(() => {
           gc();
           if (++turns === 20) resolve(clearInterval(collecting));
         }, 5);
       });
       const read = async () => (await dodici.fetch(url, { dispatcher })).text();
       const { body } = await dodici.fetch(url, { dispatcher });
       const texts = [await read(), ''];
       for await (const chunk of body) texts[1] += Buffer.from(chunk);
       server.close();
       await dispatcher.destroy();
       return texts;`,
      { flags },
    );
    expect(texts).toEqual(['first,second', 'first,second']);
  });

  // Nothing else allocates memory here, and without the flag V8 collects once, after eight seconds.
  it.each([
    ['its pool has', '{ connections: 2 }', 1],
    ['several pools share', '{ maxConnections: 2 }', 2],
  ])(
    'of a dropped response does not keep the connections that %s from requests that wait',
    async (_whose, options, origins) => {
      const seen = await inChild(
        `const http = require('node:http');
         const { once } = require('node:events');
         const large = Buffer.alloc(1 << 20);
         const serve = async () => {
           const server = http.createServer((request, response) => {
             if (request.url === '/endless') response.write('begun');
             else response.end(request.url === '/large' ? large : 'here');
           });
           server.listen(0, '127.0.0.1');
           await once(server, 'listening');
           return server;
         };
         const servers = await Promise.all(Array.from({ length: values.origins }, serve));
         const [first, last] = [servers[0], servers.at(-1)]
           .map((server) => 'http://127.0.0.1:' + server.address().port);
         const dispatcher = new dodici.Agent(${options});
         const drop = async (path) => void (await dodici.fetch(first + path, { dispatcher }));
         await Promise.all([drop('/large'), drop('/endless')]);
         const text = await (await dodici.fetch(last + '/rest', { dispatcher })).text();
         await dispatcher.destroy();
         for (const server of servers) server.close();
         return text;`,
        { flags: ['--no-memory-reducer'], values: { origins } },
      );
      expect(seen).toBe('here');
    },
  );
});
