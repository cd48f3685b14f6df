/**
 * `ProxyAgent`: requests through one proxy, forwarded or through a tunnel.
 *
 * What lives here: undici's options and errors, and which of three routes a request takes: a tunnel (our
 * `Agent` whose pools connect through the proxy), forwarding, or SOCKS. Users and `EnvHttpProxyAgent`
 * construct it. It must not know how the engine connects.
 *
 * The peer's own class serves what only JavaScript can do: `clientFactory`, `factory`, a `lookup` or a
 * key of Node's in one of the TLS option objects, and everything while Node's sockets are replaced.
 */

import {
  Agent,
  CompositeDispatcher,
  DispatcherBase,
  forwardEvents,
  hideFields,
  makeDispatcher,
  Pool,
  StandIn,
} from '../dispatchers';
import {
  type AgentTable,
  bareHostname,
  type ProxyDefaults,
  type Decompression,
  dispatchToPeer,
  isUrl,
  NOT_DECODED,
  ownDefaults,
  ownOptions,
  parseOrigin,
  type ProxySettings,
  readAllow,
  readDecompress,
  readLimit,
  refuseOrigins,
  type SharedLimit,
  spread,
  throughProxy,
  underLimit,
  unblockedProxyTls,
  unpolluted,
  wantsH2c,
} from '../options';
import {
  type ByPeer,
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  invalid,
  peer,
  peerMajor,
  type ProxyAgent as PeerProxyAgent,
  type ServedBy,
  servedBy,
  type ServedByAll,
  symbols,
  takesBoth,
  toPeerHandler,
  warnOfOption,
} from '../undici';
import { forwardedPath, Forwarder } from './forwarding';
import { checkedHeaders } from './proxy-headers';
import {
  connectHeaders,
  hasRule,
  peerKey,
  readAuthorization,
  readLeg,
  refusePeer,
  withRule,
} from './proxy-options';
import { Socks5ProxyAgent } from './socks5-proxy-agent';

type Options = Readonly<Record<string, unknown>>;

/** Options of the proxy; all others are for the pools. */
const PROXY_ONLY = [
  'uri',
  'token',
  'auth',
  'headers',
  'requestTls',
  'proxyTls',
  'clientFactory',
  'factory',
  'proxyTunnel',
  'connectTimeout',
  'username',
  'password',
  // undici replaces this with its own connector.
  'connect',
  'tls',
  'socketPath',
  'maxCachedSessions',
];

function without(options: Options, ...names: string[]): Record<string, unknown> {
  const rest = spread(options);
  for (const name of names) Reflect.deleteProperty(rest, name);
  return rest;
}

function readOptions(options: unknown): Options {
  const isAlone = typeof options === 'string' || isUrl(options);
  const given = ownOptions(isAlone ? { uri: options } : options);
  if (!given['uri']) throw invalid('Proxy uri is mandatory');
  refuseOrigins(given, 'ProxyAgent');
  const { clientFactory, factory } = given;
  if (clientFactory !== undefined && typeof clientFactory !== 'function') {
    throw invalid('Proxy opts.clientFactory must be a function.');
  }
  if (factory && typeof factory !== 'function') {
    throw invalid('Proxy opts.factory must be a function.');
  }
  return given;
}

function isSocks(url: URL): boolean {
  return url.protocol === 'socks5:' || url.protocol === 'socks:';
}

/** The peer's own agent, with our pools unless there is a factory. */
function peerAgent(url: URL, options: Options): Dispatcher {
  const given = spread(options, {
    proxyTls: unblockedProxyTls(options['proxyTls'], bareHostname(url)),
    clientFactory:
      options['clientFactory'] ?? ((origin: URL, given: object) => new Pool(origin, given)),
    factory: options['factory'] ?? makeDispatcher,
  });
  return new peer.ProxyAgent(given as unknown as PeerProxyAgent.Options);
}

/** How requests reach the proxy. */
interface Ways {
  /** Through a tunnel. */
  readonly tunnels: Dispatcher;
  /** Forwarded; the same object if the peer chooses. `null`: none are. */
  readonly forwarder: Dispatcher | null;
  /** Why the peer's agent serves tunnels; `null`: the engine does. */
  readonly byPeer: ByPeer | null;
}

/** Requests through a proxy; options are undici's. */
export class ProxyAgent extends CompositeDispatcher {
  static {
    takesBoth(this.prototype.dispatch);
  }

  private readonly $ways: Ways;
  private readonly $standIn: StandIn;
  /** Whether addresses are checked. */
  private readonly $hasRule: boolean;
  /** `true`: every request through a tunnel; `false`: only those that need one. */
  private readonly $tunnelsHttp: boolean;
  /** Options that the engine's agents read themselves. */
  private readonly $decompress: Decompression;

