/**
 * Why the peer's own class serves an origin, and not the engine.
 *
 * What lives here: the closed list of reasons, and those of them that come and go for the whole
 * process. `delegate.ts` asks. It must not know options: `options.ts` and the proxy agents name the
 * reasons that lie in them.
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

/** What `reasonNow` saw: another one as soon as there is another reason, or another replacement. */
export type ReasonState = object;

/** Whoever subscribes is handed every socket that Node connects. */
const connecting = channel('net.client.socket');

/**
 * The state of the process for which the peer must serve what the engine otherwise would; `null`
 * where there is none. Asked for every request; `mayBeTls`: it may go over TLS. `server`: which one
 * it goes to, with which `options`, where the peer may serve it for its old TLS (`old-servers.ts`).
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
