// What grows in `just bench-scale`: ranges, their points, and the load at each. scale.mjs runs them;
// this file is the table.
import { availableParallelism } from 'node:os';
import { minimalServer, minimalServers } from './lib/origins.mjs';

/**
 * @typedef {object} Range
 * @property {string} id
 * @property {string} title
 * @property {string} what grows, as the axis of its plots
 * @property {number[]} points
 * @property {(at: number) => Point} load
 * @property {string} [clients] `Agent`, if not the clients' Pools
 * @property {string} [program] of bench/ (default load.mjs)
 * @property {number} [memoryFrom] where a range adds memory for each: the first point at which what
 *   one more takes is not lost among the rest of the process
 */
/**
 * @typedef {object} Point
 * @property {() => Promise<import('./lib/origins.mjs').Origin>} origin
 * @property {string[]} args of the program
 * @property {number} [bytes] of a response, where that grows
 * @property {number} [longer] times the measured seconds
 * @property {number} [warmer] times those before that
 */

const SMALL = 13;
const KIB = 1024;
const MIB = KIB * KIB;

const small = () => minimalServer({ bytes: SMALL });
const options = (given) => [
  ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ...(given.bytes === undefined ? ['--bytes', String(SMALL)] : []),
];

/** @type {Range[]} */
export const RANGES = [
  {
    id: 'connections',
    title: 'Connections to one origin, each with one request in flight',
    what: 'connections',
    points: [10, 100, 1000, 5000, 10_000],
    load: (connections) => ({ origin: small, args: options({ connections }) }),
    memoryFrom: 1000,
  },
  {
    id: 'origins',
    title: 'Origins in turn, 200 requests in flight, at least one connection to each',
    what: 'origins',
    points: [1, 10, 100, 1000, 10_000],
    load: (origins) => ({
      origin: () => minimalServers({ bytes: SMALL, origins }),
      args: options({ connections: Math.ceil(200 / origins), concurrency: 200 }),
    }),
    clients: 'Agent',
    memoryFrom: 1000,
  },
  {
    id: 'waiting',
    title: 'Requests that wait for one of 50 connections',
    what: 'requests waiting',
    points: [10, 100, 1000, 10_000, 100_000],
    load: (waiting) => ({
      origin: small,
      args: options({ connections: 50, concurrency: 50 + waiting }),
    }),
    memoryFrom: 1000,
  },
  {
    id: 'workers',
    title: 'Workers with a client of 10 connections each',
    what: 'workers',
    points: [1, 2, 4, 8, 16, 32],
    load: (workers) => ({
      origin: small,
      args: options({ connections: 10, workers }),
      longer: Math.max(1, workers / 8),
      // Each compiles the client for itself.
      warmer: workers,
    }),
    program: 'workers.mjs',
    memoryFrom: 1,
  },
  {
    id: 'size',
    title: 'Size of responses on 10 connections',
    what: 'bytes',
    points: [0, KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB],
    load: (bytes) => ({
      origin: () => minimalServer({ bytes }),
      args: options({ connections: 10, bytes }),
      bytes,
      // Enough of them to count whole ones.
      longer: bytes > MIB ? 3 : 1,
    }),
  },
  {
    id: 'threads',
    title: 'I/O threads, 200 connections to 10 origins',
    what: 'I/O threads',
    points: [1, 2, 4, 8, 16, 32, 64].filter((threads) => threads <= availableParallelism()),
    load: (threads) => ({
      origin: () => minimalServers({ bytes: SMALL, origins: 10 }),
      args: options({ connections: 20, concurrency: 200, 'io-threads': threads }),
    }),
    clients: 'Agent',
  },
];
