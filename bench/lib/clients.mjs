// The compared clients, each behind the same small interface: `lane(finished)` returns a function
// that sends one request and calls `finished(error, bytes)` once. load.mjs, start.mjs and idle.mjs
// open them; nothing here measures.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

/**
 * @typedef {object} Target what a client connects to, and how
 * @property {string[]} origins
 * @property {string} path
 * @property {number} connections
 * @property {number} pipelining
 * @property {string} [socketPath]
 * @property {string} [ca] PEM
 * @property {boolean} http2
 * @property {boolean} http3 whether to speak HTTP/3 from the first request on
 * @property {number} streams
 * @property {number} [ioThreads] of an Agent of ours
 * @property {number} [body] bytes of a POST's body
 * @property {boolean} [streamed] whether that body is a stream, in slices of SLICE
 * @property {boolean} [stamp] whether to send the server the time of each dispatch
 */
/**
 * @typedef {object} Client
 * @property {(finished: (error: unknown, bytes: number) => void) => () => void} lane
 * @property {() => unknown} close
 * @property {() => Record<string, number>} [counters]
 */

/** Slices of a streamed body. */
const SLICE = Buffer.alloc(64 * 1024, 'x');

/** The calls of undici's API that load.mjs can measure. */
export const APIS = ['dispatch', 'request', 'stream', 'pipeline', 'fetch'];

/**
 * How a kind of client is opened. `pool` and `agent` are undici's classes, of whichever module;
 * `node`, `fetch` need no module.
 *
 * @type {Record<string, (module: any, target: Target, api: string) => Client | Promise<Client>>}
 */
const KINDS = {
  pool: (module, target, api) => {
    const [origin] = target.origins;
    return overDispatcher(module, new module.Pool(origin, poolOptions(target)), target, api);
  },
  agent: (module, target, api) => {
    const { ioThreads } = target;
    const options = { ...poolOptions(target), ...(ioThreads && { ioThreads }) };
    return overDispatcher(module, new module.Agent(options), target, api);
  },
  node: (_module, target) => (target.http2 ? nodeHttp2(target) : nodeHttp(target)),
  // With an option of Bun's fetch, which Node's ignores. Over HTTP/3 it has an authority from the
  // environment only.
  fetch: (_module, target) => overFetch(fetch, target, target.http3 ? { protocol: 'http3' } : {}),
  axios: ({ default: axios }, target) => {
    const agents = { httpAgent: keepAlive(http, target), httpsAgent: keepAlive(https, target) };
    const instance = axios.create({ ...agents, responseType: 'arraybuffer', proxy: false });
    const options = { method: method(target), headers: { accept: '*/*' } };
    return promising(async () => {
      const { data } = await instance(url(target), { ...options, data: body(target) });
      return data.length;
    });
  },
  got: ({ default: got }, target) => {
    const instance = got.extend({
      agent: { http: keepAlive(http, target), https: keepAlive(https, target) },
      https: { certificateAuthority: target.ca },
      retry: { limit: 0 },
      method: method(target),
    });
    return promising(async () => {
      const data = await instance(url(target), { body: body(target) }).buffer();
      return data.length;
    });
  },
  'node-fetch': ({ default: nodeFetch }, target) => {
    const agent = keepAlive(target.origins[0].startsWith('https:') ? https : http, target);
    return overFetch(nodeFetch, target, { agent });
  },
  impit: ({ Impit }, target) => {
    // It reads no CA file. Over HTTP/2, nghttpd rejects it unless it impersonates a browser.
    const browser = target.http2 ? { browser: 'chrome' } : {};
    const { http3 } = target;
    const impit = new Impit({ ignoreTlsErrors: target.ca !== undefined, http3, ...browser });
    const forced = http3 ? { forceHttp3: true } : {};
    return overFetch((input, init) => impit.fetch(input, { ...init, ...forced }), target);
  },
  'wreq-js': async ({ createTransport, fetch: wreqFetch }, target) => {
    const transport = await createTransport({
      insecure: target.ca !== undefined,
      poolMaxIdlePerHost: target.connections,
    });
    return {
      ...overFetch(wreqFetch, target, { transport, disableDefaultHeaders: true }),
      close: () => transport.close(),
    };
  },
};

