/**
 * The engine's pools behind one `OriginDispatcher`: one for each TLS server name that its requests use.
 *
 * What lives here: which native pool a request goes to, and what happens to the previous one when a
 * client's only connection changes its server name. It must not know when requests are submitted.
 */

import type { Connection, ConnectionStatus } from '../connection';
import { serverNameOf } from '../request';
import type { PoolSettings } from '../options';
import type { Session } from '../session';
import { errors } from '../undici';
import { NativePool, type NativePoolListener } from './native-pool';

/**
 * Number of non-default server names whose pools are kept. Clients of a server may choose the `host` that
 * it passes on, and each pool has its own connections, TLS sessions and limits. 64: more names than most
 * origins have.
 */
const MOST_NAMES = 64;

/** See above. */
export class NativePools {
  readonly #settings: PoolSettings;
  readonly #listener: NativePoolListener;
  #pipelining: number;
  readonly #defaultServername: string | null;
  /** One connection, which has one TLS server name at a time. */
  readonly #oneServername: boolean;
  #main: NativePool | null = null;
  /** The most recently used one is last. */
  #byServername: Map<string, NativePool> | null = null;
  /** Pools of names beyond `MOST_NAMES`, which finish what they have. */
  readonly #leaving = new Set<NativePool>();
  /** Where the last request went; kept with `#oneServername` only. */
  #current: NativePool | null = null;
  /** Pools of former server names whose connections have not ended yet. */
  readonly #retired = new Set<Promise<void>>();

  constructor(settings: PoolSettings, listener: NativePoolListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#pipelining = settings.pipelining;
    const { url } = settings;
    this.#oneServername = settings.connections === 1 && url.protocol === 'https:';
    this.#defaultServername = settings.connect.servername ?? serverNameOf(url.host);
  }

  /** Pipelining depth of HTTP/1.1 connections, including open ones. */
  set pipelining(depth: number) {
    this.#pipelining = depth;
    for (const pool of this.#all()) pool.pipelining = depth;
  }

  /** Whether requests to `servername` would end the connection of the one before. */
  changesServername(servername: string | null): boolean {
    if (!this.#oneServername || this.#current === null) return false;
    return this.nameOf(servername) !== this.#current.servername;
  }

  /** The server name of the native pool for `servername`; `null` for the default one. */
  nameOf(servername: string | null): string | null {
    const { url, proxy } = this.#settings;
    const isFixed = url.protocol !== 'https:' || proxy?.pinsServername === true;
    return isFixed || servername === this.#defaultServername ? null : servername;
  }

  /**
   * TLS sessions and certificates belong to a server name, so each name has its own connections.
   */
  get(session: Session, requested: string | null): NativePool {
    const servername = this.nameOf(requested);
    if (servername === null) {
      if (this.#main !== null) return this.#main;
    } else {
      const found = this.#byServername?.get(servername);
      if (found !== undefined) {
        this.#keep(servername, found);
        return found;
      }
    }
    const pipelining = this.#pipelining;
    const settings =
      pipelining === this.#settings.pipelining ? this.#settings : { ...this.#settings, pipelining };
    const made = new NativePool(session, settings, servername, this.#listener);
    if (servername === null) this.#main = made;
    else this.#keep(servername, made);
    return made;
  }

  /** Drops the least recently used name when there are too many. */
  #keep(servername: string, pool: NativePool): void {
    const pools = (this.#byServername ??= new Map<string, NativePool>());
    pools.delete(servername);
    pools.set(servername, pool);
    if (pools.size <= MOST_NAMES) return;
    for (const [name, oldest] of pools) {
      pools.delete(name);
      this.#leaving.add(oldest);
      oldest.retire(() => this.#leaving.delete(oldest));
      return;
    }
  }

  /** A request goes to `target`. As in undici, a client's connection ends with another server name. */
  use(target: NativePool): void {
    if (!this.#oneServername || target === this.#current) return;
    const former = this.#current;
    this.#current = target;
    if (former === null) return;
    if (former === this.#main) this.#main = null;
    else if (former.servername !== null) this.#byServername?.delete(former.servername);
    const gone = former.destroy(new errors.InformationalError('servername changed'));
    this.#retired.add(gone);
    void gone.then(() => this.#retired.delete(gone));
  }

  /** Ends all; resolves when their connections are gone. */
  destroy(error: Error): Promise<unknown> {
    return Promise.all([
      ...Array.from(this.#all(), (pool) => pool.destroy(error)),
      ...this.#retired,
    ]);
  }

  *#all(): Generator<NativePool> {
    if (this.#main !== null) yield this.#main;
    if (this.#byServername !== null) yield* this.#byServername.values();
    yield* this.#leaving;
  }

  /** What all connections are doing. */
  async inspect(): Promise<ConnectionStatus[]> {
    return (await Promise.all(Array.from(this.#all(), (pool) => pool.inspect()))).flat();
  }

  /** All connections that are up. */
  *connections(): Generator<Connection> {
    for (const pool of this.#all()) yield* pool.connections;
  }
}
