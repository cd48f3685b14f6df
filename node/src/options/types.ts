/**
 * Options and stats as users see them: undici's types, with what dodici adds and without what it
 * refuses.
 *
 * What lives here: types only. Every public class takes its options from here.
 */

import type { buildConnector, Client as PeerClient, Dispatcher } from '../undici';
import type { ClientTable, ConnectTable, PoolTable } from './generated';

/** Keys of Node's connect options that the engine cannot honour; a `connect` function can. */
type Refused =
  | 'allowHalfOpen'
  | 'allowPartialTrustChain'
  | 'checkServerIdentity'
  | 'ciphers'
  | 'clientCertEngine'
  | 'crl'
  | 'dhparam'
  | 'ecdhCurve'
  | 'enableTrace'
  | 'fd'
  | 'hints'
  | 'localPort'
  | 'onread'
  | 'pfx'
  | 'privateKeyEngine'
  | 'privateKeyIdentifier'
  | 'pskCallback'
  | 'requestOCSP'
  | 'secureContext'
  | 'secureOptions'
  | 'secureProtocol'
  | 'session'
  | 'sigalgs'
  | 'signal'
  | 'socket';

export type { PemSource } from './generated';

/**
 * How connections are made. A key of Node's `tls.connect` or `net.connect` that is not listed here
 * is refused with its name, unless it has no effect on clients anyway.
 */
export type ConnectOptions = Omit<
  Partial<buildConnector.BuildOptions>,
  Refused | keyof ConnectTable
> &
  ConnectTable;

/**
 * Decode response bodies, as undici's decompress interceptor does: gzip, deflate, br, zstd and
 * combinations; not if the status is 400 or more.
 */
export type DecompressOption =
  | boolean
  | {
      /**
       * Maximum size of a decoded body; a larger one fails with `ResponseExceededMaxSizeError`.
       * Default 0: no limit other than `maxResponseSize`, which then counts decoded bytes.
       */
      maxSize?: number | null;
    };

/** Options of `Client`. */
export interface ClientOptions
  extends Omit<PeerClient.Options, 'connect' | keyof ClientTable>, ClientTable {
  /** The default for requests. Default false. */
  decompress?: DecompressOption | null;
  /** How connections are made. A function: the origin is then served by undici's own class. */
  connect?: ConnectOptions | buildConnector.connector;
}

/** Options of `Pool`. */
export interface PoolOptions extends ClientOptions, PoolTable {
  /** Makes the pool's clients: the origin is then served by undici's own class. */
  factory?(origin: URL, options: object): Dispatcher;
}

/** Options of one origin: everything that a pool takes but `factory`. */
export type OriginOptions = Omit<PoolOptions, 'factory'>;

/** Options of `Agent`. */
export interface AgentOptions extends Omit<PoolOptions, 'factory'> {
  /** Makes the dispatcher of each origin. Default: a `Client` for `connections: 1`, else a `Pool`. */
  factory?(origin: string | URL, options: object): Dispatcher;
  /** Most origins at a time; a request to one more fails. Default `Infinity`. */
  maxOrigins?: number;
  /**
   * Options for single origins, laid over the agent's: an object from patterns to options, or a
   * function that is asked when an origin's pool is made. Of several matching patterns the most
   * specific one applies; see `origins.ts` for the grammar and the order.
   */
  origins?:
    | Readonly<Record<string, OriginOptions>>
    | ((origin: string) => OriginOptions | null | undefined);
  /**
   * Threads that do the I/O of the process, 1 to 64. The first agent that names a number decides.
   * Default: chosen by the engine from the number of processors.
   */
  ioThreads?: number;
}

/** Counters of a client. */
export interface ClientStats {
  /** Whether it is connected. */
  connected: boolean;
  /** Requests not yet written. */
  pending: number;
  /** Requests written and unanswered. */
  running: number;
  /** Both. */
  size: number;
}

/** Counters of a pool. */
export interface PoolStats {
  /** Connections. */
  connected: number;
  /** Connections without a request. */
  free: number;
  /** Requests not yet written. */
  pending: number;
  /** Requests that wait for a connection. */
  queued: number;
  /** Requests written and unanswered. */
  running: number;
  /** Requests pending and running. */
  size: number;
}

/** Counters by origin. */
export type AgentStats = Record<string, ClientStats | PoolStats>;
