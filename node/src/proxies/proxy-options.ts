/**
 * undici's proxy options, converted to `ProxySettings`.
 *
 * What lives here: `proxyTls` and the like, credentials, and the fields of a `CONNECT` request.
 * The proxy agents call it. It must not know pools or requests.
 */

import { addHeader, type HeaderTarget } from '../headers';
import {
  AddressNotAllowedError,
  type ConnectSettings,
  ownOptions,
  readAllow,
  readConnect,
  spread,
} from '../options';
import { type ByPeer, invalid } from '../undici';

type Options = Readonly<Record<string, unknown>>;

/**
 * Settings of the connection to a proxy or of TLS in a tunnel: one of undici's TLS option objects, with
 * `timeout` as the default.
 *
 * @throws InvalidArgumentError naming the option.
 */
export function readLeg(
  tls: unknown,
  timeout: unknown,
  path: 'proxyTls' | 'requestTls',
): ConnectSettings {
  const options = ownOptions(tls);
  options['timeout'] ??= timeout;
  const { maxCachedSessions } = options;
  const isCount = Number.isInteger(maxCachedSessions) && (maxCachedSessions as number) >= 0;
  if (maxCachedSessions !== undefined && maxCachedSessions !== null && !isCount) {
    throw invalid('maxCachedSessions must be a positive integer or zero');
  }
  return readConnect(options, path).connect;
}

/**
 * One of a proxy agent's TLS option objects, with the agent's `connect.allow` as the default: undici
 * ignores `connect` there, which a rule about addresses must not be.
 */
export function withRule(options: Options, path: 'proxyTls' | 'requestTls'): Options {
  return spread({ allow: ownOptions(options['connect'])['allow'] }, ownOptions(options[path]));
}

/**
 * Whether one of the legs has a rule about addresses. The peer's agent would not follow it.
 *
 * @throws InvalidArgumentError if the peer's agent serves, for `byPeer`.
 */
export function hasRule(options: Options, byPeer: ByPeer | null): boolean {
  const rules = (['proxyTls', 'requestTls'] as const).map((path) =>
    readAllow(withRule(options, path)['allow']),
  );
  const has = rules.some((rule) => rule !== null);
  if (!has || byPeer === null) return has;
  throw invalid(`connect.allow and ${byPeer.option} are mutually exclusive`);
}

/** For an agent with a rule about addresses, while the peer's agent would serve. */
export function refusePeer(): never {
  throw new AddressNotAllowedError(
    "undici's own class, which would connect, does not follow connect.allow",
  );
}

/**
 * Why the peer's agent must serve with one of these TLS option objects; `null`: the engine can.
 * `isTls`: it is for TLS, not only for sockets.
 */
export function peerKey(
  tls: unknown,
  path: 'proxyTls' | 'requestTls',
  isTls = true,
): ByPeer | null {
  const options = ownOptions(tls);
  if (typeof options['lookup'] === 'function')
    return { reason: 'option', option: `${path}.lookup` };
  const { always, overTls } = readConnect(options, path);
  return isTls ? overTls : always;
}

/** The credentials for the proxy, as a header. */
export function readAuthorization(options: Options, url: URL): unknown {
  const { auth, token } = options;
  if (auth && token) {
    throw invalid('opts.auth cannot be used in combination with opts.token');
  }
  if (auth) return `Basic ${auth as string}`;
  if (token) return token;
  if (url.username === '') return undefined;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Fields of a `CONNECT` request that the user cannot set. */
const OURS = new Set(['host', 'connection', 'proxy-connection']);

/**
 * The fields of a `CONNECT` request for the origin's `host`, in undici's order.
 *
 * @throws InvalidArgumentError or NotSupportedError for a field that cannot be sent.
 */
export function connectHeaders(headers: Options, host: string): [string, string][] {
  const target: HeaderTarget = {
    host: null,
    contentLength: null,
    contentType: null,
    reset: null,
    lines: '',
  };
  for (const name of Object.keys(headers)) {
    if (!OURS.has(name.toLowerCase())) addHeader(target, name, headers[name]);
  }
  const list: [string, string][] = [
    ['host', host],
    ['connection', 'close'],
  ];
  for (const line of target.lines.split('\r\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) list.push([line.slice(0, colon), line.slice(colon + 2)]);
  }
  list.push(['proxy-connection', 'keep-alive']);
  return list;
}
