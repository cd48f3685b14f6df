/**
 * Where a fetch was called that failed.
 *
 * What lives here: the lines that an error gets which was made in a callback, where no caller is on the
 * stack. It must not know fetches.
 */

/**
 * Adds to the stack of an error those who await what it fails, and throws it again. To be the handler of
 * a promise that a caller has: the engine knows who awaits a promise while its handler runs.
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
