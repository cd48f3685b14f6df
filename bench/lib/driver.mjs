// Runs loads: servers, rounds, tables, verdicts, report. run.mjs calls it with what was
// requested; it knows clients as modules and servers as origins only.
import { alternate, honest, table } from './compare.mjs';
import { FIGURES, format, judge, USUAL } from './figures.mjs';
import { BOTH, compared, OURS, THEIRS } from './peers.mjs';
import { EVERYWHERE } from '../loads.mjs';

/** Overhead of a process besides its measured time: start, connections, the server. */
const AROUND_SECONDS = 0.2;
/** Rough length of a measurement that is not timed. */
const UNTIMED_SECONDS = { 'load.mjs': 1.5, 'start.mjs': 0.25, 'idle.mjs': 4, 'closing.mjs': 5 };

/**
 * @typedef {object} How
 * @property {number} rounds
 * @property {number} seconds
 * @property {number} warmup
 * @property {string} node
 * @property {{ ours?: string, theirs?: string }} modules
 */

/** Names of the clients of a load. @param {import('../loads.mjs').Load} load */
const clientsOf = (load) => load.clients ?? BOTH;

/** Rounds of a load. */
const roundsOf = (load, how) => Math.max(1, Math.round(how.rounds * (load.rounds ?? 1)));

/** How long a load at undici's rate lasts: its memory has to settle. */
const PACED = { seconds: 3, warmup: 2 };
/** Rounds of it. */
const pacedRoundsOf = (load, how) => (load.paced ? Math.ceil(roundsOf(load, how) / 2) : 0);

/** Seconds that a load will take, about. @param {import('../loads.mjs').Load} load @param {How} how */
export function estimate(load, how) {
  const each =
    load.timed === false
      ? UNTIMED_SECONDS[load.program ?? 'load.mjs']
      : how.seconds + how.warmup + AROUND_SECONDS;
  const paced = PACED.seconds + PACED.warmup + AROUND_SECONDS;
  return roundsOf(load, how) * clientsOf(load).length * each + pacedRoundsOf(load, how) * 2 * paced;
}

/**
 * Measures one load and prints its table.
 *
 * @param {import('../loads.mjs').Load} load
 * @param {How} how
 */
export async function measureLoad(load, how) {
  const names = clientsOf(load);
  const clients = names.map((name) => compared(name, how.modules));
  const rounds = roundsOf(load, how);
  const origin = await load.origin();
  const failed = {};
  const args = [...origin.args, ...load.args];
  const timed = ({ seconds, warmup }) => ['--seconds', `${seconds}`, '--warmup', `${warmup}`];
  const shared = {
    node: how.node,
    nodeArgs: load.nodeArgs,
    program: load.program,
    env: origin.env,
  };
  let sent = 0;
  let results;
  try {
    results = await alternate({
      ...shared,
      clients,
      rounds,
      args: load.timed === false ? args : [...args, ...timed(how)],
      async onRound(_client, _round, figures) {
        sent += figures.total;
        const { waitP50, waitP99 } = (await origin.account?.()) ?? {};
        if (waitP99 !== undefined) Object.assign(figures, { waitP50, waitP99 });
        process.stdout.write('.');
      },
      onFailure(name, error) {
        if (pair(names).includes(name)) throw error;
        failed[name] = error.message;
      },
    });
    if (load.paced) {
      const [theirs, mine] = pair(names);
      const rate = ['--rate', String(results[theirs].median.throughput)];
      const paced = await alternate({
        ...shared,
        clients: clients.filter(({ name }) => name === theirs || name === mine),
        rounds: pacedRoundsOf(load, how),
        args: [...args, ...timed(PACED), ...rate],
        onRound: () => process.stdout.write('.'),
      });
      for (const [name, { median }] of Object.entries(paced)) {
        Object.assign(results[name].median, { rssAtRate: median.rss, peakAtRate: median.peakRss });
      }
    }
  } finally {
    process.stdout.write('\n');
    const served = await origin.stop();
    if (results !== undefined && Object.keys(failed).length === 0) honest(sent, served);
  }
  const [theirs, mine] = pair(names).map((name) => results[name].median);
  const figures = load.figures ?? USUAL;
  const ratios = Object.fromEntries(figures.map((key) => [key, mine[key] / theirs[key]]));
  const everywhere = load.program === undefined ? EVERYWHERE : [];
  const other = ({ than }) => (than === undefined ? theirs : (results[than]?.median ?? {}));
  const judged = (targets) => targets.map((target) => judge(target, mine, other(target)));
  const verdicts = [
    ...judged(load.targets),
    ...judged(everywhere).map((verdict) => ({ ...verdict, everywhere: true })),
  ];
  const { id, group, title } = load;
  const row = { id, group, title, figures, clients: results, ratios, verdicts, failed };
  console.log(rowTable(row));
  return row;
}

/** Undici's and ours, as this load compares them: as Pools or as Agents. */
function pair(names) {
  return [THEIRS, OURS].map((name) => names.find((other) => other.startsWith(name)));
}

/** All clients of a load, and ours relative to undici. */
function rowTable({ figures, clients, ratios, failed }) {
  const lines = [
    ['', ...figures.map((key) => FIGURES[key].heading)],
    ...Object.entries(clients).map(([name, { median }]) => [
      name,
      ...figures.map((key) => format(median[key], FIGURES[key].digits)),
    ]),
    ['dodici to undici', ...figures.map((key) => `${format(ratios[key], 2)}×`)],
  ];
  const notes = Object.entries(failed).map(([name, message]) => `${name} failed: ${message}`);
  const mine = clients[OURS]?.median;
  if (mine?.completionsPerDoorbell !== undefined) {
    notes.push(
      `boundary: ${format(mine.completionsPerDoorbell, 1)} completions per doorbell, ${format(mine.requestsPerSubmit, 1)} requests per submission call`,
    );
  }
  return [table(lines), ...notes].join('\n').replaceAll(/^/gm, '  ');
}

/**
 * The targets of all loads, and what was measured. Of those that hold everywhere, what missed them.
 *
 * @param {object[]} rows
 */
export function targetTable(rows) {
  const lines = [['load', 'figure', 'target', 'measured', '']];
  const everywhere = new Map();
  for (const { id, verdicts } of rows) {
    for (const verdict of verdicts) {
      const { heading, wanted, shown, met } = verdict;
      if (verdict.everywhere) {
        const name = `${heading} ${wanted}`;
        const all = everywhere.get(name) ?? everywhere.set(name, []).get(name);
        all.push({ id, shown, met });
      } else {
        lines.push([id, heading, wanted, shown, met ? '✓' : '✗ missed']);
      }
    }
  }
  const notes = Array.from(everywhere, ([name, all]) => {
    const missed = all.filter(({ met }) => !met).map(({ id, shown }) => `${id} ${shown}`);
    const but = missed.length === 0 ? '' : `; missed: ${missed.join(', ')}`;
    return `${name} in ${all.length - missed.length} of ${all.length} loads${but}`;
  });
  return [...(lines.length > 1 ? [table(lines)] : []), ...notes].join('\n');
}
