/**
 * Requests that a proxy forwards: no tunnel, the whole URL in the request line.
 *
 * What lives here: the dispatcher that rewrites requests for the proxy and keeps the connections to it,
 * for all origins together. `ProxyAgent` has one. It must not know which requests are forwarded.
 */

import {
  CompositeDispatcher,
  forwardEvents,
  hideFields,
  Pool,
  servedByOrigin,
} from '../dispatchers';
import {
  type AllowRule,
  bareHostname,
  checkLiteral,
  parseOrigin,
  type PoolOptions,
} from '../options';
import {
  type DispatchController,
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  type HandlerCall,
  invalid,
  PassingHandler,
  type ServedBy,
} from '../undici';
import { mergedHeaders } from './proxy-headers';

/** The peer declares it without its argument. */
const SecureProxyConnectionError = errors.SecureProxyConnectionError as unknown as new (
  cause: Error,
) => Error;

/** A handler with undici's view of a proxy: its refusals are errors. */
class ForwardedHandler extends PassingHandler {
  constructor(
    handler: DispatchHandler,
    private readonly isSecure: boolean,
  ) {
    super(handler);
  }

  override onRequestUpgrade(...call: HandlerCall<'onRequestUpgrade'>): void {
    if (typeof this.handler.onRequestUpgrade !== 'function') {
      throw invalid('invalid onRequestUpgrade method');
    }
    super.onRequestUpgrade(...call);
  }

  override onResponseStart(...call: HandlerCall<'onResponseStart'>): void {
    const [controller, statusCode] = call;
    if (statusCode !== 407) super.onResponseStart(...call);
    else controller.abort(invalid('Proxy Authentication Required (407)'));
  }

  override onResponseError(controller: DispatchController | null, error: Error): void {
    const isWrongName =
      this.isSecure && (error as { code?: string }).code === 'ERR_TLS_CERT_ALTNAME_INVALID';
    super.onResponseError(controller, isWrongName ? new SecureProxyConnectionError(error) : error);
  }
}

/**
 * What follows the origin in the request line: the path, or nothing for `OPTIONS *` (RFC 9112 3.2.4).
 * Anything other than a path would be read as part of the authority: `@other.test/`, `.other.test/`,
 * `:80@other.test/`, `http://other.test/`.
 *
 * @throws InvalidArgumentError for anything else.
 */
export function forwardedPath({ path = '/', method }: DispatchOptions): string {
  if (typeof path !== 'string') throw invalid('path must be a string');
  if (path.startsWith('/')) return path;
  if (path === '*' && method === 'OPTIONS') return '';
  throw invalid('path must start with a slash: a proxy would read it as part of the host');
}

/** How requests are rewritten. */
export interface ForwarderOptions {
  /** Fields for the proxy in every request. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** Name in the proxy's certificate. */
  readonly servername: string;
  /** Which addresses requests may be for, as far as they are known here; `null`: all. */
  readonly allow: AllowRule | null;
}

/** A dispatcher for `http` requests through one proxy. */
export class Forwarder extends CompositeDispatcher {
  private readonly $pool: Pool;
  private readonly $isSecure: boolean;
  private readonly $options: ForwarderOptions;

  constructor(proxy: URL, poolOptions: PoolOptions, options: ForwarderOptions) {
    super();
    this.$pool = new Pool(proxy.origin, poolOptions);
    this.$isSecure = proxy.protocol === 'https:';
    this.$options = options;
    hideFields(this, '$options');
    forwardEvents(this.$pool, this);
  }

  /** Who serves the proxy, by its origin. */
  get servedBy(): Record<string, ServedBy> {
    return servedByOrigin([this.$pool]);
  }

  protected override $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const url = parseOrigin(options.origin);
    checkLiteral(this.$options.allow, bareHostname(url));
    const { origin, host } = url;
    const rewritten: DispatchOptions = {
      ...options,
      path: `${origin}${options.path as string}`,
      headers: mergedHeaders(this.$options.headers, options.headers, host),
    };
    if (this.$isSecure) rewritten.servername = this.$options.servername;
    return this.$pool.dispatch(
      rewritten as unknown as Dispatcher.DispatchOptions,
      new ForwardedHandler(handler, this.$isSecure) as Dispatcher.DispatchHandler,
    );
  }

  protected override $takeParts(): Dispatcher[] {
    return [this.$pool];
  }

  protected override $listParts(): Dispatcher[] {
    return [this.$pool];
  }

  /** Opens connections to the proxy; see `Pool.preconnect()`. */
  preconnect(_origin: string | URL, count?: number): Promise<number> {
    return this.$pool.preconnect(count);
  }
}
