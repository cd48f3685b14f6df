/**
 * One call of `fetch()`, from its request to the end of its body.
 *
 * What lives here: the standard's steps between hops: redirects, the single retry after 421, abort,
 * and settling the promise. It must not know headers or dispatchers' handlers.
 *
 * ```text
 * waiting ─ head ─▶ responded ─ body read, failed or cancelled ─▶ over
 *    │ ▲ redirect, 421
 *    └─┘
 *    └─ failure, abort ─▶ over
 * ```
 */

import { isOwnDispatcher } from '../dispatchers';
import { queueMicrotask } from '../process';
import { type Dispatcher, doesTakeBoth, kDecode, type peer, toPeerHandler } from '../undici';
import { type Head, Hop, type HopOwner, isErrorLike } from './hop';
import type { IncomingBody } from './incoming-body';
import { followRedirect, isRedirect } from './redirects';
import type { FetchRequest } from './request';
import type { ResponseFactory } from './response';
import { ResponseBody } from './response-body';
import { fieldOf } from './response-head';
import { follow, type Follower, unfollow } from './signals';
import { Timing } from './timing';
import { bodyClosed, type OpenBody, watchBody } from './unread';

type Response = InstanceType<typeof peer.Response>;

function abortError(): DOMException {
  return new DOMException('The operation was aborted.', 'AbortError');
}

function hasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304;
}

/** See above. */
export class Fetching implements HopOwner, Follower, OpenBody {
  readonly #request: FetchRequest;
  readonly #dispatcher: Dispatcher;
  readonly #responses: ResponseFactory;
  /** Both `null` once the promise has settled. */
  #resolve: ((response: Response) => void) | null;
  #reject: ((reason: unknown) => void) | null;
  readonly #timing = new Timing();
  #hop: Hop;
  #isOver = false;
  #hasRepeated = false;
  #status = 0;
  #incoming: IncomingBody | null = null;

  constructor(
    request: FetchRequest,
    dispatcher: Dispatcher,
    responses: ResponseFactory,
    resolve: (response: Response) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#request = request;
    this.#dispatcher = dispatcher;
    this.#responses = responses;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#hop = this.#makeHop();
  }

