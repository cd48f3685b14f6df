// Runs the same load through several clients in turn and reduces the rounds to medians. driver.mjs
// and the demo call it; it knows clients as { name, kind, module } only.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { BENCH } from './paths.mjs';

/**
 * @typedef {object} Compared one client
 * @property {string} name
 * @property {string} [module] its main file; none for what is built into Node
 * @property {string} [kind] as in lib/clients.mjs; by default, it exports undici's Pool
 * @property {string} [runtime] what runs it instead of Node
 * @property {string[]} [runtimeArgs] that runtime's own options
 * @property {string[]} [args] its own arguments of the program
 */
/** @typedef {Record<string, number>} Figures of one measurement */

/**
 * One measurement in a separate process.
 *
 * @param {object} options
 * @param {string} options.node
 * @param {string[]} [options.nodeArgs] Node's own options
 * @param {string} [options.program] of bench/
 * @param {string} [options.module]
 * @param {string} [options.kind]
 * @param {Record<string, string>} [options.env] beside what is inherited
 * @param {string[]} options.args
 * @returns {Promise<Figures>}
 */
export async function measure(options) {
  const { node, nodeArgs = [], program = 'load.mjs', module, kind = 'pool', env, args } = options;
  const client = ['--kind', kind, ...(module === undefined ? [] : ['--module', module])];
  const child = spawn(node, [...nodeArgs, join(BENCH, program), ...client, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let out = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (status, signal) => resolve(status ?? signal));
  });
  if (code !== 0) {
    throw new Error(`${program} with ${module ?? kind} ended with ${code}\n${complaint.trimEnd()}`);
  }
  return JSON.parse(out);
}

/**
 * Alternates the clients, turning their order round every time, so that none always has the
 * warmer machine.
 *
 * @param {object} options
 * @param {Compared[]} options.clients
 * @param {number} options.rounds
 * @param {string} options.node
 * @param {string[]} [options.nodeArgs] Node's own options
 * @param {string} [options.program] of bench/
 * @param {Record<string, string>} [options.env] beside what is inherited
 * @param {string[]} options.args
 * @param {() => Promise<import('./origins.mjs').Origin>} [options.origin] started anew for each
 *   measurement; what a client counts is compared with what it has served
 * @param {(client: string, round: number, figures: Figures) => unknown} options.onRound
 *   waited for, and may add figures
 * @param {(client: string, error: Error) => void} [options.onFailure] a client that it does not
 *   throw for is left out from there on
 * @returns {Promise<Record<string, { median: Figures, rounds: Figures[] }>>}
 */
export async function alternate({ clients, rounds, onRound, onFailure, origin, ...how }) {
  const results = new Map(clients.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? clients : clients.toReversed();
    for (const { name, module, kind, runtime, runtimeArgs, args = [] } of order) {
      if (!results.has(name)) continue;
      try {
        const other = runtime && { node: runtime, nodeArgs: runtimeArgs };
        const all = { ...how, ...other, module, kind, args: [...how.args, ...args] };
        const figures = await (origin ? measureAnew(origin, all) : measure(all));
        await onRound(name, round, figures);
        results.get(name).push(figures);
      } catch (error) {
        if (onFailure === undefined) throw error;
        onFailure(name, error);
        results.delete(name);
      }
    }
  }
  return Object.fromEntries(
    Array.from(results, ([name, all]) => [name, { median: medians(all), rounds: all }]),
  );
}

/** A measurement with a server of its own. */
async function measureAnew(origin, { args, ...how }) {
  const server = await origin();
  let served;
  let figures;
  try {
    figures = await measure({ ...how, env: server.env, args: [...server.args, ...args] });
  } finally {
    served = await server.stop();
  }
  honest(figures.total, served);
  return figures;
}

/**
 * Throws if a server counted other requests than its clients: it counts what arrived on the wire, so
 * a client cannot invent responses.
 *
 * @param {number} counted
 * @param {import('./origins.mjs').Account | undefined} served
 */
export function honest(counted, served) {
  if (served === undefined || served.requests === counted) return;
  throw new Error(`the clients counted ${counted} answers, the server ${served.requests} requests`);
}

/** Median of each numeric figure over the rounds. @param {Figures[]} rounds */
export function medians(rounds) {
  const keys = Object.keys(rounds[0]).filter((key) => typeof rounds[0][key] === 'number');
  return Object.fromEntries(keys.map((key) => [key, median(rounds.map((round) => round[key]))]));
}

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A text table; the first column is left-aligned. @param {string[][]} rows */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]),
      )
      .join('  '),
  );
  lines.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('──'));
  return lines.join('\n');
}
