// The web of this example: hosts on this machine, each with a few pages, a few of them bad.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';

const bomb = gzipSync(Buffer.alloc(100_000_000));
/** What the last hosts do. */
const BAD = [
  // says nothing
  () => {},
  // sends a byte now and then
  (response) => {
    response.write('<');
    const timer = setInterval(() => response.write('.'), 500);
    response.once('close', () => clearInterval(timer));
  },
  // a page of 100 MB, in 100 kB
  (response) => response.setHeader('content-encoding', 'gzip').end(bomb),
  // redirects for ever
  (response, url) => response.writeHead(302, { location: `${url}-` }).end(),
];

/**
 * Starts `count` hosts, each with `pages` pages. A page has links to all pages of its host, and to two
 * other hosts, so that the first leads everywhere.
 */
export async function startHosts(count, pages) {
  const servers = Array.from({ length: count }, (_, number) => {
    const bad = BAD[count - 1 - number];
    return createServer(({ url }, response) => {
      if (bad) return bad(response, url);
      // The front page has moved, as so many have.
      if (url === '/') return response.writeHead(301, { location: '/0' }).end();
      const links = Array.from({ length: pages }, (_, page) => `/${page}`);
      const others = [2 * number + 1, 2 * number + 2].filter((other) => other < count);
      links.push(...others.map((other) => `${urls[other]}/`));
      const text = links.map((link) => `<a href="${link}">${'words '.repeat(200)}</a>`).join('\n');
      response.setHeader('content-encoding', 'gzip').end(gzipSync(text, { level: 1 }));
    }).listen(0, '127.0.0.1');
  });
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const urls = servers.map((server) => `http://127.0.0.1:${server.address().port}`);
  const close = () => servers.forEach((server) => server.close());
  return { urls, close };
}
