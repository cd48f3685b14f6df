// `just bench-h2`: undici's Pool against dodici's Pool over HTTP/2, alternating in one run.
//
// Writes bench/results/h2.json and prints tables. Each measurement is a process of its own
// (load.mjs); the server is nghttpd (lib/origins.mjs).
import { compareOver } from './lib/driver.mjs';
import { hasNghttpd, nghttpd } from './lib/origins.mjs';

const server = { origin: nghttpd, available: hasNghttpd, server: 'nghttpd' };
const one = ['--http2', '--connections', '1', '--concurrency', '100'];

/** The loads, with what they must reach. */
const ROWS = [
  {
    id: 'small',
    title: 'HTTP/2 over TLS 1.3 (nghttpd), 1 connection, 100 streams, small response',
    bytes: 13,
    args: one,
    target: { throughput: 3, jsCpu: 0.15 },
    ...server,
  },
  {
    id: '64k',
    title: 'HTTP/2 over TLS 1.3 (nghttpd), 1 connection, 100 streams, 64 KiB bodies',
    bytes: 64 * 1024,
    args: one,
    target: { throughput: 1.7 },
    ...server,
  },
  {
    id: '4x25',
    title: 'HTTP/2 over TLS 1.3 (nghttpd), 4 connections, 25 streams each, small response',
    bytes: 13,
    args: ['--http2', '--connections', '4', '--streams', '25', '--concurrency', '100'],
    target: { throughput: 3 },
    ...server,
  },
  {
    id: 'post',
    title: 'HTTP/2 over TLS 1.3 (nghttpd), 1 connection, 100 streams, POST of 1 KiB',
    bytes: 13,
    args: [...one, '--body', '1024'],
    target: { throughput: 2.5 },
    ...server,
  },
];

await compareOver({ name: 'h2', rows: ROWS });
