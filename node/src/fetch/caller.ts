/**
 * The stack of a failed fetch's caller.
 *
 * What lives here: completing the stack of an error created in a callback, where the caller is not
 * on the stack. It must not know fetches.
 */

/**
 * Adds the awaiting functions to the stack of an error, and rethrows it. For use as the rejection
 * handler of the caller's promise: V8 knows who awaits a promise while its handler runs.
 */
export function rethrowWithCallers(error: unknown): never {
  if (error instanceof TypeError && error.message === 'fetch failed') {
    const capture: { stack?: string } = {};
    Error.captureStackTrace(capture, rethrowWithCallers);
    const callers = capture.stack?.split('\n').slice(1).join('\n') ?? '';
    if (callers !== '') error.stack = `${error.stack ?? String(error)}\n${callers}`;
  }
  throw error;
}
