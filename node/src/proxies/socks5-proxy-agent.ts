/**
 * `Socks5ProxyAgent`: requests through a SOCKS5 proxy, which resolves the names.
 *
 * What lives here: undici's options and errors, and a pool per origin. Users and `ProxyAgent` construct
 * it. It must not know the protocol, which the engine implements.
 *
 * With a `connect` function, a `lookup` or a key of Node's, or while Node's sockets are replaced, the
 * peer's own class serves.
 */

import {
  closeIfUnused,
  CompositeDispatcher,
  forwardEvents,
  hideFields,
  Pool,
  servedByOrigin,
  StandIn,
} from '../dispatchers';
import {
  type AgentTable,
  bareHostname,
  type Decompression,
  dispatchToPeer,
  NOT_DECODED,
  ownDefaults,
  ownOptions,
  parseOrigin,
  type ProxySettings,
  readDecompress,
  readLimit,
  refuseOrigins,
  type ProxyDefaults,
  type SharedLimit,
  spread,
  throughProxy,
  underLimit,
  unblockedProxyTls,
} from '../options';
import {
  type ByPeer,
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  invalid,
  peer,
  type ServedByAll,
  type Socks5ProxyAgent as PeerSocks5ProxyAgent,
  toPeerHandler,
} from '../undici';
import { hasRule, peerKey, readLeg, refusePeer, withRule } from './proxy-options';

type Options = Readonly<Record<string, unknown>>;

/** Where undici stores the pools, by origin. */
const kPools = Symbol('pools');

const DEFAULT_PORT = 1080;

function readUrl(proxyUrl: unknown): URL {
  if (!proxyUrl) throw invalid('Proxy URL is mandatory');
  const url = proxyUrl instanceof URL ? proxyUrl : new URL(proxyUrl);
  if (url.protocol !== 'socks5:' && url.protocol !== 'socks:') {
    throw invalid('Proxy URL must use socks5:// or socks:// protocol');
  }
  return url;
}

function checkTimeout(value: unknown, name: string): void {
  if (value === undefined || value === null) return;
  if (!Number.isFinite(value) || (value as number) < 0) throw invalid(`invalid ${name}`);
}

function decode(text: string): string | null {
  return text === '' ? null : decodeURIComponent(text);
}

/** User name and password: undici authenticates only if it has both. */
function readCredentials(options: Options, url: URL): ProxySettings['credentials'] {
  const username = (options['username'] as string | undefined) || decode(url.username);
  const password = (options['password'] as string | undefined) || decode(url.password);
  if (!username || !password) return null;
  const isTooLong = (text: string) => Buffer.byteLength(text) > 255;
  if (isTooLong(username) || isTooLong(password)) throw invalid('Username or password too long');
  return { username, password };
}

function readSettings(options: Options, url: URL, makePeer: () => Dispatcher): ProxySettings {
  const { proxyTls, connectTimeout } = options;
  const connect = readLeg(withRule(options, 'proxyTls'), connectTimeout, 'proxyTls');
  const hostname = bareHostname(url);
  return {
    protocol: 'socks5h',
    hostname,
    port: Number(url.port) || DEFAULT_PORT,
    connect: { ...connect, servername: connect.servername ?? hostname },
    isSecure: Boolean(proxyTls),
    credentials: readCredentials(options, url),
    headers: [],
    pinsServername: true,
    connectParams: null,
    makePeer,
  };
}

/** Requests through a SOCKS5 proxy; options are undici's. */
export class Socks5ProxyAgent extends CompositeDispatcher {
  private readonly $settings: ProxySettings;
  /** `connect` of the pools: TLS to the origin. */
  private readonly $inner: object;
  private readonly $decompress: Decompression;
  /** Options of the pools that undici does not have. */
  private readonly $defaults: object;
  /** On the connections of all pools together. */
  private readonly $limit: SharedLimit | null;
  private readonly $standIn: StandIn;
  /** Whether addresses are checked. */
  private readonly $hasRule: boolean;
  private readonly [kPools] = new Map<string, Pool>();

