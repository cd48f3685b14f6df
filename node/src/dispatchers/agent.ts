/**
 * `Agent`: a pool per origin, created when the first request needs it.
 *
 * What lives here: undici's Agent over our pools, plus per-origin options. Users construct it;
 * `install()` and the top-level functions use one. It must not know the session, nor what a pool does
 * with a request.
 */

import {
  type AgentOptions,
  type CheckedOptions,
  checkOptions,
  checkOriginOptions,
  findRule,
  isRecord,
  isUrl,
  mergeOptions,
  type OriginOptions,
  type OriginRule,
  ownOptions,
  parseOrigin,
  parseOrigins,
  readLimit,
  type SharedLimit,
  throughJson,
  underLimit,
} from '../options';
import { configureEnvironment } from '../session';
import {
  type Dispatcher,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  invalid,
  kDecode,
  type ServedBy,
  symbols,
  toPeerHandler,
} from '../undici';
import { Client, type ClientStats } from './client';
import { closeIfUnused, CompositeDispatcher } from './composite';
import { readCounters, servedByOrigin } from './delegate';
import { expose, hideFields, isOwnDispatcher } from './dispatcher-base';
import { forwardEvents } from './forwarded-events';
import { Pool, type PoolStats } from './pool';
import { PooledDispatcher } from './pooled-dispatcher';

type Factory = (origin: string | URL, options: object) => Dispatcher;
type Options = Readonly<Record<string, unknown>>;

type OriginChooser = (origin: string) => OriginOptions | null | undefined;

/** How `origins` was given. */
type OriginConfiguration =
  | { readonly kind: 'none' }
  | { readonly kind: 'rules'; readonly rules: readonly OriginRule[] }
  | { readonly kind: 'function'; readonly choose: OriginChooser };

/** Options that are not passed to pools. */
const AGENT_ONLY = ['factory', 'maxConnections', 'maxOrigins', 'origins', 'ioThreads'];

/** Options that undici's `Agent` does not copy through JSON. */
const KEPT_BY_AGENT = new Set(['connect', 'tls']);

/** A pool of an origin beside its usual one, for requests that ask for other protocols. */
interface Variant {
  readonly suffix: string;
  /** They replace the origin's. */
  readonly options: Options;
}

const USUAL: Variant = { suffix: '', options: {} };
const HTTP1_ONLY: Variant = { suffix: '#http1-only', options: { allowH2: false } };
const H3_ONLY: Variant = { suffix: '#h3', options: { h3: 'prior-knowledge' } };
const WITH_H3: Variant = { suffix: '#allow-h3', options: { allowH3: true } };
const WITHOUT_H3: Variant = { suffix: '#no-h3', options: { allowH3: false, h3: null } };

function both(one: Variant, other: Variant): Variant {
  if (one === USUAL) return other;
  if (other === USUAL) return one;
  return {
    suffix: one.suffix + other.suffix,
    options: { ...one.options, ...other.options },
  };
}

const MAX_IO_THREADS = 64;

let ioThreads: number | undefined;

/** I/O threads are process-wide: the first agent to set their number decides. */
function chooseIoThreads(value: unknown): void {
  if (value === undefined || value === null) return;
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MAX_IO_THREADS) {
    // Loaded here: importing the package must not wait for it.
    const { availableParallelism } = require('node:os') as typeof import('node:os');
    throw invalid(
      `ioThreads must be an integer from 1 to ${MAX_IO_THREADS} (this machine runs ${availableParallelism()} threads in parallel)`,
    );
  }
  if (ioThreads !== undefined) return;
  if (configureEnvironment({ ioThreads: value as number })) ioThreads = value as number;
}

/** A dispatcher of the class that the options imply: the default `factory`. */
export function makeDispatcher(origin: string | URL, options: object): Dispatcher {
  return kindOf(options) === 'client' ? new Client(origin, options) : new Pool(origin, options);
}

