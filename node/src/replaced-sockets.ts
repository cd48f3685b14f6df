/**
 * Whether somebody has put functions of their own in the place of those of Node's that undici makes
 * its connections with.
 *
 * What lives here: the functions that are watched, and how Node's own are told from others. Asked for
 * every request, so that a mock works whenever it is installed and removed (`peer-reasons.ts`). It
 * must not know why somebody replaces them: mocks answer connections in memory, instrumentation only
 * listens, others add certificates, and from here they all look alike.
 *
 * A function is Node's own if its source text stands in Node's source of these modules: so a mock that
 * was there before this package is found as well. Where that source cannot be had (Bun, Deno, Node's
 * permission model), what was there when the package was loaded counts as the runtime's own.
 */

import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';

/** What the modules held at one moment. */
class Snapshot {
  private readonly netConnect = net.connect;
  private readonly createConnection = net.createConnection;
  private readonly Socket = net.Socket;
  private readonly socketConnect: unknown = net.Socket.prototype.connect;
  private readonly tlsConnect = tls.connect;
  private readonly TLSSocket = tls.TLSSocket;
  private readonly tlsSocketConnect: unknown = tls.TLSSocket.prototype.connect;
  // `tls.connect` calls these two: certificates are added, and names checked, by replacing them.
  private readonly createSecureContext = tls.createSecureContext;
  private readonly checkServerIdentity = tls.checkServerIdentity;
  private readonly http2Connect = http2.connect;

  #isNodesOwn: boolean | undefined;

  /** Whether the modules still hold the same. */
  isCurrent(): boolean {
    return (
      net.connect === this.netConnect &&
      net.Socket.prototype.connect === this.socketConnect &&
      tls.connect === this.tlsConnect &&
      http2.connect === this.http2Connect &&
      net.createConnection === this.createConnection &&
      net.Socket === this.Socket &&
      tls.TLSSocket === this.TLSSocket &&
      tls.TLSSocket.prototype.connect === this.tlsSocketConnect &&
      tls.createSecureContext === this.createSecureContext &&
      tls.checkServerIdentity === this.checkServerIdentity
    );
  }

  /** Whether all of it is Node's. */
  isNodesOwn(): boolean {
    return (this.#isNodesOwn ??= this.all().every(isNodesOwn));
  }

  all(): unknown[] {
    return Object.values(this);
  }
}

const atLoad = new Snapshot();
let last = atLoad;

/** Functions that are Node's. */
const known = new WeakSet<object>();

type Sources = Readonly<Record<string, unknown>>;

let sources: Sources | undefined;

function isNodesOwn(value: unknown): boolean {
  if (typeof value !== 'function') return false;
  if (known.has(value)) return true;
  sources ??= nodesSources();
  const isOwn =
    sources['net'] === undefined
      ? atLoad.all().includes(value)
      : standsIn(sources, Function.prototype.toString.call(value));
  if (isOwn) known.add(value);
  return isOwn;
}

/** Where the functions above stand in all Nodes so far, so that the others need not be searched. */
const LIKELY = [
  ...['net', '_tls_wrap', 'internal/tls/wrap', '_tls_common', 'internal/tls/common', 'tls'],
  'internal/http2/core',
];

/** Where else they may come to stand. */
const POSSIBLE = /\b_?(?:net|tls|http2)(?:\b|_)/;

function standsIn(texts: Sources, text: string): boolean {
  const has = (name: string) => (texts[name] as string | undefined)?.includes(text) === true;
  return LIKELY.some(has) || Object.keys(texts).some((name) => POSSIBLE.test(name) && has(name));
}

/** The source of Node's modules by name; nothing where it cannot be had. */
function nodesSources(): Sources {
  const { binding, noDeprecation } = process as unknown as {
    binding?: (name: 'natives') => Sources;
    noDeprecation?: boolean;
  };
  // The one way to the sources is deprecated, which is nobody's to hear of.
  process.noDeprecation = true;
  try {
    return binding?.call(process, 'natives') ?? {};
  } catch {
    return {};
  } finally {
    if (noDeprecation === undefined) Reflect.deleteProperty(process, 'noDeprecation');
    else process.noDeprecation = noDeprecation;
  }
}

/**
 * `null` while Node's own functions are in place. Else an object, which is another one as soon as
 * something else has been put in their place.
 */
export function replacedSockets(): object | null {
  if (!last.isCurrent()) last = new Snapshot();
  return last.isNodesOwn() ? null : last;
}