  /**
   * @throws InvalidArgumentError with undici's message, and for a TLS option that the engine cannot
   * honour.
   */
  constructor(options: ProxyAgent.Options | string | URL) {
    const given = readOptions(options);
    super(given);
    this.$decompress = readDecompress(given['decompress']) ?? NOT_DECODED;
    const { uri } = given;
    const url = new URL(uri as string | URL);
    Object.defineProperty(this, symbols.kProxy, {
      configurable: true,
      value: { uri: url.href, protocol: url.protocol },
    });
    const authorization = readAuthorization(given, url);
    const headers = spread(given['headers']);
    if (authorization !== undefined) headers['proxy-authorization'] = authorization;
    this.$tunnelsHttp = this.$readTunnelRule(given['proxyTunnel'], url);
    this.$ways = makeWays(url, given, headers, readLimit(options, given));
    this.$hasRule = hasRule(given, this.$ways.byPeer);
    this.$standIn = new StandIn(null, () => this.$withEvents(peerAgent(url, given)));
    hideFields(this, '$ways', '$standIn');
    for (const agent of this.$agents()) this.$withEvents(agent);
  }

  /** undici 7 uses a tunnel unless told not to, and always for a TLS proxy; 8 does not. */
  private $readTunnelRule(proxyTunnel: unknown, url: URL): boolean {
    if (peerMajor === 8) return proxyTunnel === true;
    const asked = proxyTunnel === undefined || Boolean(proxyTunnel);
    return asked || url.protocol !== 'http:';
  }

  /** Who serves the next request through a tunnel, and each origin: the engine, or undici's own class, and why. */
  get servedBy(): ServedByAll {
    const { tunnels, forwarder, byPeer } = this.$ways;
    const next = byPeer === null ? this.$standIn.servedBy : servedBy(byPeer);
    const forwarded = forwarder instanceof Forwarder ? forwarder.servedBy : {};
    return { ...next, origins: { ...forwarded, ...originsOf(tunnels) } };
  }

  private $agents(): Dispatcher[] {
    const { tunnels, forwarder } = this.$ways;
    return forwarder === null || forwarder === tunnels ? [tunnels] : [tunnels, forwarder];
  }

  private $withEvents(agent: Dispatcher): Dispatcher {
    forwardEvents(agent, this);
    return agent;
  }

  /**
   * Like `Dispatcher.dispatch`.
   *
   * @throws InvalidArgumentError for `proxy-authorization` in the request's headers, like undici.
   */
  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    if (!options || typeof options !== 'object') return super.dispatch(options, handler);
    const given = unpolluted(options);
    const { headers, origin } = given as DispatchOptions;
    const checked = checkedHeaders(headers, () => parseOrigin(origin).host);
    return super.dispatch({ ...given, headers: checked } as typeof options, handler);
  }

  protected override $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const { tunnels, forwarder } = this.$ways;
    const isForwarded = forwarder !== null && this.$isForwarded(options.origin);
    const standIn = this.$standIn.now();
    if (standIn !== null && this.$hasRule) refusePeer();
    const agent = standIn ?? (isForwarded ? forwarder : tunnels);
    const given = isForwarded ? { ...options, path: forwardedPath(options) } : options;
    if (!(agent instanceof DispatcherBase)) {
      return dispatchToPeer(agent, given, toPeerHandler(handler), this.$decompress);
    }
    return agent.dispatch(
      given as unknown as Dispatcher.DispatchOptions,
      handler as Dispatcher.DispatchHandler,
    );
  }

  private $isForwarded(origin: unknown): boolean {
    const { forwarder } = this.$ways;
    return forwarder !== null && !this.$tunnelsHttp && parseOrigin(origin).protocol === 'http:';
  }

  /**
   * Opens tunnels to an origin, or connections to the proxy if it forwards requests to it, until `count`
   * are ready; see `Pool.preconnect()`.
   */
  async preconnect(origin: string | URL, count = 1): Promise<number> {
    this.$assertOpen();
    if (this.$standIn.now() !== null) return 0;
    const { tunnels, forwarder } = this.$ways;
    const agent = this.$isForwarded(origin) ? forwarder : tunnels;
    const isOwn =
      agent instanceof Agent || agent instanceof Forwarder || agent instanceof Socks5ProxyAgent;
    return isOwn ? agent.preconnect(origin, count) : 0;
  }

  protected override $takeParts(): (Dispatcher | StandIn)[] {
    return [...this.$agents(), this.$standIn];
  }

  protected override $listParts(): Dispatcher[] {
    return this.$agents();
  }
}

/** Who serves the origins that there are tunnels to; those of the peer's agent are not known. */
function originsOf(tunnels: Dispatcher): Record<string, ServedBy> {
  if (tunnels instanceof Socks5ProxyAgent) return tunnels.servedBy.origins;
  return tunnels instanceof Agent ? tunnels.servedBy : {};
}

/** Why the peer's agent serves every request permanently; `null`: the engine serves some. */
function reasonForAll(url: URL, options: Options): ByPeer | null {
  const { factory, proxyTls, requestTls } = options;
  if (typeof factory === 'function') return { reason: 'factory', option: 'factory' };
  const isTls = url.protocol === 'https:' || isSocks(url);
  const key = peerKey(proxyTls, 'proxyTls', isTls);
  return key ?? (isSocks(url) ? peerKey(requestTls, 'requestTls') : null);
}

