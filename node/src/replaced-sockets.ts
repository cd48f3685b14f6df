/**
 * Whether somebody has put a function of their own in the place of Node's `net.connect`,
 * `tls.connect` or `http2.connect`.
 *
 * What lives here: what these functions were when the package was loaded. `needsPeer` asks. Tools
 * that answer connections in memory, and stubs of test suites, replace them and expect to see the
 * connections of undici's clients. Instrumentation that has to be loaded before everything else was
 * there already, and is no replacement: it only listens.
 */

import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';

const { connect: netConnect } = net;
const { connect: tlsConnect } = tls;
const { connect: http2Connect } = http2;

/** Whether connections have to be made by JavaScript, because somebody there waits for them. */
export function isConnectReplaced(): boolean {
  return net.connect !== netConnect || tls.connect !== tlsConnect || http2.connect !== http2Connect;
}
