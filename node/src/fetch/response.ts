/**
 * Responses of our fetch: genuine ones of the peer's class, whose parts are created on first
 * access.
 *
 * What lives here: the state that the peer's code finds in such a Response, and the members that
 * work without it. It must not know how a response is obtained.
 *
 * A Response is created by the peer, so that comparing classes and calling `Response.prototype`
 * work as expected. Its state is ours, and provides what the peer reads: `headersList`, `body`,
 * `urlList`. A prototype that inherits from the peer's has our `text()`, `json()` and the like.
 */

import type { FetchInternals, peer } from '../undici';
import { isDisturbed } from './request-body';
import { type Convert, converted, ResponseBody } from './response-body';
import { adoptHeadersList, type Fields, LazyHeadersList } from './response-head';
import type { Target } from './target';

type Response = InstanceType<typeof peer.Response>;

/** What is known of a response with its head. */
export interface ResponseParts {
  readonly status: number;
  readonly statusText: string;
  readonly type: 'basic' | 'cors';
  readonly targets: readonly Target[];
  readonly fields: Fields;
  readonly body: ResponseBody | null;
  /** Whether an abort after the end may still fail the body, so that its bytes must not be shared. */
  readonly followsSignal: boolean;
}

const NO_URLS: readonly URL[] = [];
const NO_BYTES = Buffer.alloc(0);

/** Members of the peer's Response that ours fall back to. */
interface PeerMembers {
  text(): Promise<string>;
  json(): Promise<unknown>;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  clone(): Response;
  get bodyUsed(): boolean;
  get url(): string;
  get redirected(): boolean;
  get status(): number;
  get ok(): boolean;
}

/** The state of one of our Responses, as far as the peer reads it. */
class ResponseState {
  readonly parts: ResponseParts;
  readonly headersList: LazyHeadersList;
  readonly body: ResponseBody | null;
  /** Set once the Response exists: while creating it, the peer must see no URL. */
  isMade = false;
  #urlList: readonly URL[] | null = null;
  #copyable: object | null = null;

  constructor(parts: ResponseParts) {
    this.parts = parts;
    this.headersList = new LazyHeadersList(parts.fields);
    this.body = parts.body;
  }

  get status(): number {
    return this.parts.status;
  }

  get statusText(): string {
    return this.parts.statusText;
  }

  get type(): string {
    return this.parts.type;
  }

  get urlList(): readonly URL[] {
    if (!this.isMade) return NO_URLS;
    return (this.#urlList ??= this.parts.targets.map(({ href, hash }) => new URL(href + hash)));
  }

  /** The peer copies this object property by property. */
  get internalResponse(): object {
    return (this.#copyable ??= {
      aborted: false,
      rangeRequested: false,
      timingAllowPassed: true,
      requestIncludesCredentials: false,
      type: 'default',
      status: this.status,
      timingInfo: null,
      cacheState: '',
      statusText: this.statusText,
      headersList: this.headersList,
      urlList: this.urlList,
      body: this.body,
    });
  }
}

/** What `toString('utf8')` calls after checks that are not needed here; not in Node's types. */
const { utf8Slice } = Buffer.prototype as unknown as {
  utf8Slice(this: Uint8Array, start: number, end: number): string;
};

/** UTF-8 without its byte order mark. */
function toText(bytes: Uint8Array): string {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return utf8Slice.call(bytes, hasMark ? 3 : 0, bytes.byteLength);
}

function toJson(bytes: Uint8Array): unknown {
  return JSON.parse(toText(bytes)) as unknown;
}

/** A copy: the memory of chunks may be shared. */
function toBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return toBytes(bytes).buffer;
}

/** Creates Responses; one per process, as there is one peer. */
export class ResponseFactory {
  readonly #internals: FetchInternals;
  readonly #prototype: object;

  constructor(internals: FetchInternals) {
    adoptHeadersList(internals);
    this.#internals = internals;
    this.#prototype = this.#makePrototype();
  }

