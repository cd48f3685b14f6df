/**
 * Sanitized option objects: own properties, read once, no prototype.
 *
 * What lives here: the only conversion from a user's object to options that the package reads. Every
 * constructor starts with it, and every nested object passes through it before it is read, so that
 * properties added to `Object.prototype` never become options. It must not know which options there are.
 */

/** Options as passed by the user: every field may be anything. */
export type RawOptions = Readonly<Record<string, unknown>>;

/**
 * The object's own and inherited properties, except those of `Object.prototype`.
 *
 * undici reads inherited options (from `Object.create(defaults)`, or getters of a class), so they count.
 */
export function ownOptions(options: unknown): Record<string, unknown> {
  const out = Object.create(null) as Record<string, unknown>;
  if (options === undefined || options === null || typeof options !== 'object') return out;
  const chain: object[] = [];
  for (
    let object: object | null = options;
    object !== null && (object === options || Object.getPrototypeOf(object) !== null);
    object = Object.getPrototypeOf(object) as object | null
  ) {
    chain.unshift(object);
  }
  for (const object of chain) {
    for (const name of Object.getOwnPropertyNames(object)) {
      if (name !== 'constructor') out[name] = (options as Record<string, unknown>)[name];
    }
  }
  return out;
}

/** Whether an option was not given. */
export function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/** Like `{ ...value }`, without a prototype. */
export function spread(...values: unknown[]): Record<string, unknown> {
  const out = Object.create(null) as Record<string, unknown>;
  for (const value of values) {
    if (typeof value === 'object' && value !== null) Object.assign(out, value);
  }
  return out;
}

/** Inherits `Object.prototype`, which should have no enumerable properties. */
const NOTHING = {};

/**
 * Options of a request unchanged, or a copy without properties added to `Object.prototype`: a polluted
 * `headers` or `servername` must not become part of requests that have none.
 */
export function unpolluted<Options>(options: Options): Options {
  if (typeof options !== 'object' || options === null) return options;
  for (const _ in NOTHING) return ownOptions(options) as Options;
  return options;
}
