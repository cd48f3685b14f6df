/**
 * The `signal` of a request that waits for its turn.
 *
 * What lives here: how it is listened to. Requests of a pipeline call it. It must not know requests.
 */

/**
 * Calls `fired` now or when `signal` fires. Returns what ends listening; `null` if nothing listens. An
 * `EventEmitter` as signal is left alone, because its listeners are the user's to count.
 */
export function onAbort(signal: unknown, fired: () => void): (() => void) | null {
  // By what it can do: jsdom's is no `EventTarget` of Node's.
  if (typeof (signal as Partial<AbortSignal>).addEventListener !== 'function') return null;
  const target = signal as AbortSignal;
  if (target.aborted) {
    fired();
    return null;
  }
  target.addEventListener('abort', fired, { once: true });
  return () => target.removeEventListener('abort', fired);
}
