/**
 * Dispatchers that go through a proxy.
 *
 * What lives here: undici's proxy agents over ours. It must not know how the engine connects.
 */

export { EnvHttpProxyAgent } from './env-http-proxy-agent';
export { ProxyAgent } from './proxy-agent';
export { Socks5ProxyAgent } from './socks5-proxy-agent';
