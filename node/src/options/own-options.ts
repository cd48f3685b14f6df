/**
 * Option objects in one form: own properties, read once, no prototype.
 *
 * What lives here: the only way from an object of a user to options that the package reads. Every
 * constructor begins with it, and every nested object goes through it when it is looked into, so
 * that nothing that somebody put on `Object.prototype` becomes an option. It must not know which
 * options there are.
 */

/** Options as the outside hands them over: every field may be anything. */
export type RawOptions = Readonly<Record<string, unknown>>;

/**
 * The object's properties, and those it inherits, without those of `Object.prototype`.
 *
 * undici reads inherited options (of `Object.create(defaults)`, or of getters of a class), so they
 * count.
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

/** Spread as `{ ...value }`, without a prototype. */
export function spread(...values: unknown[]): Record<string, unknown> {
  const out = Object.create(null) as Record<string, unknown>;
  for (const value of values) {
    if (typeof value === 'object' && value !== null) Object.assign(out, value);
  }
  return out;
}

/** Has what `Object.prototype` has, which should be nothing that can be enumerated. */
const NOTHING = {};

/**
 * Options of a request as they are, or a copy without what someone put on `Object.prototype`: a
 * polluted `headers` or `servername` must not become part of requests that gave none.
 */
export function unpolluted<Options>(options: Options): Options {
  if (typeof options !== 'object' || options === null) return options;
  for (const _ in NOTHING) return ownOptions(options) as Options;
  return options;
}
