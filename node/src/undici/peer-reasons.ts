/**
 * Why the peer's own class serves an origin instead of the engine.
 *
 * What lives here: the closed list of reasons, and the process-wide ones, which can change. `delegate.ts`
 * checks it. It must not know options: `options.ts` and the proxy agents determine the reasons in them.
 */

import { channel } from 'node:diagnostics_channel';

import { replacedSockets, tlsPolicy } from '../process';
import { oldServer } from './old-servers';

/** Every reason, in a sentence. */
export const PEER_REASONS = {
  connect: 'connect is a function, which only JavaScript can call',
  factory: 'factory creates the dispatchers that the peer’s class selects from',
  'client factory': 'clientFactory creates the client that requests tunnels from the proxy',
  'h2c tunnel': 'HTTP/2 without TLS inside a tunnel is requested',
  lookup: 'connect.lookup is combined with an option that only Node’s sockets support',
  'proxy lookup': 'a lookup in a proxy’s TLS options is only called by Node’s sockets',
  'node option': 'Node’s sockets were replaced, and an option is one that only they support',
  'old tls':
    'the server has no TLS version, cipher suite or curve in common with rustls, but may with Node’s OpenSSL',
  'replaced sockets':
    'net.connect, tls.connect, http2.connect, or a class or function behind them, has been replaced',
} as const;

/** See above. */
export type PeerReason = keyof typeof PEER_REASONS;

/** Identifies the result of `reasonNow`: changes with the reason, or another replacement. */
export type ReasonState = object;

/** Subscribers get every socket that Node connects. */
const connecting = channel('net.client.socket');

/**
 * The state of the process because of which the peer must serve instead of the engine; `null` if there is
 * none. Checked for every request; `mayBeTls`: it may use TLS. `server`: its server, with these `options`,
 * if the peer may serve it because of old TLS (`old-servers.ts`).
 */
export function reasonNow(
  mayBeTls: boolean,
  server: string | null = null,
  options: object | null = null,
): ReasonState | null {
  const replaced = replacedSockets();
  if (replaced !== null) return replaced;
  if (connecting.hasSubscribers) return connecting;
  const policy = mayBeTls ? tlsPolicy() : null;
  return policy === null && server !== null ? oldServer(server, options) : policy;
}
