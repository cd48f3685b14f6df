/**
 * What the engine asks JavaScript: names to resolve, addresses and servers to judge.
 *
 * What lives here: asking `connect.allow` and `blockList`; calling the user's
 * `connect.checkServerIdentity`; calling `connect.lookup`, or a replaced `dns.lookup`, like `net.connect`
 * does, the connect timeout while it is asked,
 * validating its result, and the errors of failed lookups, which the engine refers to by number. The
 * native pool has one. It must not know requests.
 */

import { X509Certificate } from 'node:crypto';
import dns = require('node:dns');
import type { LookupFunction } from 'node:net';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';

import { clearTimeout, setImmediate, setTimeout } from '../process';
import { errors } from '../undici';
import { blocked, isListed, readAddresses } from './addresses';
import { isAllowed } from './allow';
import { portOf } from './host';
import { boundAddress, type PoolSettings } from './options';
import { replacedLookup, settle } from './process-settings';

type LookupOptions = Parameters<LookupFunction>[1];

/** Errors by number, until the failure they represent was delivered. */
const kept = new Map<number, Error>();
let last = 0;

/** The original error of an engine failure, if it is a lookup's. */
export function lookupError(number: number): Error | undefined {
  return kept.get(number);
}

/** Stands for no error: the engine has its own for an address that is not allowed. */
const NOT_ALLOWED = 0;

/** At most so many errors are kept: that of an address is not delivered if another one is connected to. */
const MOST_KEPT = 1_000;

/** The result of a lookup: addresses, or the number of its error. */
export type LookupResult = readonly string[] | number;

/**
 * The function that resolves names for a pool; `null`: the system does. With a proxy, the name is the
 * proxy's, which the option does not apply to.
 */
export function lookupOf({ proxy, connect }: PoolSettings): LookupFunction | null {
  const { hints } = proxy?.connect ?? connect;
  return (proxy === null ? connect.lookup : null) ?? (hints ? dns.lookup : replacedLookup());
}

/** Bytes, each preceded by their length. */
function itemsIn(question: Buffer): Buffer[] {
  const items: Buffer[] = [];
  for (let at = 0; at < question.length;) {
    const end = at + 4 + question.readUInt32LE(at);
    items.push(question.subarray(at + 4, end));
    at = end;
  }
  return items;
}

/** What `socket.getPeerCertificate(true)` returns: each certificate has its issuer's. */
function peerCertificate(chain: readonly Buffer[]): PeerCertificate {
  let above: DetailedPeerCertificate | undefined;
  for (const der of chain.toReversed()) {
    const certificate = new X509Certificate(Buffer.from(der));
    const object = certificate.toLegacyObject() as DetailedPeerCertificate;
    const isRoot = above === undefined && certificate.checkIssued(certificate);
    if (isRoot) object.issuerCertificate = object;
    else if (above !== undefined) object.issuerCertificate = above;
    above = object;
  }
  return above ?? ({} as PeerCertificate);
}

