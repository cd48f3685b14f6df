// Runs the same load through several clients in turn and reduces the rounds to medians and
// ratios. driver.mjs and the demo call it; it knows clients as { name, module } only.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { BENCH } from './paths.mjs';

/** Figures of one measurement: key, heading, unit digits, whether more is better. */
export const FIGURES = [
  { key: 'throughput', heading: 'requests/s', digits: 0 },
  { key: 'jsCpu', heading: 'JS thread µs', digits: 2 },
  { key: 'processCpu', heading: 'process µs', digits: 2 },
  { key: 'p50', heading: 'p50 ms', digits: 3 },
  { key: 'p99', heading: 'p99 ms', digits: 3 },
  { key: 'loopDelay', heading: 'loop ms', digits: 2 },
  { key: 'rss', heading: 'RSS MB', digits: 0 },
];

/**
 * One measurement in a process of its own.
 *
 * @param {{ node: string, nodeArgs?: string[], module: string, args: string[] }} options
 * @returns {Promise<Record<string, number>>}
 */
export async function measure({ node, nodeArgs = [], module, args }) {
  const child = spawn(node, [...nodeArgs, join(BENCH, 'load.mjs'), '--module', module, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (status, signal) => resolve(status ?? signal));
  });
  if (code !== 0) throw new Error(`the load generator with ${module} ended with ${code}`);
  return JSON.parse(out);
}

/**
 * Alternates the clients, turning their order round every time, so that neither always has the
 * warmer machine.
 *
 * @param {object} options
 * @param {{ name: string, module: string }[]} options.clients
 * @param {number} options.rounds
 * @param {string} options.node
 * @param {string[]} [options.nodeArgs] Node's own options
 * @param {string[]} options.args
 * @param {(client: string, round: number, figures: Record<string, number>) => void} options.onRound
 * @returns {Promise<Record<string, { median: Record<string, number>, rounds: object[] }>>}
 */
export async function alternate({ clients, rounds, node, nodeArgs, args, onRound }) {
  const results = Object.fromEntries(clients.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? clients : clients.toReversed();
    for (const { name, module } of order) {
      const figures = await measure({ node, nodeArgs, module, args });
      results[name].push(figures);
      onRound(name, round, figures);
    }
  }
  return Object.fromEntries(
    Object.entries(results).map(([name, all]) => [name, { median: medians(all), rounds: all }]),
  );
}

/** Median of each numeric figure over the rounds. @param {Record<string, number>[]} rounds */
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
