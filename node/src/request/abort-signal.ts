/**
 * The `signal` of a request waiting for its turn.
 *
 * What lives here: listening to it. Requests of a pipeline call it. It must not know requests.
 */

/**
 * Calls `fired` now or when `signal` fires. Returns a function that stops listening; `null` if
 * nothing listens. An `EventEmitter` gets no listener, because users may count its listeners.
 */
export function onAbort(signal: unknown, fired: () => void): (() => void) | null {
  // Duck typing: jsdom's is not an `EventTarget` of Node.
  if (typeof (signal as Partial<AbortSignal>).addEventListener !== 'function') return null;
  const target = signal as AbortSignal;
  if (target.aborted) {
    fired();
    return null;
  }
  target.addEventListener('abort', fired, { once: true });
  return () => target.removeEventListener('abort', fired);
}