/** Lookups of one pool; see above. */
export class Lookups {
  readonly #settings: PoolSettings;
  /** Numbers in `kept`. */
  readonly #failures = new Set<number>();
  #isOver = false;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** Resolves `host`; `answer` is called once. */
  ask(host: string, answer: (result: LookupResult) => void): void {
    const { connect, proxy } = this.#settings;
    let isAnswered = false;
    let timer: NodeJS.Timeout | undefined;
    const once = (result: LookupResult): void => {
      isAnswered = true;
      clearTimeout(timer);
      answer(result);
    };
    const fail = (error: Error): void => {
      if (!isAnswered && !this.#isOver) once(this.#keep(error));
    };
    const done = (error: Error | null, address: unknown, family: unknown): void => {
      if (isAnswered) return;
      try {
        if (error) throw error;
        once(readAddresses(address, family));
      } catch (failure) {
        fail(failure as Error);
      }
    };
    const { timeout } = proxy?.connect ?? connect;
    if (timeout > 0) {
      // Measured here, where the function runs: a thread that was busy first learns what has happened
      // meanwhile, and only then that it took too long.
      timer = setTimeout(() => setImmediate(() => fail(this.#timedOut(host))), timeout).unref();
    }
    try {
      const lookup = lookupOf(this.#settings) ?? dns.lookup;
      lookup(host, this.#lookupOptions(), done);
    } catch (failure) {
      fail(failure as Error);
    }
  }

  /**
   * Judges the address of an `Address` record, followed by LF and its host. `isProxied`: a proxy connects
   * to it. `answer` is called once.
   */
  judgeAddress(isProxied: boolean, question: string, answer: (result: LookupResult) => void): void {
    const { connect, proxy } = this.#settings;
    const { allow, blockList } = (isProxied ? null : proxy?.connect) ?? connect;
    const [address = '', host = ''] = question.split('\n');
    let result: LookupResult = [];
    try {
      if (blockList !== null && isListed(blockList, address)) throw blocked(address);
      if (allow !== null && !isAllowed(allow, address, host)) result = NOT_ALLOWED;
    } catch (error) {
      result = this.#keep(error as Error);
    }
    answer(result);
  }

  /**
   * Judges the server of an `Identity` record with the user's function, which gets Node's object;
   * `answer` is called once.
   */
  judge(isProxy: boolean, question: Buffer, answer: (result: LookupResult) => void): void {
    const { connect, proxy } = this.#settings;
    const leg = (isProxy ? proxy?.connect : connect) ?? connect;
    let result: LookupResult = [];
    try {
      const [host = Buffer.alloc(0), ...chain] = itemsIn(question);
      const refusal = leg.checkServerIdentity?.(host.toString(), peerCertificate(chain));
      if (refusal) result = this.#keep(refusal as Error);
    } catch (error) {
      result = this.#keep(error as Error);
    }
    answer(result);
  }

  /** undici's error. */
  #timedOut(host: string): Error {
    const { connect, proxy, url } = this.#settings;
    const { timeout } = proxy?.connect ?? connect;
    const place = `${host}:${proxy?.port ?? portOf(url)}`;
    return new errors.ConnectTimeoutError(
      `Connect Timeout Error (attempted address: ${place}, timeout: ${timeout}ms)`,
    );
  }

  /** A new object per call: the function may modify it. */
  #lookupOptions(): LookupOptions {
    const settings = this.#settings;
    const hop = settle(settings.proxy?.connect ?? settings.connect);
    // As `net.connect`: only addresses of families that the machine has, where Node asks for that.
    const isEither = hop.family === 0;
    const usual = isEither && process.platform !== 'win32' ? dns.ADDRCONFIG : 0;
    const hints = (hop.hints || usual) as number;
    const options: LookupOptions = { family: isEither ? undefined : hop.family, hints };
    if (hop.autoSelectFamily && isEither && boundAddress(settings) === null) options.all = true;
    return options;
  }

  #keep(error: Error): number {
    last = (last % 0x7fffffff) + 1;
    kept.set(last, error);
    this.#failures.add(last);
    const [oldest] = this.#failures.size > MOST_KEPT ? this.#failures : [];
    if (oldest !== undefined) this.#drop(oldest);
    return last;
  }

  #drop(number: number): void {
    kept.delete(number);
    this.#failures.delete(number);
  }

  /** This failure was delivered to every request. */
  forget(error: Error): void {
    const { errors: parts = [] } = error as { errors?: readonly unknown[] };
    for (const number of this.#failures) {
      const failure = kept.get(number);
      if (failure === error || parts.includes(failure)) this.#drop(number);
    }
  }

  /** The pool has ended: there are no more lookups. */
  clear(): void {
    for (const number of this.#failures) kept.delete(number);
    this.#failures.clear();
    this.#isOver = true;
  }
}
