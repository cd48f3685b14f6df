// The figures of a measurement: their names, formats and targets. The
// driver's tables, plots, README and comparison with the baseline use it.

/** @typedef {{ heading: string, digits: number, more?: boolean }} Figure `more` is better */

/** @type {Record<string, Figure>} */
export const FIGURES = {
  throughput: { heading: 'requests/s', digits: 0, more: true },
  megabytesPerSecond: { heading: 'MB/s', digits: 0, more: true },
  jsCpu: { heading: 'JS thread µs', digits: 2 },
  processCpu: { heading: 'process µs', digits: 2 },
  nanosecondsPerByte: { heading: 'process ns/byte', digits: 3 },
  p50: { heading: 'p50 ms', digits: 3 },
  p95: { heading: 'p95 ms', digits: 3 },
  p99: { heading: 'p99 ms', digits: 3 },
  loopDelay: { heading: 'loop ms', digits: 2 },
  rss: { heading: 'RSS MB', digits: 0 },
  rssAtRate: { heading: 'at its rate', digits: 0 },
  peakAtRate: { heading: 'peak', digits: 0 },
  microtasks: { heading: 'microtasks', digits: 1 },
  waitP50: { heading: 'server waits p50 ms', digits: 2 },
  waitP99: { heading: 'server waits p99 ms', digits: 2 },
  import: { heading: 'import ms', digits: 1 },
  firstRequest: { heading: 'first request ms', digits: 1 },
  firstByte: { heading: 'import to answer ms', digits: 1 },
  firstCpu: { heading: 'its CPU ms', digits: 1 },
  heldCpu: { heading: 'longest turn, CPU ms', digits: 1 },
  held: { heading: 'longest turn ms', digits: 1 },
  closing: { heading: 'all closed ms', digits: 0 },
  perConnection: { heading: 'KiB per connection', digits: 1 },
};

/** Those of a load that names none. */
export const USUAL = ['throughput', 'jsCpu', 'processCpu', 'p50', 'p99', 'loopDelay', 'rss'];

/** @param {number} value @param {number} digits */
export function format(value, digits) {
  if (value === undefined || Number.isNaN(value)) return '–';
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/**
 * A measurement compared with its target; both also as text.
 *
 * @param {import('../loads.mjs').Target} target
 * @param {Record<string, number>} mine
 * @param {Record<string, number>} theirs those of the client that the target names
 */
export function judge({ figure, kind, limit, than }, mine, theirs) {
  const { heading, digits } = FIGURES[figure];
  const ratio = mine[figure] / theirs[figure];
  const more = mine[figure] - theirs[figure];
  const judged = {
    atLeast: () => [ratio, ratio >= limit, `≥ ${limit}×`, `${format(ratio, 2)}×`],
    atMost: () => [ratio, ratio <= limit, `≤ ${limit}×`, `${format(ratio, 2)}×`],
    plus: () => [more, more <= limit, `≤ +${limit}`, `${more < 0 ? '' : '+'}${format(more, 1)}`],
    below: () => [mine[figure], mine[figure] <= limit, `≤ ${limit}`, format(mine[figure], digits)],
  };
  const [measured, met, needed, shown] = judged[kind]();
  const wanted = than === undefined ? needed : `${needed} ${than}`;
  return { figure, heading, kind, limit, than, measured, met, wanted, shown };
}
