/**
 * `ProxyAgent` and `EnvHttpProxyAgent`: the peer's way to a proxy, over our pools and clients.
 *
 * What lives here: what these classes are made of by default. All else is the peer's: which proxy
 * serves an origin, the fields that go to it, its refusals. It must not know any of that.
 *
 * The peer hands a JavaScript connector to what it makes. What goes through a tunnel therefore runs
 * on the peer's own client, tunnel included, and so does the way to a proxy that speaks TLS;
 * requests that a plain proxy forwards need no connector, and are the engine's.
 */

import { Agent } from './agent';
import { Client } from './client';
import { wrapHandler } from './legacy-handler';
import { Pool } from './pool';
import {
  type Dispatcher,
  type EnvHttpProxyAgent as PeerEnvHttpProxyAgent,
  peer,
  peerMajor,
  type ProxyAgent as PeerProxyAgent,
  symbols,
} from './undici';

/** undici 8's classes take handlers of its own generation only, undici 7's both. */
function receiver(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  if (peerMajor === 7 || !handler || typeof handler !== 'object') return handler;
  return wrapHandler(handler) as Dispatcher.DispatchHandler;
}

type Options = Readonly<Record<string, unknown>>;

/** For CONNECT. With its connector, because listeners of `undici:proxy:connected` get the socket. */
function makeTunnelPool(proxy: string | URL, options: object): Dispatcher {
  return new Pool(proxy, options);
}

function makeDispatcher(origin: string | URL, options: Options): Dispatcher {
  return options['connections'] === 1 ? new Client(origin, options) : new Pool(origin, options);
}

/** What the proxy itself is reached by: `null` where that takes the peer's connector. */
function proxyOptions(given: Options): Options | null {
  if (!/^http:/i.test(String(given['uri']))) return null;
  const { connectTimeout } = given;
  return connectTimeout === undefined ? {} : { connectTimeout };
}

/** The options with our factories where they name none. */
function withFactories(options: unknown): unknown {
  if (!options) return options;
  const given = (
    typeof options === 'string' || options instanceof URL ? { uri: options } : options
  ) as Record<string, unknown>;
  const direct = proxyOptions(given);
  return {
    ...given,
    clientFactory: given['clientFactory'] ?? makeTunnelPool,
    factory:
      given['factory'] ??
      ((origin: string | URL, options: Options) => {
        // The proxy's own dispatcher, for requests without a tunnel, gets a connector and no more.
        const toProxy = direct !== null && Object.keys(options).join() === 'connect';
        return toProxy ? new Pool(origin, direct) : makeDispatcher(origin, options);
      }),
  };
}

/** Requests through a proxy; options are undici's. */
export class ProxyAgent extends peer.ProxyAgent {
  constructor(options: PeerProxyAgent.Options | string | URL) {
    super(withFactories(options) as PeerProxyAgent.Options);
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(options, receiver(handler));
  }
}

/** Requests through the proxies that the environment names; options are undici's. */
export class EnvHttpProxyAgent extends peer.EnvHttpProxyAgent {
  constructor(options: PeerEnvHttpProxyAgent.Options = {}) {
    super(options);
    const { httpProxy, httpsProxy, ...rest } = options;
    delete rest.noProxy;
    const { env } = process;
    // The peer's own agents were never used, and hold nothing.
    const agents = this as unknown as Record<symbol, Dispatcher>;
    const direct = new Agent(rest as never);
    const http = httpProxy ?? env['http_proxy'] ?? env['HTTP_PROXY'];
    const https = httpsProxy ?? env['https_proxy'] ?? env['HTTPS_PROXY'];
    const forHttp = http ? new ProxyAgent({ ...rest, uri: http }) : direct;
    agents[symbols.kNoProxyAgent] = direct;
    agents[symbols.kHttpProxyAgent] = forHttp;
    agents[symbols.kHttpsProxyAgent] = https ? new ProxyAgent({ ...rest, uri: https }) : forHttp;
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return super.dispatch(options, receiver(handler));
  }
}

/** Types under the names that undici's declarations give them. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write ProxyAgent.Options
export declare namespace ProxyAgent {
  /** Options of the constructor. */
  export type Options = PeerProxyAgent.Options;
}

/** Types under the names that undici's declarations give them. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write EnvHttpProxyAgent.Options
export declare namespace EnvHttpProxyAgent {
  /** Options of the constructor. */
  export type Options = PeerEnvHttpProxyAgent.Options;
}
