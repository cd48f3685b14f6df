// A distant network: two network namespaces, and a path between them that delays and loses packets
// (dodici-bench-path). Servers and clients of a load are started in one of them each. Linux, root.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { executable } from './paths.mjs';

/**
 * @typedef {object} Place where a program runs
 * @property {string} address that others reach it by
 * @property {string[]} enter the command that runs another there
 */
/**
 * @typedef {object} Far
 * @property {Place} server
 * @property {Place} client
 * @property {() => Promise<{ carried: number, lost: number }>} stop
 */

/** This machine, without a path. @type {Place} */
export const HERE = { address: '127.0.0.1', enter: [] };

/** Why there can be no path here; `undefined` if there can. */
export function impossible() {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid() !== 0) return 'network namespaces want root';
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' });
  } catch {
    return 'ip (iproute2) is not installed';
  }
  return undefined;
}

/**
 * @param {{ rtt: number, loss: number }} options milliseconds; percent, in each direction
 * @returns {Promise<Far>}
 */
export async function far({ rtt, loss }) {
  const args = ['--rtt', String(rtt), '--loss', String(loss)];
  const child = spawn(executable('dodici-bench-path'), args, {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  if (value === undefined) throw new Error('dodici-bench-path ended before there was a path');
  const { client, server, address } = JSON.parse(value);
  const inside = (name) => ['ip', 'netns', 'exec', name];
  return {
    server: { address, enter: inside(server) },
    client: { address: '', enter: inside(client) },
    async stop() {
      const ended = once(child, 'exit');
      child.stdin.end();
      const { value: counts } = await lines.next();
      await ended;
      return JSON.parse(counts);
    },
  };
}