function kindOf(options: object): 'client' | 'pool' {
  return ownOptions(options)['connections'] === 1 ? 'client' : 'pool';
}

/** @throws InvalidArgumentError for options that the default `factory` would reject. */
function checkPoolOptions(options: Options): CheckedOptions {
  return checkOptions(options, kindOf(options));
}

/** @throws InvalidArgumentError also for certificates that nobody can use: `origins` are ours. */
function checkRule(options: Options, where: string): void {
  named(where, () => {
    const { refusal } = checkPoolOptions(options);
    if (refusal !== null) throw refusal;
  });
}

function readOrigins(
  origins: unknown,
  base: Options,
  isDefaultFactory: boolean,
): OriginConfiguration {
  if (origins === undefined || origins === null) return { kind: 'none' };
  if (typeof origins === 'function') {
    return { kind: 'function', choose: origins as OriginChooser };
  }
  if (!isRecord(origins)) throw invalid('origins must be an object or a function');
  const rules = parseOrigins(origins);
  if (isDefaultFactory) {
    for (const { pattern, options } of rules) {
      const merged = mergeOptions(base, options);
      checkRule(merged, `origins[${JSON.stringify(pattern.text)}]`);
    }
  }
  return { kind: 'rules', rules };
}

/** Runs a check and prefixes its error message with the location. */
function named(where: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof errors.InvalidArgumentError)) throw error;
    throw invalid(`${where}: ${error.message}`, error.cause as Error | undefined);
  }
}

/** Copies what the caller might change later, one level deep. */
function copy(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? { ...value } : value;
}

/** An origin has one pool however it is spelled; what only `factory` can parse is used as is. */
function originOf(given: string | URL, text: string): string {
  try {
    return parseOrigin(given).origin;
  } catch {
    return text;
  }
}

function unwrapEntry(entry: Dispatcher | { readonly dispatcher: Dispatcher }): Dispatcher {
  // Own, because `in` would also find properties added to `Object.prototype`.
  return Object.hasOwn(entry, 'dispatcher')
    ? (entry as { readonly dispatcher: Dispatcher }).dispatcher
    : (entry as Dispatcher);
}

/** What `Agent.optionsFor()` returns. */
export interface OptionsForOrigin {
  /** The pattern of `origins` that applies. */
  readonly pattern: string | null;
  /** The agent's options, with those of the origin over them. */
  readonly options: OriginOptions;
}

/** Counters by origin. */
export type AgentStats = Record<string, ClientStats | PoolStats>;

/** A pool per origin. `docs/options.md` lists the options; `origins` and `ioThreads` are not undici's. */
export class Agent extends CompositeDispatcher {
  static {
    // What undici's own classes read from an Agent they wrap.
    expose(this.prototype, symbols.kClients, (agent) => agent.$pools);
    expose(this.prototype, symbols.kRunning, (agent) =>
      agent.$dispatchers().reduce((sum, pool) => sum + readCounters(pool).running, 0),
    );
  }

  private readonly $factory: Factory;
  private readonly $maxOrigins: number;
  /** On the connections of all pools together. */
  private readonly $limit: SharedLimit | null;
  private readonly $poolOptions: Options;
  private readonly $allowH2: unknown;
  private readonly $allowH3: unknown;
  private readonly $origins: OriginConfiguration;
  /**
   * By origin, as `URL` spells it, or by that and the suffix of a variant. undici's MockAgent puts its own
   * dispatchers in here, undici 7's wrapped in an object.
   */
  private readonly $pools = new Map<string, Dispatcher | { readonly dispatcher: Dispatcher }>();
  /** How many pools each origin has: more than one if some requests ask for other protocols. */
  private readonly $poolsOfOrigin = new Map<string, number>();

