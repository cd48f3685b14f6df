/**
 * TLS servers that the engine has no version, cipher suite or curve in common with, but Node's
 * OpenSSL may have.
 *
 * What lives here: which those are, for how long the peer serves them, and the warning. `delegate.ts`
 * records and checks them. It must not know options or requests.
 */

/** Milliseconds until the engine tries such a server again. */
const SERVED_FOR = 600_000;

/** Beyond this the oldest are dropped: a program that contacts many servers must not keep them all. */
const MOST = 1_000;

interface OldServer {
  readonly origin: string;
  readonly until: number;
}

/** Whether a state of `reasonNow` is one. */
export function isOldServer(state: object): state is OldServer {
  return 'until' in state;
}

/** Keyed by the settings that decide whether TLS is possible; includes expired ones. */
const servers = new Map<string, OldServer>();

/** Whether the body of a request can be read again. Calls no getter. */
function staysWhole(options: object): boolean {
  const body = Object.getOwnPropertyDescriptor(options, 'body');
  if (body === undefined) return true;
  const value: unknown = body.value;
  return 'value' in body && (typeof value !== 'object' || !value || ArrayBuffer.isView(value));
}

/**
 * Not `null` while the peer serves `server`, and the same object all the time. A request (its
 * `options`) whose body can be read once only never is the one that tries again: it could not be handed over.
 */
export function oldServer(server: string, options: object | null): object | null {
  if (servers.size === 0) return null;
  const known = servers.get(server);
  if (known === undefined) return null;
  const tries = options === null || staysWhole(options);
  return performance.now() < known.until || !tries ? known : null;
}

/** The engine has found out that `server`, at `origin`, is one. The first time, the user is warned. */
export function rememberOldServer(server: string, origin: string): void {
  const known = servers.get(server);
  const now = performance.now();
  if (known !== undefined && now < known.until) return;
  const isNews = [...servers.values()].every((other) => other.origin !== origin);
  servers.delete(server);
  servers.set(server, { origin, until: now + SERVED_FOR });
  const [oldest] = servers.keys();
  if (servers.size > MOST && oldest !== undefined) servers.delete(oldest);
  if (!isNews) return;
  process.emitWarning(
    `${origin} has no TLS version, cipher suite or curve in common with rustls. undici's own class serves it, on Node's OpenSSL and at undici's speed; the engine tries again every ten minutes. Set connect: { fallback: false } to disable this.`,
    { code: 'DODICI_OLD_TLS' },
  );
}
