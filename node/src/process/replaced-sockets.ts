/**
 * Whether the Node functions with which undici opens connections have been replaced.
 *
 * What lives here: the functions that are watched. Asked for every request, so that a mock works whenever it is installed and removed (`peer-reasons.ts`). It
 * must not know why they are replaced: mocks answer connections in memory, instrumentation only
 * listens, others add certificates, and from here they all look alike.
 *
 * A mock that was there before this package is found as well, see `nodes-own.ts`. Where that cannot
 * tell, what was there when the package was loaded counts as the runtime's own.
 */

import http2 = require('node:http2');
import net = require('node:net');
import tls = require('node:tls');

import { standsInNode } from './nodes-own';

/** A snapshot of the modules' functions. */
class Snapshot {
  private readonly netConnect = net.connect;
  private readonly createConnection = net.createConnection;
  private readonly Socket = net.Socket;
  private readonly socketConnect: unknown = net.Socket.prototype.connect;
  private readonly tlsConnect = tls.connect;
  private readonly TLSSocket = tls.TLSSocket;
  private readonly tlsSocketConnect: unknown = tls.TLSSocket.prototype.connect;
  // `tls.connect` calls these two: they are replaced to add certificates, or check names.
  private readonly createSecureContext = tls.createSecureContext;
  private readonly checkServerIdentity = tls.checkServerIdentity;
  private readonly http2Connect = http2.connect;

  #isNodesOwn: boolean | undefined;

  /** Whether the modules still have the same functions. */
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

  /** Whether all of them are Node's. */
  isNodesOwn(): boolean {
    return (this.#isNodesOwn ??= Object.entries(this).every(([name, value]) =>
      isNodesOwn(name as Watched, value),
    ));
  }

  all(): unknown[] {
    return Object.values(this);
  }
}

const atLoad = new Snapshot();
let last = atLoad;

const NET = ['net'];
const TLS_SOCKET = ['internal/tls/wrap', '_tls_wrap'];

/** Where each is defined in all Node versions so far, so that no other source must be searched. */
const LIKELY = {
  netConnect: NET,
  createConnection: NET,
  Socket: NET,
  socketConnect: NET,
  tlsConnect: TLS_SOCKET,
  TLSSocket: TLS_SOCKET,
  tlsSocketConnect: NET,
  createSecureContext: ['internal/tls/common', '_tls_common'],
  checkServerIdentity: ['tls'],
  http2Connect: ['internal/http2/core'],
};

type Watched = keyof typeof LIKELY;

/** Where else they may be defined in the future. */
const POSSIBLE = /\b_?(?:net|tls|http2)(?:\b|_)/;

function isNodesOwn(name: Watched, value: unknown): boolean {
  return standsInNode(value, LIKELY[name], POSSIBLE) ?? atLoad.all().includes(value);
}

/**
 * `null` while Node's own functions are in place. Otherwise an object, which changes whenever they are
 * replaced again.
 */
export function replacedSockets(): object | null {
  if (!last.isCurrent()) last = new Snapshot();
  return last.isNodesOwn() ? null : last;
}