  /**
   * @throws InvalidArgumentError for an invalid option, here or in `origins`, or an invalid pattern.
   */
  constructor(options?: AgentOptions) {
    const given = ownOptions(options);
    const { factory = makeDispatcher, maxOrigins = Infinity, connect, tls } = given;
    if (typeof factory !== 'function') throw invalid('factory must be a function.');
    if (
      connect !== undefined &&
      connect !== null &&
      typeof connect !== 'function' &&
      typeof connect !== 'object'
    ) {
      throw invalid('connect must be a function or an object');
    }
    if (typeof maxOrigins !== 'number' || Number.isNaN(maxOrigins) || maxOrigins <= 0) {
      throw invalid('maxOrigins must be a number greater than 0');
    }
    const limit = readLimit(options, given);

    const poolOptions: Record<string, unknown> = {
      ...throughJson(given, KEPT_BY_AGENT),
      connect: copy(connect),
      tls: copy(tls),
    };
    for (const name of AGENT_ONLY) Reflect.deleteProperty(poolOptions, name);
    const isDefaultFactory = factory === makeDispatcher;
    if (isDefaultFactory) checkPoolOptions(poolOptions);
    const origins = readOrigins(given['origins'], poolOptions, isDefaultFactory);
    chooseIoThreads(given['ioThreads']);

    super(given);
    this.$factory = factory as Factory;
    this.$maxOrigins = maxOrigins;
    this.$limit = limit;
    this.$poolOptions = poolOptions;
    this.$allowH2 = given['allowH2'];
    this.$allowH3 = given['allowH3'] ?? false;
    this.$origins = origins;
    hideFields(this, '$poolOptions', '$limit', '$allowH2', '$allowH3', '$origins', '$pools');
  }

  /** Counters of each origin's pool or client. */
  get stats(): AgentStats {
    const stats: AgentStats = {};
    for (const pool of this.$dispatchers()) {
      const { stats: own } = pool as { stats?: AgentStats[string] };
      const url = (pool as unknown as Record<symbol, unknown>)[symbols.kUrl];
      if (own !== undefined && url instanceof URL) stats[url.origin] = own;
    }
    return stats;
  }

  /** Who serves each origin that requests were sent to: the engine, or undici's own class, and why. */
  get servedBy(): Record<string, ServedBy> {
    return servedByOrigin(this.$dispatchers());
  }

  protected override $dispatchRequest(options: DispatchOptions, handler: DispatchHandler): boolean {
    const given = options.origin;
    if (!given || (typeof given !== 'string' && !isUrl(given))) {
      throw invalid('opts.origin must be a non-empty string or URL.');
    }
    const pool = this.$poolOf(given, this.$variantFor(options));
    const isOwn = isOwnDispatcher(pool);
    const receiver = isOwn ? handler : toPeerHandler(handler);
    // A wrapper around one of our pools, or a replacement for it, gets the body as sent on the wire.
    const passed = isOwn || !options[kDecode] ? options : { ...options, [kDecode]: null };
    return pool.dispatch(passed as unknown as Dispatcher.DispatchOptions, receiver);
  }

  /**
   * Opens connections to an origin until `count` are ready to take a request; see
   * `Pool.preconnect()`. None are known to be if another class than ours serves it.
   */
  async preconnect(origin: string | URL, count = 1): Promise<number> {
    this.$assertOpen();
    const pool = this.$poolOf(origin, this.$variantFor({}));
    return pool instanceof PooledDispatcher ? pool.preconnect(count) : 0;
  }

  /** @throws InvalidArgumentError */
  private $variantFor(options: object): Variant {
    const { allowH2, allowH3, h3 } = options as Options;
    const usual = (allowH2 ?? this.$allowH2) === false ? HTTP1_ONLY : USUAL;
    if (h3 !== undefined && h3 !== null) {
      if (h3 !== 'prior-knowledge') throw invalid("h3 must be 'prior-knowledge'");
      return both(usual, H3_ONLY);
    }
    if (allowH3 === undefined || allowH3 === null || allowH3 === this.$allowH3) return usual;
    if (typeof allowH3 !== 'boolean') throw invalid('allowH3 must be a valid boolean value');
    return both(usual, allowH3 ? WITH_H3 : WITHOUT_H3);
  }

