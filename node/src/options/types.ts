/**
 * Options and stats as users see them: undici's types, with what dodici adds and without what it
 * refuses.
 *
 * What lives here: types only. Every public class takes its options from here.
 */

import type { buildConnector, Client as PeerClient, Dispatcher } from '../undici';

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

/** Bytes of certificates and keys: PEM text or bytes, or DER bytes. */
export type PemSource = string | NodeJS.ArrayBufferView | ArrayBuffer;

/**
 * How connections are made. A key of Node's `tls.connect` or `net.connect` that is not listed here
 * is refused with its name, unless it has no effect on clients anyway.
 */
export type ConnectOptions = Omit<
  Partial<buildConnector.BuildOptions>,
  Refused | keyof ConnectOptionsOwn
> &
  ConnectOptionsOwn;

/** The keys of `connect` that dodici documents itself. */
export interface ConnectOptionsOwn {
  /** Milliseconds for all legs together; 0 never. Default 10 000. */
  timeout?: number | null;
  /** Roots to trust instead of the default ones. */
  ca?: PemSource | readonly PemSource[];
  /** Client certificate chain; needs `key`. */
  cert?: PemSource | readonly [PemSource];
  /** Private key of `cert`. */
  key?: PemSource | readonly [PemSource | { pem: PemSource; passphrase?: string }];
  /** Pass phrase of an encrypted `key`. */
  passphrase?: string;
  /** Name for SNI and verification. Default: the request's host. */
  servername?: string;
  /**
   * `false`, and no other value, switches verification off. Default: true, unless the environment's
   * `NODE_TLS_REJECT_UNAUTHORIZED` is `0`, as in Node.
   */
  rejectUnauthorized?: boolean;
  /** Default `TLSv1.2`. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Default `TLSv1.3`. */
  maxVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** TLS sessions kept for resumption; 0 none. Default 100. */
  maxCachedSessions?: number | null;
  /** Verify with the operating system's verifier instead of Node's roots. Default false. */
  platformVerifier?: boolean;
  /**
   * Let undici's own class, on Node's OpenSSL, serve a server that has no TLS version, cipher suite
   * or curve in common with rustls. Default true.
   */
  fallback?: boolean;
  /** Unix socket or named pipe used instead of TCP. */
  socketPath?: string | null;
  /** As `socketPath`. */
  path?: string;
  /** Local IP address to bind. */
  localAddress?: string;
  /** 4, 6, or 0 for both. Default 0. */
  family?: 0 | 4 | 6;
  /** Race addresses of both families (RFC 8305). Default: Node's. */
  autoSelectFamily?: boolean;
  /** Milliseconds before the next address is tried beside a pending one. Default: Node's. */
  autoSelectFamilyAttemptTimeout?: number;
  /** Sets `TCP_NODELAY`. Default true. */
  noDelay?: boolean;
  /** Sends TCP keep-alive probes. Default true. */
  keepAlive?: boolean | null;
  /** Milliseconds of rest before the first probe. Default 60 000. */
  keepAliveInitialDelay?: number | null;
  /**
   * A lookup of your own, called as `net.connect` calls it, for each connection. Beside an option
   * that the engine cannot honour the origin is served by undici's own class.
   */
  lookup?: (...args: never[]) => void;
}

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
export interface ClientOptions extends Omit<PeerClient.Options, 'connect'> {
  /** The default for requests. Default false. */
  decompress?: DecompressOption | null;
  /** How connections are made. A function: the origin is then served by undici's own class. */
  connect?: ConnectOptions | buildConnector.connector;
}

/** Options of `Pool`. */
export interface PoolOptions extends ClientOptions {
  /** Makes the pool's clients: the origin is then served by undici's own class. */
  factory?(origin: URL, options: object): Dispatcher;
  /** Most connections at a time; `null`: no limit. Default `null`. */
  connections?: number | null;
  /** Milliseconds after which a connection takes no further request; `null`: no limit. Default `null`. */
  clientTtl?: number | null;
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