/** Names of the kinds. */
export const KIND_NAMES = Object.keys(KINDS);

/**
 * Loads and opens a client.
 *
 * @param {string} kind
 * @param {string | undefined} file its module's main file
 * @param {Target} target
 * @param {string} [api] one of APIS, for undici's classes
 */
export async function openClient(kind, file, target, api = 'dispatch') {
  const open = KINDS[kind];
  if (open === undefined) throw new TypeError(`there is no client "${kind}"`);
  return open(file === undefined ? undefined : await load(file), target, api);
}

/** A module's exports, whatever its format. @param {string} file */
export async function load(file) {
  const loaded = await import(pathToFileURL(file).href);
  // Node may not detect the names of a CommonJS module.
  return { ...(typeof loaded.default === 'object' ? loaded.default : {}), ...loaded };
}

/** Options of undici's Pool and Agent. @param {Target} target */
function poolOptions(target) {
  const connect = {};
  if (target.socketPath) connect.socketPath = target.socketPath;
  if (target.ca) Object.assign(connect, { ca: target.ca, servername: 'localhost' });
  const { connections, pipelining } = target;
  // undici 8 offers HTTP/2 by default, undici 7 does not.
  const alpn =
    target.http2 || target.http3
      ? { allowH2: target.http2, maxConcurrentStreams: target.streams }
      : { allowH2: false };
  if (target.http3) alpn.h3 = 'prior-knowledge';
  return { connections, pipelining, connect, ...alpn };
}

/** @param {Target} target @returns {Client} */
function overDispatcher(module, dispatcher, target, api) {
  const requests = target.origins.map((origin) => dispatchOptions(target, origin));
  /** Every lane uses the next origin; with one origin, it is the same object each time. */
  let turn = 0;
  const next = () => {
    const request = requests[turn++ % requests.length];
    if (!target.streamed && !target.stamp) return request;
    const headers = target.stamp ? { ...request.headers, 'x-dispatched': now() } : request.headers;
    return { ...request, headers, body: body(target) };
  };
  const calls = {
    request: async () => {
      const { statusCode, body } = await dispatcher.request(next());
      const text = await body.text();
      return statusCode === 200 ? text.length : unexpected(statusCode);
    },
    stream: async () => {
      const discard = new Discard();
      await dispatcher.stream(next(), ({ statusCode }) => {
        if (statusCode !== 200) unexpected(statusCode);
        return discard;
      });
      return discard.bytes;
    },
    pipeline: () =>
      new Promise((resolve, reject) => {
        let bytes = 0;
        dispatcher
          .pipeline(next(), ({ body }) => body)
          .on('data', (chunk) => (bytes += chunk.length))
          .on('end', () => resolve(bytes))
          .on('error', reject)
          .end();
      }),
    fetch: async () => {
      const { origin, path, method, headers } = next();
      const response = await module.fetch(origin + path, { method, headers, dispatcher });
      const text = await response.text();
      return response.status === 200 ? text.length : unexpected(response.status);
    },
  };
  const lanes =
    api === 'dispatch'
      ? (finished) => {
          const handler = new Handler(dispatcher, next, finished);
          return () => handler.send();
        }
      : promising(calls[api]).lane;
  return { lane: lanes, close: () => dispatcher.destroy(), counters: module.counters };
}

/** One object for every request, as a program that calls one endpoint would have it. */
function dispatchOptions(target, origin) {
  const options = { origin, path: target.path, method: method(target), headers: { accept: '*/*' } };
  if (target.body && !target.streamed) options.body = body(target);
  // As in undici's own benchmark: by default, each request waits for the head of the previous one.
  if (target.pipelining > 1) options.blocking = false;
  return options;
}

/** One lane's handler, used for one request after the other. */
class Handler {
  #dispatcher;
  #next;
  #finished;
  #bytes = 0;

  constructor(dispatcher, next, finished) {
    this.#dispatcher = dispatcher;
    this.#next = next;
    this.#finished = finished;
  }

  send() {
    this.#bytes = 0;
    this.#dispatcher.dispatch(this.#next(), this);
  }

  onRequestStart() {}