/**
 * Why it serves those through a tunnel. The client to the proxy is what tunnels are asked of;
 * forwarded requests never see it.
 */
function reasonForTunnels(options: Options): ByPeer | null {
  if (typeof options['clientFactory'] === 'function') {
    return { reason: 'client factory', option: 'clientFactory' };
  }
  if (wantsH2c(options)) return { reason: 'h2c tunnel', option: 'useH2c' };
  return peerKey(options['requestTls'], 'requestTls');
}

/** The dispatchers that the options require: ours wherever possible. */
function makeWays(url: URL, options: Options, headers: Options, limit: SharedLimit | null): Ways {
  const forAll = reasonForAll(url, options);
  if (forAll !== null) {
    warnOfOption(forAll);
    const agent = peerAgent(url, options);
    return { tunnels: agent, forwarder: agent, byPeer: forAll };
  }
  if (isSocks(url)) {
    return { tunnels: socksAgent(url, options, limit), forwarder: null, byPeer: null };
  }
  const byPeer = reasonForTunnels(options);
  if (byPeer !== null) warnOfOption(byPeer);
  return {
    tunnels: byPeer === null ? makeTunnels(url, options, headers, limit) : peerAgent(url, options),
    forwarder: makeForwarder(url, options, headers, limit),
    byPeer,
  };
}

/** Pools whose connections go through a tunnel, one per origin. */
function makeTunnels(
  proxy: URL,
  options: Options,
  headers: Options,
  limit: SharedLimit | null,
): Agent {
  const { requestTls, connectTimeout } = options;
  const connect = readLeg(withRule(options, 'proxyTls'), connectTimeout, 'proxyTls');
  const target = withRule(options, 'requestTls');
  // Checked here rather than with the first request.
  readLeg(target, connectTimeout, 'requestTls');
  const inner = spread({ timeout: connectTimeout }, target);
  const isSecure = proxy.protocol === 'https:';
  const servername = connect.servername ?? bareHostname(proxy);
  const shared = {
    protocol: 'http-tunnel',
    hostname: bareHostname(proxy),
    port: Number(proxy.port) || (isSecure ? 443 : 80),
    connect: { ...connect, servername },
    isSecure,
    credentials: null,
    pinsServername: Boolean(requestTls),
    makePeer: () => (hasRule(options, null) ? refusePeer() : peerAgent(proxy, options)),
  } as const;
  const settingsFor = (origin: URL): ProxySettings => {
    const { host } = origin;
    const defaultPort = origin.protocol === 'https:' ? '443' : '80';
    const list = connectHeaders(headers, host);
    return {
      ...shared,
      headers: list,
      connectParams: {
        origin: proxy.origin,
        port: proxy.port,
        path: origin.port === '' ? `${host}:${defaultPort}` : host,
        signal: undefined,
        headers: Object.fromEntries(list.filter(([name]) => name !== 'connection')),
        servername,
      },
    };
  };
  const agentOptions = {
    ...without(options, ...PROXY_ONLY),
    connect: inner,
    factory: (origin: string | URL, given: object) =>
      makeDispatcher(origin, throughProxy(given, settingsFor(parseOrigin(origin)))),
  };
  return new Agent(underLimit(agentOptions, limit));
}

/** Limits per origin and of agents; and a proxy does not forward what is in HTTP/2. */
const NOT_FOR_FORWARDING = ['connections', 'maxConnections', 'maxOrigins', 'useH2c', 'h2Options'];

/** Connections to the proxy for forwarded requests. `connections` is a limit per origin. */
function makeForwarder(
  proxy: URL,
  options: Options,
  headers: Options,
  limit: SharedLimit | null,
): Forwarder {
  const connect = spread({ timeout: options['connectTimeout'] }, withRule(options, 'proxyTls'));
  const poolOptions = {
    ...without(options, ...PROXY_ONLY, ...NOT_FOR_FORWARDING),
    connect,
    allowH2: false,
  };
  return new Forwarder(proxy, underLimit(poolOptions, limit), {
    headers,
    servername: (connect['servername'] as string | undefined) || bareHostname(proxy),
    allow: readAllow(withRule(options, 'requestTls')['allow']),
  });
}

function socksAgent(url: URL, options: Options, limit: SharedLimit | null): Socks5ProxyAgent {
  const { username, password, connectTimeout, proxyTls, requestTls } = options;
  const { allow } = ownOptions(options['connect']);
  const given = {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    connectTimeout,
    proxyTls,
    requestTls,
    ...(allow ? { connect: { allow } } : {}),
    ...ownDefaults(options),
  };
  return new Socks5ProxyAgent(url, underLimit(given, limit) as never);
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write ProxyAgent.Options
export declare namespace ProxyAgent {
  /** Options of the constructor. */
  export type Options = PeerProxyAgent.Options & ProxyDefaults & AgentTable;
}
