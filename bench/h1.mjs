// `just bench-h1`: undici's Pool against dodici's Pool over HTTP/1.1, alternating in one run.
//
// Writes bench/results/h1.json and docs/bench-h1.svg and prints tables. Each measurement is
// a process of its own (load.mjs); servers are ours or nginx (lib/origins.mjs).
import { compareOver } from './lib/driver.mjs';
import { hasNginx, minimalServer, nginxTls } from './lib/origins.mjs';
import { plot } from './plot.mjs';

/** The loads, with what they must reach. */
const ROWS = [
  {
    id: 'small',
    title: 'HTTP/1.1, 50 connections, small response',
    bytes: 13,
    args: ['--connections', '50'],
    origin: minimalServer,
    target: { throughput: 1.4, jsCpu: 0.3 },
  },
  {
    id: 'pipelined',
    title: 'HTTP/1.1, 50 connections × pipelining 10, small response',
    bytes: 13,
    args: ['--connections', '50', '--pipelining', '10'],
    origin: minimalServer,
    target: { throughput: 3, jsCpu: 0.15 },
  },
  {
    id: '64k',
    title: 'HTTP/1.1, 50 connections, 64 KiB bodies',
    bytes: 64 * 1024,
    args: ['--connections', '50'],
    origin: minimalServer,
    target: { throughput: 1.3 },
  },
  {
    id: 'tls',
    title: 'HTTP/1.1 over TLS 1.3 (nginx), 50 connections, small response',
    bytes: 13,
    args: ['--connections', '50'],
    origin: nginxTls,
    available: hasNginx,
    server: 'nginx',
    target: { throughput: 1.4 },
  },
];

await compareOver({ name: 'h1', rows: ROWS, draw: plot });
