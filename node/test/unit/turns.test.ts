// Which completions share an event-loop turn, and which wait for a later one.
import { beforeEach, describe, expect, it } from 'vitest';

import { Turns, type Walk } from '../../src/session/turns';
import { FEW, MOST_DISCONNECTS, RIPE_TURNS, SOON } from '../../src/wire/generated';
import type { Latin1Buffer } from '../../src/wire/latin1';

type Kind = 'head' | 'data' | 'end' | 'error' | 'connect' | 'disconnect';

let told: string[];
let bodySentAt: number;
let turns: Turns;

/** Records are words of a batch: here an index into this list. */
let records: Kind[];
let fails: boolean;
/** Called for each record. */
let onTell: (kind: Kind) => void;

const mayTell: Readonly<Record<Kind, () => boolean>> = {
  head: () => turns.mayDeliverHead(bodySentAt),
  data: () => {
    turns.deliversData();
    return true;
  },
  end: () => turns.mayDeliverEnd(bodySentAt),
  error: () => turns.mayDeliverError(),
  connect: () => {
    turns.deliversConnect();
    return true;
  },
  disconnect: () => turns.mayDeliverDisconnect(),
};

const walk: Walk = (batch, _words, length, _slabs, from) => {
  for (let at = from; at < length; at += 4) {
    const kind = records[batch.readUInt32LE(at)]!;
    if (!mayTell[kind]()) return at;
    told.push(kind);
    onTell(kind);
    if (!fails) continue;
    fails = false;
    throw new Error(kind);
  }
  return length;
};

/** A batch in its own memory, which is overwritten when the call returns, like the addon's. */
function deliver(...kinds: Kind[]): void {
  const batch = Buffer.alloc(kinds.length * 4) as Buffer as Latin1Buffer;
  kinds.forEach((kind, i) => batch.writeUInt32LE(records.push(kind) - 1, i * 4));
  try {
    turns.deliver(batch, new Uint32Array(0), batch.length, null);
  } finally {
    batch.fill(0xff);
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  told = [];
  records = [];
  bodySentAt = 0;
  fails = false;
  onTell = () => undefined;
  turns = new Turns(walk);
});

describe('a batch', () => {
  it('is delivered immediately if nothing in it has to wait', () => {
    deliver('connect', 'data', 'data', 'disconnect');
    expect(told).toEqual(['connect', 'data', 'data', 'disconnect']);
  });

  it('is postponed from the record on that has to wait, and nothing overtakes it', async () => {
    deliver('head', 'error', 'data');
    deliver('connect');
    expect(told).toEqual(['head']);
    await nextTurn();
    expect(told).toEqual(['head', 'error', 'data', 'connect']);
  });

  it('shares its turn with another that arrives before microtasks have run', async () => {
    deliver('head');
    deliver('error');
    expect(told).toEqual(['head']);
    await nextTurn();
    deliver('head');
    await Promise.resolve();
    deliver('error');
    expect(told).toEqual(['head', 'error', 'head', 'error']);
  });

  it('is dropped where a callback throws, and the next one is delivered', async () => {
    deliver('head', 'error', 'data');
    deliver('connect');
    // The test runner has its own listener, which would report a failure.
    const others = process.rawListeners('uncaughtException') as ((error: Error) => void)[];
    process.removeAllListeners('uncaughtException');
    const thrown = new Promise<Error>((resolve) => {
      process.once('uncaughtException', resolve);
    });
    fails = true;
    expect((await thrown).message).toBe('error');
    for (const other of others) process.on('uncaughtException', other);
    await nextTurn();
    expect(told).toEqual(['head', 'error', 'connect']);
  });
});

describe('a disconnect', () => {
  it('waits for the turn after the end of a response', async () => {
    deliver('end', 'disconnect');
    expect(told).toEqual(['end']);
    await nextTurn();
    expect(told).toEqual(['end', 'disconnect']);
  });
});

describe('responses', () => {
  it('take turns among a few', async () => {
    turns.requests = FEW;
    deliver('head', 'end', 'head', 'end', 'head');
    expect(told).toEqual(['head', 'end']);
    await nextTurn();
    expect(told).toEqual(['head', 'end', 'head', 'end']);
    await nextTurn();
    expect(told).toEqual(['head', 'end', 'head', 'end', 'head']);
  });

  it('share a turn among many', () => {
    turns.requests = FEW + 1;
    deliver('connect', 'head', 'end', 'head', 'end');
    expect(told).toHaveLength(5);
  });

  it('share a turn among many, also once those delivered in it leave only a few', async () => {
    turns.requests = FEW + 2;
    onTell = (kind) => {
      if (kind === 'end') turns.requests--;
    };
    deliver('head', 'end', 'head', 'end', 'head', 'end');
    deliver('head', 'end');
    expect(told).toHaveLength(8);
    await Promise.resolve();
    deliver('head', 'end', 'head', 'end');
    expect(told).toHaveLength(10);
    await nextTurn();
  });

  it('wait until the connect listeners of their connection have run', async () => {
    deliver('connect', 'head');
    expect(told).toEqual(['connect']);
    await nextTurn();
    expect(told).toEqual(['connect', 'head']);
  });
});

describe('the response to a streamed body', () => {
  it('waits until every socket has been polled', async () => {
    bodySentAt = Infinity;
    deliver('head', 'end');
    for (let turn = 1; turn < RIPE_TURNS; turn++) {
      await nextTurn();
      expect(told).toEqual([]);
    }
    await nextTurn();
    expect(told).toEqual(['head', 'end']);
  });

  it('does not wait if the body was sent long ago', () => {
    bodySentAt = performance.now() - SOON;
    deliver('head', 'end');
    expect(told).toEqual(['head', 'end']);
  });
});

describe('the ends of many connections', () => {
  it('are spread over turns, and nothing overtakes them', async () => {
    const ends = Array<Kind>(2 * MOST_DISCONNECTS + 1).fill('disconnect');
    deliver(...ends, 'head');
    deliver('data');
    expect(told).toHaveLength(MOST_DISCONNECTS);
    await nextTurn();
    expect(told).toHaveLength(2 * MOST_DISCONNECTS);
    await nextTurn();
    expect(told).toEqual([...ends, 'head', 'data']);
  });

  it('share a turn if they arrive in several batches', async () => {
    const ends = Array<Kind>(MOST_DISCONNECTS).fill('disconnect');
    deliver(...ends);
    deliver('disconnect');
    expect(told).toHaveLength(MOST_DISCONNECTS);
    await nextTurn();
    expect(told).toHaveLength(MOST_DISCONNECTS + 1);
  });
});
