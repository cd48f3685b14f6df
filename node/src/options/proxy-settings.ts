/**
 * A proxy in the settings of a pool.
 *
 * What lives here: `ProxySettings`, and the private option through which the proxy agents pass them
 * to the pools they create. The agents set it, and `options.ts` reads it from a pool's options. It
 * must not know undici's options for proxies: see `proxy-options.ts`.
 */

import type { Dispatcher } from '../undici';
import type { ConnectSettings } from './connect-options';

/** See above. Must not be logged: it contains credentials. */
export interface ProxySettings {
  readonly protocol: 'http-tunnel' | 'socks5h';
  /** IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** How connections to the proxy are opened, including TLS. */
  readonly connect: ConnectSettings;
  /** Whether it is used over TLS. */
  readonly isSecure: boolean;
  /** SOCKS user name and password; `null` for none. */
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** Header fields of the `CONNECT` request. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Whether TLS to the origin has a fixed server name, whatever a request's `host`. */
  readonly pinsServername: boolean;
  /** `connectParams` of messages on `undici:proxy:connected`; `null` if undici sends none. */
  readonly connectParams: object | null;
  /** The peer's agent for this proxy, where the engine has no TLS in common with the server; a new one. */
  readonly makePeer: () => Dispatcher;
}

/** The key for the settings in a pool's options. A symbol, so that only the proxy agents can set it. */
const kProxySettings = Symbol('proxy settings');

/** The options of a pool whose connections go through a proxy. */
export function throughProxy(options: object, proxy: ProxySettings): object {
  return { ...options, [kProxySettings]: proxy };
}

/** The proxy in a pool's options. */
export function proxyOf(options: unknown): ProxySettings | null {
  if (typeof options !== 'object' || options === null) return null;
  if (!Object.hasOwn(options, kProxySettings)) return null;
  return (options as Record<symbol, ProxySettings>)[kProxySettings] ?? null;
}