  /**
   * @throws InvalidArgumentError with undici's message, and for a TLS option that the engine cannot
   * honour.
   */
  constructor(proxyUrl: string | URL, options?: Socks5ProxyAgent.Options) {
    const given = ownOptions(options);
    refuseOrigins(given, 'Socks5ProxyAgent');
    super(given);
    this.$decompress = readDecompress(given['decompress']) ?? NOT_DECODED;
    this.$defaults = ownDefaults(given);
    this.$limit = readLimit(options, given);
    const url = readUrl(proxyUrl);
    const { connect, connectTimeout, proxyTls, requestTls } = given;
    // An object is only for a rule about addresses.
    const isRule = Boolean(ownOptions(connect)['allow']);
    if (connect && typeof connect !== 'function' && !isRule) {
      throw invalid('connect must be a function');
    }
    checkTimeout(connectTimeout, 'connectTimeout');
    checkTimeout(ownOptions(requestTls)['timeout'], 'requestTls.timeout');
    checkTimeout(ownOptions(proxyTls)['timeout'], 'proxyTls.timeout');
    const byPeer: ByPeer | null =
      typeof connect === 'function'
        ? { reason: 'connect', option: 'connect' }
        : (peerKey(proxyTls, 'proxyTls', Boolean(proxyTls)) ?? peerKey(requestTls, 'requestTls'));
    this.$hasRule = hasRule(given, byPeer);
    const makePeer = (): Dispatcher => {
      if (this.$hasRule) refusePeer();
      const tls = proxyTls && unblockedProxyTls(proxyTls, bareHostname(url));
      return new peer.Socks5ProxyAgent(proxyUrl, spread(given, { proxyTls: tls }));
    };
    this.$standIn = new StandIn(byPeer, makePeer);
    this.$settings = readSettings(byPeer === null ? given : ownOptions({}), url, makePeer);
    const target = withRule(given, 'requestTls');
    this.$inner = spread({ timeout: connectTimeout }, target);
    // Checked here rather than with the first request.
    if (byPeer === null) readLeg(target, connectTimeout, 'requestTls');
    hideFields(this, '$settings', '$inner', '$defaults', '$limit', '$standIn');
  }

  /** Who serves the next request, and each origin: the engine, or undici's own class, and why. */
  get servedBy(): ServedByAll {
    return { ...this.$standIn.servedBy, origins: servedByOrigin(this[kPools].values()) };
  }

  protected override $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const standIn = this.$standIn.now();
    if (standIn !== null) {
      return dispatchToPeer(standIn, options, toPeerHandler(handler), this.$decompress);
    }
    return this.$poolOf(options.origin, options).dispatch(
      options as unknown as Dispatcher.DispatchOptions,
      handler as Dispatcher.DispatchHandler,
    );
  }

  /** Opens connections to an origin through the proxy; see `Pool.preconnect()`. */
  async preconnect(origin: string | URL, count = 1): Promise<number> {
    this.$assertOpen();
    return this.$standIn.now() === null ? this.$poolOf(origin, {}).preconnect(count) : 0;
  }

  private $poolOf(given: unknown, options: DispatchOptions): Pool {
    const { origin } = parseOrigin(given);
    const pool = this[kPools].get(origin);
    const isUsable = pool !== undefined && !pool.destroyed && !pool.closed;
    return isUsable ? pool : this.$addPool(origin, options);
  }

  protected override $listParts(): Iterable<Pool> {
    return this[kPools].values();
  }

  private $addPool(origin: string, options: DispatchOptions): Pool {
    const { pipelining, connections } = options as Options;
    const given = { ...this.$defaults, pipelining, connections, connect: this.$inner };
    const pool = new Pool(origin, underLimit(throughProxy(given, this.$settings), this.$limit));
    this[kPools].set(origin, pool);
    forwardEvents(pool, this, () => {
      if (this[kPools].get(origin) === pool && closeIfUnused(pool)) this[kPools].delete(origin);
    });
    return pool;
  }

  protected override $takeParts(): (Dispatcher | StandIn)[] {
    const pools = [...this[kPools].values()];
    this[kPools].clear();
    return [...pools, this.$standIn];
  }
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write Socks5ProxyAgent.Options
export declare namespace Socks5ProxyAgent {
  /** Options of the constructor. */
  export type Options = PeerSocks5ProxyAgent.Options & ProxyDefaults & AgentTable;
}