  #makeHop(): Hop {
    const { isRepeatable, redirect } = this.#request;
    return new Hop(this, isRepeatable, redirect === 'follow');
  }

  start(): void {
    const { signal, target } = this.#request;
    if (signal !== null) {
      if (signal.aborted) {
        this.#abort(signal.reason);
        return;
      }
      follow(signal, this);
    }
    if (target.isBadPort) this.#fail(new Error('bad port'));
    else this.#send();
  }

  #send(): void {
    const { target, method, body } = this.#request;
    const dispatcher = this.#dispatcher;
    const hop = this.#hop;
    try {
      const opened = body?.open((error) => this.#bodyFailed(hop, error)) ?? null;
      const isOwn = isOwnDispatcher(dispatcher);
      const isMocked = (dispatcher as { isMockActive?: unknown }).isMockActive === true;
      const options = {
        path: target.path,
        origin: target.origin,
        method,
        // Mocks compare the body's source, and send it if it matches nothing.
        body: isMocked && body !== null ? (body.source ?? body.stream) : opened,
        __mockAgentBodyForDispatch: opened,
        headers: this.#request.fieldsOfHop(),
        maxRedirections: 0,
        // Anything in between, a cache or a mock, gets the body as sent on the wire.
        [kDecode]: isOwn ? hop : null,
        upgrade: undefined,
      } as unknown as Dispatcher.DispatchOptions;
      const handler = (isOwn ? hop : hop.plain) as unknown as Dispatcher.DispatchHandler;
      // undici 7's own dispatchers, and users' subclasses, may pass handlers on in their legacy
      // form.
      const receiver = doesTakeBoth(dispatcher) ? handler : toPeerHandler(handler);
      dispatcher.dispatch(options, receiver);
    } catch (error) {
      if (hop === this.#hop) this.hopFailed(error, false);
    }
  }

  // The hop ----------------------------------------------------------------------------------

  hopStarted(): Error | undefined {
    this.#timing.requestStarted();
    return this.#isOver ? abortError() : undefined;
  }

  hopAnswered(): void {
    this.#timing.responseStarted();
  }

  hopReceived(bytes: number): void {
    this.#timing.encoded += bytes;
  }

  hopResponded(hop: Hop, head: Head): void {
    if (hop !== this.#hop || this.#isOver) return;
    const { status } = head;
    const { redirect, isRepeatable } = this.#request;
    if (status === 407) this.#refuse(hop, new Error());
    else if (status === 421 && !this.#hasRepeated && isRepeatable) {
      this.#hasRepeated = true;
      this.#goOn(hop, () => undefined);
    } else if (!isRedirect(status) || redirect === 'manual') this.#respond(hop, head);
    else if (redirect === 'error') this.#refuse(hop, new Error('unexpected redirect'));
    else {
      const location = fieldOf(head.fields, 'location');
      if (location === null) {
        this.#respond(hop, head);
        return;
      }
      const policy = fieldOf(head.fields, 'referrer-policy');
      this.#hasRepeated = false;
      this.#goOn(hop, () => followRedirect(this.#request, status, location, policy));
    }
  }

  #refuse(hop: Hop, cause: unknown): void {
    this.#fail(cause);
    hop.abort(abortError());
  }

  /**
   * Sends the next hop, which `prepare` derives from this one, at the end of this turn: then a
   * short response is complete, and its connection free. The rest of a long one is discarded.
   */
  #goOn(hop: Hop, prepare: () => void): void {
    const next = this.#makeHop();
    this.#hop = next;
    queueMicrotask(() => {
      if (!hop.isOver) hop.abort(abortError());
      if (this.#isOver) return;
      try {
        prepare();
        this.#timing.redirected();
        if (this.#request.target.isBadPort) throw new Error('bad port');
      } catch (error) {
        this.#fail(error);
        return;
      }
      this.#send();
    });
  }

  #respond(hop: Hop, head: Head): void {
    const request = this.#request;
    const followsSignal = request.signal !== null;
    let body: ResponseBody | null = null;
    if (hasBody(request.method, head.status)) {
      try {
        this.#incoming = hop.openBody(head);
      } catch (error) {
        this.#refuse(hop, error);
        return;
      }
      body = new ResponseBody(this.#incoming, followsSignal);
      watchBody({ body, incoming: this.#incoming, open: this, followsSignal });
    }
    this.#status = head.status;
    const { targets, tainting: type } = request;
    const response = this.#responses.make({ ...head, type, targets, body, followsSignal });
    const resolve = this.#resolve;
    this.#settle();
    resolve?.(response);
    if (body === null) this.bodyOver();
  }

  get isComplete(): boolean {
    return this.#hop.isOver;
  }

  get isInTheWay(): boolean {
    return this.#incoming?.isAwaited === false && this.#hop.delaysOthers;
  }

  bodyOver(): void {
    bodyClosed(this);
    if (this.#isOver) return;
    this.#leave();
    this.#report(this.#status, this.#incoming?.received ?? 0);
  }

  #report(status: number, decoded: number): void {
    // Where the fetch began.
    const { href, hash } = this.#request.targets[0] as { href: string; hash: string };
    this.#timing.report(href + hash, status, decoded, this.#hop.timings);
  }

  // Failure ----------------------------------------------------------------------------------

  hopFailed(error: unknown, wasAborted: boolean): void {
    const isAbort = (error as { name?: unknown } | null)?.name === 'AbortError';
    if (!isAbort || wasAborted) this.#fail(error);
    else {
      const cause = new DOMException('Request was cancelled.');
      this.#fail(Object.assign(cause, { cause: error }));
    }
  }

  #fail(reason: unknown): void {
    const cause = isErrorLike(reason) ? reason : new Error(reason ? (reason as string) : '');
    this.#end(new TypeError('fetch failed', { cause }));
  }

  /** Ends the fetch; rejects the promise if it has not settled. */
  #end(reason: unknown): void {
    if (this.#isOver) return;
    this.#leave();
    const reject = this.#reject;
    this.#settle();
    if (reject === null) return;
    if (this.#timing.hasRequestStarted) this.#report(0, 0);
    reject(reason);
  }

  #bodyFailed(hop: Hop, error: unknown): void {
    if (this.#isOver || hop !== this.#hop) return;
    if ((error as { name?: unknown } | null)?.name === 'AbortError') this.#abort(abortError());
    else {
      hop.abort(error);
      this.#fail(error);
    }
  }

  /** Called by the signal. */
  aborted(reason: unknown): void {
    this.#abort(reason);
  }

  #abort(reason: unknown): void {
    if (this.#isOver) return;
    this.#end(reason);
    this.#request.body?.cancel(reason);
    this.#incoming?.fail(reason);
    this.#hop.abort(reason);
  }

  // End --------------------------------------------------------------------------------------

  /** The promise holds the response, so callbacks no longer needed must not hold it. */
  #settle(): void {
    this.#resolve = null;
    this.#reject = null;
  }

  #leave(): void {
    this.#isOver = true;
    const { signal } = this.#request;
    if (signal !== null) unfollow(signal, this);
  }
}
