/**
 * Responses whose bodies nobody reads.
 *
 * What lives here: cancelling the body of a response that was collected, and asking V8 to collect where
 * other requests wait for a connection that such a body occupies. It must not know what a fetch does.
 *
 * A program that waits allocates nothing, so V8 has no reason to collect, and only a collection of the
 * whole heap tells that a response is unreachable.
 */

import { now, queueMicrotask, setTimeout } from '../process';
import type { IncomingBody } from './incoming-body';
import type { ResponseBody } from './response-body';

/**
 * Milliseconds between looks, which cost microseconds each, and are not made while no body is open. 500: a
 * program that drops responses stands still that long before its connections are free.
 */
const LOOK_EVERY = 500;

/**
 * The longest break between collections, in milliseconds, which doubles with each that frees nothing: the
 * responses are in use, and read slowly. 64 s: then a collection of a large heap, which takes a second,
 * does not count.
 */
const LONGEST_BREAK = 64_000;

/** Bytes that make V8 collect its whole heap: it does for every 64 MiB of memory outside of it. */
const PRESSURE = 65 << 20;

/** A body that somebody may still read. */
export interface OpenBody {
  /** Whether all of it has arrived. */
  readonly isComplete: boolean;
  /** Nobody waits for it, and requests wait for the connection that it occupies. */
  readonly isInTheWay: boolean;
}

/** These do not keep their responses alive. */
const openBodies = new Set<OpenBody>();
let isLooking = false;
/** Bodies whose responses were collected since the last look. */
let collected = 0;
let pause = LOOK_EVERY;
let collectsAgainAt = 0;

function lookSoon(): void {
  isLooking = true;
  setTimeout(look, LOOK_EVERY).unref();
}

function look(): void {
  let isBlocked = false;
  for (const body of openBodies) {
    if (body.isComplete) openBodies.delete(body);
    else if (body.isInTheWay) isBlocked = true;
  }
  isLooking = false;
  if (openBodies.size > 0) lookSoon();
  if (collected > 0) pause = LOOK_EVERY;
  collected = 0;
  if (!isBlocked || now() < collectsAgainAt) return;
  collectsAgainAt = now() + pause;
  pause = Math.min(pause * 2, LONGEST_BREAK);
  try {
    // Never touched, so the system provides no memory for it. A call, because bundlers drop a `new` whose
    // result is not used.
    Buffer.alloc(PRESSURE);
  } catch {
    // There is too little: V8 has collected, too.
  }
}

/** A body, and what to cancel when neither is reachable any more. */
const unread = new FinalizationRegistry<IncomingBody>((incoming) => {
  collected++;
  incoming.abandon(new DOMException('The operation was aborted.', 'AbortError'));
});

interface Watched {
  readonly body: ResponseBody;
  readonly incoming: IncomingBody;
  readonly open: OpenBody;
  /** Even a complete body is to be cancelled. */
  readonly followsSignal: boolean;
}

/** Bodies of this turn: a short one usually ends in the same turn. */
let young: Watched[] = [];

/** Cancels `incoming` when `body` is collected. */
export function watchBody(watched: Watched): void {
  if (watched.followsSignal) unread.register(watched.body, watched.incoming);
  if (young.push(watched) === 1) queueMicrotask(watchYoung);
}

function watchYoung(): void {
  const bodies = young;
  young = [];
  for (const { body, incoming, open, followsSignal } of bodies) {
    if (incoming.isOver) continue;
    if (!followsSignal) unread.register(body, incoming);
    openBodies.add(open);
    if (!isLooking) lookSoon();
  }
}

/** It was read to its end, has failed, or was cancelled. */
export function bodyClosed(open: OpenBody): void {
  openBodies.delete(open);
}
