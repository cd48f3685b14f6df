/**
 * Whether a function is Node's original, even if it was replaced before this package was loaded.
 *
 * What lives here: comparing a function's source text with the source of Node's modules, which no wrapper,
 * bound function or Proxy passes. It must not know which functions are checked.
 */

type Sources = Readonly<Record<string, unknown>>;

let sources: Sources | undefined;

/** Functions known to be Node's. */
const known = new WeakSet<object>();

/**
 * Whether `value` occurs in Node's source of the modules `likely`, or of others whose names match
 * `possible`. `null` if the source is unavailable: on Bun and Deno, and under Node's permission model.
 */
export function standsInNode(
  value: unknown,
  likely: readonly string[],
  possible: RegExp,
): boolean | null {
  if (typeof value !== 'function') return false;
  if (known.has(value)) return true;
  const texts = (sources ??= readSources());
  // Bun has the names, and no source.
  if (!String(texts['net']).includes('Socket')) return null;
  const text = Function.prototype.toString.call(value);
  const has = (name: string) => (texts[name] as string | undefined)?.includes(text) === true;
  const isOwn =
    likely.some(has) || Object.keys(texts).some((name) => possible.test(name) && has(name));
  if (isOwn) known.add(value);
  return isOwn;
}

/** The source of Node's modules by name; nothing if unavailable. */
function readSources(): Sources {
  const { binding, noDeprecation } = process as unknown as {
    binding?: (name: 'natives') => Sources;
    noDeprecation?: boolean;
  };
  // The only access to the sources is deprecated; the warning is suppressed.
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