  /** The pool of an origin, which is created if there is none. */
  private $poolOf(given: string | URL, variant: Variant): Dispatcher {
    const { suffix } = variant;
    const text = String(given);
    // Nearly always it is spelled as it was, and then a request costs one lookup.
    const known = this.$pools.get(text + suffix);
    if (known !== undefined) return unwrapEntry(known);
    const origin = originOf(given, text);
    const key = origin + suffix;
    if (this.$poolsOfOrigin.size >= this.$maxOrigins && !this.$poolsOfOrigin.has(origin)) {
      throw new errors.MaxOriginsReachedError();
    }
    const entry = this.$pools.get(key);
    return entry === undefined ? this.$addPool(given, origin, key, variant) : unwrapEntry(entry);
  }

  protected override $takeParts(): Dispatcher[] {
    const pools = this.$dispatchers();
    this.$pools.clear();
    return pools;
  }

  protected override $listParts(): Dispatcher[] {
    return this.$dispatchers();
  }

  private $dispatchers(): Dispatcher[] {
    return Array.from(this.$pools.values(), unwrapEntry);
  }

  private $addPool(given: string | URL, origin: string, key: string, variant: Variant): Dispatcher {
    const options = underLimit(this.optionsFor(given).options, this.$limit);
    const pool = this.$factory(given, { ...options, ...variant.options });
    forwardEvents(pool, this, () => this.$dropIfUnused(pool, origin, key));
    this.$pools.set(key, pool);
    this.$poolsOfOrigin.set(origin, (this.$poolsOfOrigin.get(origin) ?? 0) + 1);
    return pool;
  }

  private $dropIfUnused(pool: Dispatcher, origin: string, key: string): void {
    if (this.$pools.get(key) !== pool || !closeIfUnused(pool)) return;
    this.$pools.delete(key);
    const left = (this.$poolsOfOrigin.get(origin) ?? 1) - 1;
    if (left > 0) this.$poolsOfOrigin.set(origin, left);
    else this.$poolsOfOrigin.delete(origin);
  }

  /**
   * The options with which the pool of an origin is made, and the pattern of `origins` that applies to it;
   * `null` if none does, or if `origins` is a function, which this calls. Without `origins`, `origin` may
   * be anything that `factory` understands.
   *
   * @throws InvalidArgumentError for an invalid origin, or if the function returns invalid options.
   */
  optionsFor(origin: string | URL): OptionsForOrigin {
    const none = { pattern: null, options: { ...this.$poolOptions } };
    switch (this.$origins.kind) {
      case 'none':
        return none;
      case 'rules': {
        const rule = findRule(this.$origins.rules, parseOrigin(origin));
        if (rule === undefined) return none;
        const options = mergeOptions(this.$poolOptions, rule.options);
        return { pattern: rule.pattern.text, options };
      }
      case 'function': {
        const parsed = parseOrigin(origin);
        const chosen = this.$origins.choose(parsed.origin);
        if (chosen === undefined || chosen === null) return none;
        const where = `origins(${JSON.stringify(parsed.origin)})`;
        const options = mergeOptions(this.$poolOptions, checkOriginOptions(chosen, where));
        if (this.$factory === makeDispatcher) checkRule(options, where);
        return { pattern: null, options };
      }
    }
  }
}

/** Types under the names of undici's declarations. */
// eslint-disable-next-line @typescript-eslint/no-namespace -- undici's users write Agent.Options
export declare namespace Agent {
  /** Options of the constructor. */
  export type Options = AgentOptions;
  /** Options of `dispatch()`. */
  export type DispatchOptions = Dispatcher.DispatchOptions;
}
