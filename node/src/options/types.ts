/**
 * The public types of options: undici's, with what dodici adds and without what it
 * rejects.
 *
 * What lives here: types only. Every public class takes its options from here.
 */

import type { buildConnector, Client as PeerClient, Dispatcher } from '../undici';
import type { AgentTable, ClientTable, ConnectTable, DnsOptions, PoolTable } from './generated';

export type { AddressList, AgentTable, DnsOptions, PemSource } from './generated';

/**
 * How connections are opened: undici's options, with every key of Node's `tls.connect` and
 * `net.connect`, and dodici's. Who honours which: `docs/options.md`.
 */
export type ConnectOptions = Partial<buildConnector.BuildOptions> &
  Pick<ConnectTable, 'allow' | 'preferH2' | 'platformVerifier' | 'fallback'>;

/** The type of one of undici's options; `unknown` without null if the installed undici has none of the name. */
export type OptionOf<Options, Name extends string> =
  Options extends Partial<Record<Name, infer Value>> ? NonNullable<Value> : never;

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

/** Options of every dispatcher that undici's types do not have: defaults for requests. */
interface RequestDefaults {
  /** Default false. */
  decompress?: DecompressOption | null;
  /**
   * Whether requests are timed: `true` for all, `false` for none. Default: only for `fetch`, and while the
   * diagnostics channel `dodici:request:timings` has subscribers.
   */
  timings?: boolean | null;
}

/** Options of every proxy agent that undici's types do not have. */
export interface ProxyDefaults
  extends
    RequestDefaults,
    Pick<ClientOptions, 'dns' | 'maxIdleConnections' | 'minBodyRate' | 'totalTimeout'> {
  /** How connections without a proxy, or to it, are opened. */
  connect?: ConnectOptions | buildConnector.connector;
  /** TLS to the origin. */
  requestTls?: ConnectOptions;
  /** TLS to the proxy. */
  proxyTls?: ConnectOptions;
}

/** Options of `Client`. */
export interface ClientOptions
  extends Omit<PeerClient.Options, 'connect' | keyof ClientTable>, ClientTable, RequestDefaults {
  /** How connections are opened. With a function, undici's own class serves the origin. */
  connect?: ConnectOptions | buildConnector.connector;
  /** Keeps the addresses of names that the system's resolver finds. Default: none are kept. */
  dns?: DnsOptions | null;
}

/** Options of `Pool`. */
export interface PoolOptions extends ClientOptions, PoolTable {
  /** Creates the pool's clients: undici's own class then serves the origin. */
  factory?(origin: URL, options: object): Dispatcher;
}

/** Per-origin options: those of a pool except `factory`. */
export type OriginOptions = Omit<PoolOptions, 'factory'>;

/** Options of `Agent`. */
export interface AgentOptions extends Omit<PoolOptions, 'factory'>, AgentTable {
  /** Creates the dispatcher of each origin. Default: a `Client` for `connections: 1`, else a `Pool`. */
  factory?(origin: string | URL, options: object): Dispatcher;
  /** Maximum number of origins; requests to further ones fail. Default `Infinity`. */
  maxOrigins?: number;
  /**
   * Per-origin options, which override the agent's: an object from patterns to options, or a
   * function called when an origin's pool is created. Only the most specific of several matching
   * patterns applies; see `origins.ts` for the grammar and the order.
   */
  origins?:
    | Readonly<Record<string, OriginOptions>>
    | ((origin: string) => OriginOptions | null | undefined);
  /**
   * Number of I/O threads of the process, 1 to 64. The first agent that sets it decides. Default:
   * chosen by the engine from the number of processors.
   */
  ioThreads?: number;
}
