/**
 * Whether a connection ends after a response.
 *
 * What lives here: the engine's rules, for diagnostics messages, which must know before the connection has
 * ended. It must not know requests.
 */

import { parseFields } from '../headers';
import type { PoolSettings } from '../options';
import { HeadFlag } from '../wire';

/** The head of a response. */
export interface AnswerHead {
  readonly status: number;
  /** Of its record. */
  readonly flags: number;
  /** The reason phrase, and the fields after it. */
  readonly text: string;
}

/** Whether an HTTP/1 connection ends after the response with this final head to `method`. */
export function isLastAnswer(head: AnswerHead, method: string, settings: PoolSettings): boolean {
  const { status, flags, text } = head;
  const fields = parseFields(text, text.indexOf('\n') + 1);
  const read = (name: string): string => String(fields[name] ?? '').toLowerCase();
  const connection = read('connection').split(/[\s,]+/);
  if (connection.includes('close')) return true;
  if ((flags & HeadFlag.Http10) !== 0 && !connection.includes('keep-alive')) return true;
  const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
  const codings = read('transfer-encoding');
  const isDelimited = codings === '' ? 'content-length' in fields : codings.endsWith('chunked');
  if (hasBody && !isDelimited) return true;
  const hint = /timeout=(\d+)/.exec(read('keep-alive'));
  return hint !== null && Number(hint[1]) * 1_000 <= settings.keepAliveTimeoutThreshold;
}