  onResponseStart(controller, status) {
    if (status !== 200 && status >= 200) controller.abort(new Error(`status ${status}`));
  }

  onResponseData(_controller, chunk) {
    this.#bytes += chunk.length;
  }

  onResponseEnd() {
    this.#finished(undefined, this.#bytes);
  }

  onResponseError(_controller, error) {
    this.#finished(error, 0);
  }
}

/** Counts and discards. */
class Discard extends Writable {
  bytes = 0;

  _write(chunk, _encoding, done) {
    this.bytes += chunk.length;
    done();
  }
}

/** A client whose calls return the bytes received. @returns {Client} */
function promising(once) {
  return {
    lane: (finished) => () => {
      once().then((bytes) => finished(undefined, bytes), finished);
    },
    close() {},
  };
}

/** @param {Target} target @returns {Client} */
function overFetch(fetch, target, more = {}) {
  const where = url(target);
  const init = { method: method(target), headers: { accept: '*/*' }, ...more };
  return promising(async () => {
    const content = body(target);
    const sent =
      content instanceof Readable
        ? { ...init, body: Readable.toWeb(content), duplex: 'half' }
        : { ...init, body: content };
    const response = await fetch(where, content === undefined ? init : sent);
    const { byteLength } = await response.arrayBuffer();
    return response.status === 200 ? byteLength : unexpected(response.status);
  });
}

/** @param {Target} target @returns {Client} */
function nodeHttp(target) {
  const [origin] = target.origins;
  const module = origin.startsWith('https:') ? https : http;
  const agent = keepAlive(module, target);
  const { hostname, port } = new URL(origin);
  const options = {
    ...{ agent, hostname, port, path: target.path, socketPath: target.socketPath },
    ...{ method: method(target), headers: { accept: '*/*' } },
  };
  return {
    lane: (finished) => () => {
      const sent = module.request(options, (response) => {
        let bytes = 0;
        response.on('data', (chunk) => (bytes += chunk.length));
        response.on('end', () => finished(undefined, bytes));
        response.on('error', finished);
      });
      sent.on('error', finished);
      const content = body(target);
      if (content instanceof Readable) content.pipe(sent);
      else sent.end(content);
    },
    close: () => agent.destroy(),
  };
}

/** @param {Target} target @returns {Client} */
function nodeHttp2(target) {
  const options = { ca: target.ca, servername: 'localhost' };
  const sessions = Array.from({ length: target.connections }, () =>
    http2.connect(target.origins[0], options),
  );
  let turn = 0;
  const headers = { ':path': target.path, ':method': method(target), accept: '*/*' };
  return {
    lane: (finished) => () => {
      let bytes = 0;
      const stream = sessions[turn++ % sessions.length].request(headers);
      stream.on('data', (chunk) => (bytes += chunk.length));
      stream.on('end', () => finished(undefined, bytes));
      stream.on('error', finished);
      stream.end(body(target));
    },
    close: () => sessions.forEach((session) => session.destroy()),
  };
}

/** Node's own agent with as many sockets as the others may have. */
function keepAlive(module, target) {
  return new module.Agent({ keepAlive: true, maxSockets: target.connections, ca: target.ca });
}

const method = (target) => (target.body ? 'POST' : 'GET');

const url = (target) => target.origins[0] + target.path;

const bodies = new Map();

/** What is sent: nothing, one Buffer that every request shares, or a stream. */
function body(target) {
  if (!target.body) return undefined;
  if (target.streamed) return slices(target.body);
  if (!bodies.has(target.body)) bodies.set(target.body, Buffer.alloc(target.body, 'x'));
  return bodies.get(target.body);
}

/** A stream of `left` bytes that costs next to nothing to read. @param {number} left */
function slices(left) {
  return new Readable({
    highWaterMark: SLICE.length,
    read() {
      const length = Math.min(left, SLICE.length);
      left -= length;
      this.push(length === 0 ? null : length === SLICE.length ? SLICE : SLICE.subarray(0, length));
    },
  });
}

/** Microseconds since 1970. */
function now() {
  return String(Math.round((performance.timeOrigin + performance.now()) * 1e3));
}

/** @returns {never} */
function unexpected(status) {
  throw new Error(`status ${status}`);
}
