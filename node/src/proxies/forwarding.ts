/**
 * Requests that a proxy forwards: no tunnel, the whole URL in the request line.
 *
 * What lives here: the dispatcher that rewrites requests for the proxy and keeps the connections to it,
 * for all origins together. `ProxyAgent` has one. It must not know which requests are forwarded.
 */

import type { Duplex } from 'node:stream';

import { DispatcherBase, forwardEvents, hideFields, Pool } from '../dispatchers';
import { parseOrigin, type PoolOptions } from '../options';
import {
  type DispatchController,
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  type ParsedHeaders,
} from '../undici';
import { mergedHeaders } from './proxy-headers';

/** The peer declares it without its argument. */
const SecureProxyConnectionError = errors.SecureProxyConnectionError as unknown as new (
  cause: Error,
) => Error;

/** A handler with undici's view of a proxy: its refusals are errors. */
class ForwardedHandler implements DispatchHandler {
  constructor(
    private readonly handler: DispatchHandler,
    private readonly isSecure: boolean,
  ) {}

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    socket: Duplex,
  ): void {
    if (typeof this.handler.onRequestUpgrade !== 'function') {
      throw new errors.InvalidArgumentError('invalid onRequestUpgrade method');
    }
    this.handler.onRequestUpgrade(controller, statusCode, headers, socket);
  }

  onResponseStarted(): void {
    this.handler.onResponseStarted?.();
  }

  onResponseStart(
    controller: DispatchController,
    statusCode: number,
    headers: ParsedHeaders,
    statusMessage?: string,
  ): void {
    if (statusCode === 407) {
      controller.abort(new errors.InvalidArgumentError('Proxy Authentication Required (407)'));
      return;
    }
    this.handler.onResponseStart?.(controller, statusCode, headers, statusMessage);
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    this.handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: DispatchController, trailers: ParsedHeaders): void {
    this.handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: DispatchController | null, error: Error): void {
    const isWrongName =
      this.isSecure && (error as { code?: string }).code === 'ERR_TLS_CERT_ALTNAME_INVALID';
    this.handler.onResponseError?.(
      controller,
      isWrongName ? new SecureProxyConnectionError(error) : error,
    );
  }

  onBodySent(chunk: Uint8Array | string): void {
    this.handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.handler.onRequestSent?.();
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
  if (typeof path !== 'string') throw new errors.InvalidArgumentError('path must be a string');
  if (path.startsWith('/')) return path;
  if (path === '*' && method === 'OPTIONS') return '';
  throw new errors.InvalidArgumentError(
    'path must start with a slash: a proxy would read it as part of the host',
  );
}

/** How requests are rewritten. */
export interface ForwarderOptions {
  /** Fields for the proxy in every request. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** Name in the proxy's certificate. */
  readonly servername: string;
}

/** A dispatcher for `http` requests through one proxy. */
export class Forwarder extends DispatcherBase {
  private readonly pool: Pool;
  private readonly isSecure: boolean;
  private readonly options: ForwarderOptions;

  constructor(proxy: URL, poolOptions: PoolOptions, options: ForwarderOptions) {
    super();
    this.pool = new Pool(proxy.origin, poolOptions);
    this.isSecure = proxy.protocol === 'https:';
    this.options = options;
    hideFields(this, 'options');
    forwardEvents(this.pool, this);
  }

  protected override dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const { origin, host } = parseOrigin(options.origin);
    const rewritten: DispatchOptions = {
      ...options,
      path: `${origin}${options.path as string}`,
      headers: mergedHeaders(this.options.headers, options.headers, host),
    };
    if (this.isSecure) rewritten.servername = this.options.servername;
    return this.pool.dispatch(
      rewritten as unknown as Dispatcher.DispatchOptions,
      new ForwardedHandler(handler, this.isSecure) as Dispatcher.DispatchHandler,
    );
  }

  protected override closeGracefully(): Promise<unknown> {
    return this.pool.close();
  }

  protected override destroyNow(error: Error): Promise<unknown> {
    return this.pool.destroy(error);
  }
}
