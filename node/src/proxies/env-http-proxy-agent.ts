/**
 * `EnvHttpProxyAgent`: the environment's proxies.
 *
 * What lives here: our agents in place of the peer's. Which origin uses which proxy,
 * including the rules of `NO_PROXY`, is up to the peer; only networks in that list are ours.
 */

import type { ConnectionStatus } from '../connection';
import { Agent, connectionsOf, forBoth } from '../dispatchers';
import {
  type AgentTable,
  ownOptions,
  readLimit,
  refuseOrigins,
  type ProxyDefaults,
  spread,
  underLimit,
  unpolluted,
} from '../options';
import {
  type Dispatcher,
  type EnvHttpProxyAgent as PeerEnvHttpProxyAgent,
  peer,
  type ServedBy,
  symbols,
  takesBoth,
} from '../undici';
import { NoProxyNetworks } from './no-proxy-networks';
import { ProxyAgent } from './proxy-agent';

/** Requests through the environment's proxies; options are undici's. */
export class EnvHttpProxyAgent extends forBoth(peer.EnvHttpProxyAgent) {
  static {
    takesBoth(this.prototype.dispatch);
  }

  readonly #networks = new NoProxyNetworks();
  readonly #noProxy: string | undefined;
  readonly #agents: {
    readonly direct: Agent;
    readonly http: Agent | ProxyAgent;
    readonly https: Agent | ProxyAgent;
  };

  constructor(options?: EnvHttpProxyAgent.Options) {
    const given = ownOptions(options);
    refuseOrigins(given, 'EnvHttpProxyAgent');
    const { httpProxy, httpsProxy, noProxy, ...rest } = given;
    const { webSocket, eventSource } = rest;
    // No proxies are passed to the peer, so that it creates no agents for them, and the one it creates
    // is not used; it reads its options from an object that inherits, so these are named.
    const unused = { factory: undefined, maxOrigins: undefined, connect: undefined };
    super(spread({ noProxy, httpProxy: '', httpsProxy: '', webSocket, eventSource }, unused));
    this.#noProxy = noProxy as string | undefined;
    const { env } = process;
    const agents = this as unknown as Record<symbol, Dispatcher>;
    const limited = underLimit(rest, readLimit(options, given));
    const direct = new Agent(limited);
    const http = httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
    const https = httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
    const forHttp = http ? new ProxyAgent({ ...limited, uri: http as string }) : direct;
    const forHttps = https ? new ProxyAgent({ ...limited, uri: https as string }) : forHttp;
    this.#agents = { direct, http: forHttp, https: forHttps };
    agents[symbols.kNoProxyAgent] = direct;
    agents[symbols.kHttpProxyAgent] = forHttp;
    agents[symbols.kHttpsProxyAgent] = forHttps;
  }

  /** Who serves what is not for a proxy, by origin, and what is for one: the engine, or undici's own class. */
  get servedBy(): EnvHttpProxyAgent.ServedBy {
    const { direct, http, https } = this.#agents;
    const through = (agent: Agent | ProxyAgent): ServedBy | null =>
      agent instanceof ProxyAgent ? agent.servedBy : null;
    return { direct: direct.servedBy, http: through(http), https: through(https) };
  }

  /** What each of its connections is doing now; see `Agent.connections()`. */
  connections(): Promise<ConnectionStatus[]> {
    return connectionsOf(new Set(Object.values(this.#agents)));
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    const own = unpolluted(options);
    const { env } = process;
    const noProxy = this.#noProxy ?? env['no_proxy'] ?? env['NO_PROXY'] ?? '';
    if (own?.origin && this.#networks.cover(noProxy, own.origin)) {
      const direct = (this as unknown as Record<symbol, Dispatcher>)[symbols.kNoProxyAgent];
      if (direct) return direct.dispatch(own, handler);
    }
    return super.dispatch(own, handler);
  }
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write EnvHttpProxyAgent.Options
export declare namespace EnvHttpProxyAgent {
  /** Options of the constructor. */
  export type Options = PeerEnvHttpProxyAgent.Options & ProxyDefaults & AgentTable;
  /** Who serves which requests. */
  export interface ServedBy {
    /** By origin: those that are not for a proxy. */
    readonly direct: Record<string, import('../undici').ServedBy>;
    /** Those to `http:` origins; `null`: there is no proxy for them. */
    readonly http: import('../undici').ServedBy | null;
    /** Those to `https:` origins, likewise. */
    readonly https: import('../undici').ServedBy | null;
  }
}
