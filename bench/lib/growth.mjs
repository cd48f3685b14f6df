// How costs grow over a range of points. bench/scale.mjs and publish.mjs ask it; it knows figures only.

/** @typedef {{ at: number, bytes?: number, clients: Record<string, import('./compare.mjs').Figures> }} Point */

/** A point as text. @param {number} at */
export function amount(at) {
  for (const [unit, size] of [
    ['MiB', 1 << 20],
    ['KiB', 1 << 10],
  ]) {
    if (at >= size && at % size === 0) return `${at / size} ${unit}`;
  }
  return at.toLocaleString('en-US');
}

/** Figures of each client, with the CPU time of a byte where responses have some. */
export function withCosts(clients, bytes) {
  if (!bytes) return clients;
  for (const figures of Object.values(clients)) {
    figures.nanosecondsPerByte = (figures.processCpu * 1e3) / bytes;
  }
  return clients;
}

/** What must not grow: CPU time per request or, where responses grow, per byte. */
const cost = ({ nanosecondsPerByte, processCpu }) => nanosecondsPerByte ?? processCpu;

/**
 * The largest growth of a client's cost from one point to any larger one; 1 if it never grows.
 *
 * @param {Point[]} points
 * @param {string} client
 */
export function growth(points, client) {
  let most = { times: 1 };
  // An empty body has no cost per byte.
  const costs = points
    .filter(({ bytes }) => bytes !== 0)
    .map(({ at, clients }) => ({ at, value: cost(clients[client]) }));
  for (const [index, from] of costs.entries()) {
    for (const to of costs.slice(index + 1)) {
      const times = to.value / from.value;
      if (times > most.times) most = { times, from: from.at, to: to.at };
    }
  }
  return most;
}

/**
 * KiB of memory that one more takes, between each two points from `memoryFrom` on.
 *
 * @param {{ points: Point[], memoryFrom?: number }} range
 * @param {string} client
 */
export function memoryPerUnit({ points, memoryFrom = Infinity }, client) {
  const large = points.filter(({ at }) => at >= memoryFrom);
  return large.slice(1).map(({ at, clients }, index) => {
    const before = large[index];
    const more = clients[client].rss - before.clients[client].rss;
    return { from: before.at, to: at, kib: (more * 1e6) / 1024 / (at - before.at) };
  });
}
