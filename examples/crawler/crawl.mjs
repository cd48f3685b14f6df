// Visits every page that can be reached from one. main.mjs starts it.

import { request } from 'dodici';

/** Pages in memory at a time. They wait for connections in the engine. */
const AT_A_TIME = 512;

/** Returns how many pages there were by their outcome: `pages` or the code of an error. */
export async function crawl(first, dispatcher) {
  const seen = new Set([first]);
  const waiting = [first];
  const counts = { pages: 0, bytes: 0 };
  const running = new Set();
  while (waiting.length > 0 || running.size > 0) {
    while (waiting.length > 0 && running.size < AT_A_TIME) {
      const visit = visitPage(waiting.pop()).finally(() => running.delete(visit));
      running.add(visit);
    }
    await Promise.race(running);
  }
  return counts;

  async function visitPage(url) {
    try {
      const { statusCode, body, context } = await request(url, {
        dispatcher,
        headers: { 'accept-encoding': 'gzip, br' },
      });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      counts.pages++;
      counts.bytes += text.length;
      // Where redirects have led to.
      const base = context?.history?.at(-1) ?? url;
      for (const [, link] of text.matchAll(/<a href="([^"]*)"/g)) {
        const { href } = new URL(link, base);
        if (seen.has(href)) continue;
        seen.add(href);
        waiting.push(href);
      }
    } catch ({ code, message }) {
      counts[code ?? message] = (counts[code ?? message] ?? 0) + 1;
    }
  }
}
