/**
 * Why the peer's own class serves an origin instead of the engine.
 *
 * What lives here: the closed list of reasons, the process-wide ones, which can change, and the warning
 * about options. `delegate.ts` checks it. It must not know options: `options.ts` and the proxy agents
 * determine the reasons in them.
 */

import { channel } from 'node:diagnostics_channel';

import { replacedSockets, tlsPolicy } from '../process';
import { isOldServer, oldServer } from './old-servers';

/** Every reason, in a sentence. */
const PEER_REASONS = {
  connect: 'connect is a function, which only JavaScript can call',
  factory: 'factory creates the dispatchers that the peer’s class selects from',
  'client factory': 'clientFactory creates the client that requests tunnels from the proxy',
  'h2c tunnel': 'HTTP/2 without TLS inside a tunnel is requested',
  option: 'only Node’s sockets and TLS support the option, or this value of it',
  'old tls':
    'the server has no TLS version, cipher suite or curve in common with rustls, but may with Node’s OpenSSL',
  'replaced sockets':
    'net.connect, tls.connect, http2.connect, or a class or function behind them, has been replaced',
  'socket channel': 'net.client.socket, the diagnostics channel of Node’s sockets, has subscribers',
  'tls policy': 'a flag or default of Node’s TLS is one that only its OpenSSL can follow',
} as const;

/** See above. */
export type PeerReason = keyof typeof PEER_REASONS;

/** Why the peer serves, and the option that it is about, such as `connect.session`. */
export interface ByPeer {
  readonly reason: PeerReason;
  readonly option: string | null;
}

/** Who serves an origin: `dodici`, the engine, or `undici`, whose own class does. */
export interface ServedBy {
  readonly by: 'dodici' | 'undici';
  /** Why undici does; `null`: it does not. */
  readonly reason: PeerReason | null;
  /** The option that it is about, such as `connect.session`. */
  readonly option: string | null;
  /** The reason, in a sentence. */
  readonly detail: string | null;
}

/** Who serves the requests of a proxy agent. */
export interface ServedByAll extends ServedBy {
  /** By origin: those that requests were sent to; of forwarded ones, the proxy's. */
  readonly origins: Record<string, ServedBy>;
}

const BY_ENGINE: ServedBy = { by: 'dodici', reason: null, option: null, detail: null };

/** What users see; `null`: the engine serves. */
export function servedBy(byPeer: ByPeer | null): ServedBy {
  if (byPeer === null) return BY_ENGINE;
  return { by: 'undici', ...byPeer, detail: PEER_REASONS[byPeer.reason] };
}

/** Options that the user has been warned about. */
const warned = new Set<string>();

/** Warns once for each option that only the peer's class can honour. */
export function warnOfOption({ reason, option }: ByPeer): void {
  if (reason !== 'option' || option === null || warned.has(option)) return;
  warned.add(option);
  process.emitWarning(
    `Only Node's sockets and TLS support ${option}, or this value of it: undici's own class serves the origins that it applies to, at undici's speed.`,
    { code: 'DODICI_PEER_OPTION' },
  );
}

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

/** The reason behind a state. */
export function reasonOf(state: ReasonState): PeerReason {
  if (state === connecting) return 'socket channel';
  if (isOldServer(state)) return 'old tls';
  return state === replacedSockets() ? 'replaced sockets' : 'tls policy';
}
