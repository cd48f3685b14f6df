/**
 * A proxy in the settings of a pool: what the engine needs to open the way.
 *
 * What lives here: `ProxySettings`, and the private way in which the proxy agents hand them to the
 * pools that they make. The agents call it, and `options.ts` takes the settings out of a pool's
 * options. It must not know undici's options for proxies: see `proxy-options.ts`.
 */

import type { ConnectSettings } from './connect-options';

/** See above. Nothing of it belongs in a log: it holds credentials. */
export interface ProxySettings {
  readonly protocol: 'http-tunnel' | 'socks5h';
  /** IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** How the proxy is reached, and how TLS is spoken to it. */
  readonly connect: ConnectSettings;
  /** Whether it is spoken to in TLS. */
  readonly isSecure: boolean;
  /** User name and password in SOCKS; `null` where there are none. */
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** Fields of the `CONNECT` request. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Whether TLS with the origin has one server name, whatever a request's `host` says. */
  readonly pinsServername: boolean;
  /** `connectParams` of messages on `undici:proxy:connected`; `null` where undici sends none. */
  readonly connectParams: object | null;
}

/** Where the proxy agents put the settings among a pool's options. No name, so nobody else can. */
const kProxySettings = Symbol('proxy settings');

/** The options of a pool whose connections go through a proxy. */
export function throughProxy(options: object, proxy: ProxySettings): object {
  return { ...options, [kProxySettings]: proxy };
}

/** The proxy among a pool's options. */
export function proxyOf(options: unknown): ProxySettings | null {
  if (typeof options !== 'object' || options === null) return null;
  if (!Object.hasOwn(options, kProxySettings)) return null;
  return (options as Record<symbol, ProxySettings>)[kProxySettings] ?? null;
}
