/**
 * One request of a fetch and its response: the handler of one dispatch.
 *
 * What lives here: the dispatcher's callbacks. A fetch has one current hop; that of a redirect may
 * still be discarding its body. It must not know redirects or promises.
 */

import {
  OwnHandler,
  RequestController,
  type RequestTimings,
  type TimedController,
} from '../request';
import {
  type DispatchController,
  type DispatchHandler,
  type FetchDecoding,
  type LegacyHandler,
  type ParsedHeaders,
  peerMajor,
  toPeerHandler,
} from '../undici';
import { codingsOf, Decoder } from './decode';
import { type BodyOwner, IncomingBody } from './incoming-body';
import { fieldOf, type Fields, mayHave } from './response-head';

/** A final head. */
export interface Head {
  readonly status: number;
  readonly statusText: string;
  readonly fields: Fields;
}

/** The fetch that a hop belongs to. */
export interface HopOwner extends BodyOwner {
  /** The request is about to be sent. Returns the reason to abort it, or `undefined`. */
  hopStarted(): Error | undefined;
  /** The first byte of a response has arrived. */
  hopAnswered(): void;
  hopResponded(hop: Hop, head: Head): void;
  /** Bytes of the body have arrived. */
  hopReceived(bytes: number): void;
  /** Failed before the head. */
  hopFailed(error: unknown, wasAborted: boolean): void;
}

/** See above. */
export class Hop extends OwnHandler implements DispatchHandler, FetchDecoding {
  readonly #owner: HopOwner;
  #controller: DispatchController | null = null;
  /** The reason of an abort before there was a controller. */
  #abortedBy: { readonly reason: Error | undefined } | null = null;
  #phase: 'waiting' | 'responded' | 'over' = 'waiting';
  /** Receives the body; `null`: it is discarded. */
  #body: IncomingBody | null = null;
  #decoder: Decoder | null = null;

  // For `kDecode`.
  decoded = false;
  received = 0;

  /** `isContextFree`: none of the user's streams is read for it. `follows`: the body of a redirect is not read. */
  constructor(
    owner: HopOwner,
    readonly isContextFree: boolean,
    readonly follows: boolean,
  ) {
    super();
    this.#owner = owner;
  }

  /**
   * The handler for interceptors: a plain object like that of undici's fetch, which they can spread or
   * inherit from. Those of undici 7 may call its legacy methods.
   */
  get plain(): DispatchHandler {
    const plain: DispatchHandler = {
      onRequestStart: (controller) => this.onRequestStart(controller),
      onResponseStarted: () => this.onResponseStarted(),
      onResponseStart: (controller, status, headers, statusText) =>
        this.onResponseStart(controller, status, headers, statusText),
      onResponseData: (controller, chunk) => this.onResponseData(controller, chunk),
      onResponseEnd: () => this.onResponseEnd(),
      onResponseError: (controller, error) => this.onResponseError(controller, error),
    };
    if (peerMajor >= 8) return plain;
    const legacy = toPeerHandler(plain) as LegacyHandler;
    return Object.assign<DispatchHandler, LegacyHandler>(plain, {
      onConnect: (abort) => legacy.onConnect?.(abort),
      onHeaders: (...head) => legacy.onHeaders?.(...head),
      onData: (chunk) => legacy.onData?.(chunk),
      onComplete: (trailers) => legacy.onComplete?.(trailers),
      onError: (error) => legacy.onError?.(error),
    });
  }

  /** Whether the response is complete. */
  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Whether other requests wait for the connection that the response occupies. */
  get delaysOthers(): boolean {
    return RequestController.delaysOthers(this.#controller);
  }

  // To the dispatcher ------------------------------------------------------------------------

  /** What the engine knows of them. */
  get timings(): RequestTimings | null {
    return (this.#controller as TimedController | null)?.timings ?? null;
  }

  abort(reason: unknown): void {
    if (this.#phase === 'over') return;
    this.#abortedBy ??= { reason: reason as Error | undefined };
    this.#controller?.abort(reason as Error | undefined);
  }

  /**
   * The decoded body of the response with this head, whether the engine decodes it or this layer.
   *
   * @throws Error for too many codings.
   */
  openBody({ fields }: Head): IncomingBody {
    const controller = this.#controller as DispatchController;
    const body = new IncomingBody(controller, this.#owner);
    if (!this.decoded && mayHave(fields, 'content-encoding')) {
      const codings = codingsOf(fieldOf(fields, 'content-encoding'));
      if (codings.length > 0) {
        this.#decoder = new Decoder(codings, controller, body, (error) => {
          body.fail(terminated(error));
          this.abort(error);
        });
        body.feeder = this.#decoder;
      }
    }
    this.#body = body;
    return body;
  }

  // From the dispatcher ----------------------------------------------------------------------

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller;
    const reason = this.#owner.hopStarted();
    if (reason !== undefined) controller.abort(reason);
    else if (this.#abortedBy !== null) controller.abort(this.#abortedBy.reason);
  }

  onResponseStarted(): void {
    this.#owner.hopAnswered();
  }

  onResponseStart(
    controller: DispatchController,
    status: number,
    headers: ParsedHeaders,
    statusText = '',
  ): void {
    if (status < 200 || this.#phase !== 'waiting') return;
    const raw = controller.rawHeaders;
    this.#respond(controller, {
      status,
      statusText,
      fields: Array.isArray(raw) ? { kind: 'raw', raw } : { kind: 'parsed', parsed: headers ?? {} },
    });
  }

  override onHead(
    controller: DispatchController,
    status: number,
    text: string,
    start: number,
    statusText: string,
  ): void {
    if (this.#phase !== 'waiting') return;
    this.#respond(controller, { status, statusText, fields: { kind: 'text', text, start } });
  }

  #respond(controller: DispatchController, head: Head): void {
    this.#controller = controller;
    this.#phase = 'responded';
    this.#owner.hopResponded(this, head);
  }

  onResponseData(_controller: DispatchController, chunk: Buffer): void {
    if (!this.decoded) this.#owner.hopReceived(chunk.byteLength);
    if (this.#decoder !== null) this.#decoder.write(chunk);
    else this.#body?.push(chunk);
  }

  onResponseEnd(): void {
    this.#phase = 'over';
    if (this.decoded) this.#owner.hopReceived(this.received);
    if (this.#decoder !== null) this.#decoder.end();
    else this.#body?.end();
  }

  onResponseError(controller: DispatchController | null, error: Error): void {
    if (this.#phase === 'over') return;
    const isAnswered = this.#phase === 'responded';
    this.#phase = 'over';
    if (isAnswered) this.#body?.fail(terminated(error));
    else this.#owner.hopFailed(error, controller?.aborted ?? false);
  }
}

/** The error of an interrupted body. */
function terminated(cause: unknown): TypeError {
  return new TypeError('terminated', isErrorLike(cause) ? { cause } : undefined);
}

/** undici's check, which includes errors of other realms. */
export function isErrorLike(value: unknown): value is Error {
  if (value instanceof Error) return true;
  const name = (value as { constructor?: { name?: unknown } } | null)?.constructor?.name;
  return name === 'Error' || name === 'DOMException';
}
