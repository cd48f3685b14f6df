/**
 * `EnvHttpProxyAgent`: the environment's proxies.
 *
 * What lives here: our agents in place of the peer's. Which origin uses which proxy,
 * including the rules of `NO_PROXY`, is up to the peer; only networks in that list are ours.
 */

import type { ConnectionStatus } from '../connection';
import { Agent, connectionsOf, forBoth, hideFields } from '../dispatchers';
import {
  type AgentTable,
  ownOptions,
  parseOrigin,
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
  type ServedBy as OriginServedBy,
  type ServedByAll,
  symbols,
  takesBoth,
} from '../undici';
import { NoProxyNetworks } from './no-proxy-networks';
import { ProxyAgent } from './proxy-agent';

/** Where requests go: to their origin, or to one of the proxies. */
type Way = 'direct' | 'http' | 'https';

/** Under which names the peer keeps the agents. */
const WAYS: readonly (readonly [Way, symbol])[] = [
  ['direct', symbols.kNoProxyAgent],
  ['http', symbols.kHttpProxyAgent],
  ['https', symbols.kHttpsProxyAgent],
];

/**
 * No proxies are passed to the peer, so that it creates no agents for them, and the one it creates is not
 * used; it reads its options from an object that inherits, so these are named.
 */
function withoutAgents(noProxy: unknown): PeerEnvHttpProxyAgent.Options {
  const unused = { factory: undefined, maxOrigins: undefined, connect: undefined };
  return spread({ noProxy, httpProxy: '', httpsProxy: '' }, unused);
}

/** The peer's choice, which an agent of its own tells: what it dispatches goes nowhere. */
function makeChooser(noProxy: string | undefined): (origin: URL) => Way {
  const agent = new peer.EnvHttpProxyAgent(withoutAgents(noProxy));
  let chosen: Way = 'direct';
  for (const [way, symbol] of WAYS) {
    const dispatch = (): boolean => {
      chosen = way;
      return true;
    };
    Object.assign(agent, { [symbol]: { dispatch } });
  }
  return ({ origin }) => {
    agent.dispatch({ origin, path: '/', method: 'GET' }, {});
    return chosen;
  };
}

/** Requests through the environment's proxies; options are undici's. */
export class EnvHttpProxyAgent extends forBoth(peer.EnvHttpProxyAgent) {
  static {
    takesBoth(this.prototype.dispatch);
  }

  private readonly $agents: Readonly<Record<Way, Agent | ProxyAgent>> & { readonly direct: Agent };
  private readonly $networks = new NoProxyNetworks();
  private readonly $noProxy: string | undefined;
  /** Which agent an origin is for. */
  private readonly $wayTo: (origin: URL) => Way;

  constructor(options?: EnvHttpProxyAgent.Options) {
    const given = ownOptions(options);
    refuseOrigins(given, 'EnvHttpProxyAgent');
    const { httpProxy, httpsProxy, noProxy, ...rest } = given;
    const { webSocket, eventSource } = rest;
    super(spread(withoutAgents(noProxy), { webSocket, eventSource }));
    this.$noProxy = noProxy as string | undefined;
    const { env } = process;
    const agents = this as unknown as Record<symbol, Dispatcher>;
    const limited = underLimit(rest, readLimit(options, given));
    const direct = new Agent(limited);
    const http = httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
    const https = httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
    const forHttp = http ? new ProxyAgent({ ...limited, uri: http as string }) : direct;
    const forHttps = https ? new ProxyAgent({ ...limited, uri: https as string }) : forHttp;
    this.$agents = { direct, http: forHttp, https: forHttps };
    this.$wayTo = makeChooser(this.$noProxy);
    hideFields(this, '$agents', '$networks', '$noProxy', '$wayTo');
    for (const [way, symbol] of WAYS) agents[symbol] = this.$agents[way];
  }

  /** Who serves what is not for a proxy, by origin, and what is for one: the engine, or undici's own class. */
  get servedBy(): EnvHttpProxyAgent.ServedBy {
    const { direct, http, https } = this.$agents;
    const through = (agent: Agent | ProxyAgent): ServedByAll | null =>
      agent instanceof ProxyAgent ? agent.servedBy : null;
    return { direct: direct.servedBy, http: through(http), https: through(https) };
  }

  /** What each of its connections is doing now; see `Agent.connections()`. */
  connections(): Promise<ConnectionStatus[]> {
    return connectionsOf(new Set(Object.values(this.$agents)));
  }

  /** Opens connections to an origin, through its proxy if it has one; see `ProxyAgent.preconnect()`. */
  async preconnect(origin: string | URL, count = 1): Promise<number> {
    const url = parseOrigin(origin);
    const way = this.$covers(url) ? 'direct' : this.$wayTo(url);
    return this.$agents[way].preconnect(url, count);
  }

  /** Whether `NO_PROXY` has a network that covers the origin. */
  private $covers(origin: string | URL): boolean {
    const { env } = process;
    const noProxy = this.$noProxy ?? env['no_proxy'] ?? env['NO_PROXY'] ?? '';
    return this.$networks.cover(noProxy, origin);
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    const own = unpolluted(options);
    if (own?.origin && this.$covers(own.origin)) {
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
    readonly direct: Record<string, OriginServedBy>;
    /** Those to `http:` origins; `null`: there is no proxy for them. */
    readonly http: ServedByAll | null;
    /** Those to `https:` origins, likewise. */
    readonly https: ServedByAll | null;
  }
}