  make(parts: ResponseParts): Response {
    const state = new ResponseState(parts);
    const response = this.#internals.fromInnerResponse(state, 'immutable');
    Object.setPrototypeOf(response, this.#prototype);
    state.isMade = true;
    return response;
  }

  /** `undefined` for anything but one of ours, which is for the peer to read or to reject. */
  #stateOf(response: object): ResponseState | undefined {
    try {
      const state = this.#internals.getResponseState(response);
      return state instanceof ResponseState ? state : undefined;
    } catch {
      return undefined;
    }
  }

  #clone({ parts, body }: ResponseState): Response {
    if (body === null) return this.make(parts);
    const { untouched } = body;
    if (untouched?.hasEnded && !parts.followsSignal) {
      return this.make({ ...parts, body: new ResponseBody(untouched.fork(), false) });
    }
    const { stream } = body;
    if (stream.locked || isDisturbed(stream)) {
      throw new TypeError('Response.clone: Body has already been consumed.');
    }
    const [one, other] = stream.tee();
    body.stream = one;
    return this.make({ ...parts, body: new ResponseBody(null, false, other) });
  }

  /** The members that override the peer's. */
  #makePrototype(): object {
    const stateOf = (response: object): ResponseState | undefined => this.#stateOf(response);
    const cloneOf = (state: ResponseState): Response => this.#clone(state);
    const Members = this.#internals.Response as unknown as new () => PeerMembers;
    const current = Members.prototype as PeerMembers;
    const { text, json, arrayBuffer, bytes, clone } = current;

    /**
     * Reads all of the body if it has no stream; otherwise `undefined`, and the peer's function
     * reads the stream. So does what a program has put in its place, as spies and polyfills do.
     */
    function consume<T>(
      response: object,
      convert: Convert<T>,
      isReplaced: boolean,
    ): Promise<T> | undefined {
      const state = isReplaced ? undefined : stateOf(response);
      if (state === undefined) return undefined;
      const { body } = state;
      if (body === null) return converted(convert, NO_BYTES);
      const { untouched } = body;
      if (untouched !== null) return body.consume(untouched, convert);
      if (!body.isTaken) return undefined;
      return Promise.reject(new TypeError('Body is unusable: Body has already been read'));
    }

    class FetchedResponse extends Members {
      override text(): Promise<string> {
        return consume(this, toText, current.text !== text) ?? super.text();
      }

      override json(): Promise<unknown> {
        return consume(this, toJson, current.json !== json) ?? super.json();
      }

      override arrayBuffer(): Promise<ArrayBuffer> {
        return (
          consume(this, toArrayBuffer, current.arrayBuffer !== arrayBuffer) ?? super.arrayBuffer()
        );
      }

      override bytes(): Promise<Uint8Array> {
        return consume(this, toBytes, current.bytes !== bytes) ?? super.bytes();
      }

      override get bodyUsed(): boolean {
        const state = stateOf(this);
        if (state === undefined) return super.bodyUsed;
        const { body } = state;
        return body !== null && (body.isTaken || (body.untouched === null && super.bodyUsed));
      }

      override get url(): string {
        const state = stateOf(this);
        return state === undefined ? super.url : (state.parts.targets.at(-1) as Target).href;
      }

      override get redirected(): boolean {
        const state = stateOf(this);
        return state === undefined ? super.redirected : state.parts.targets.length > 1;
      }

      override get status(): number {
        return stateOf(this)?.parts.status ?? super.status;
      }

      override get ok(): boolean {
        const status = stateOf(this)?.parts.status;
        return status === undefined ? super.ok : status >= 200 && status <= 299;
      }

      override clone(): Response {
        const state = current.clone === clone ? stateOf(this) : undefined;
        return state === undefined ? super.clone() : cloneOf(state);
      }
    }
    const { prototype } = FetchedResponse;
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === 'constructor') Reflect.deleteProperty(prototype, name);
      else Object.defineProperty(prototype, name, { enumerable: true });
    }
    return prototype;
  }
}
