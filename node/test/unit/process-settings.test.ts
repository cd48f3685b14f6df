// Existing pools follow process-wide and per-thread settings, before the next connection.
import dns from 'node:dns';
import net from 'node:net';
import tls from 'node:tls';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { control, flushed } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Pool } from '../../src/dispatchers/pool';
import { OptionKey } from '../../src/wire/generated';

const get = () => ({ path: '/', method: 'GET' }) as never;

/** Values of an option list, by key; `undefined` for an absent one. */
function optionsOf(payload: Buffer): Partial<Record<number, Buffer>> {
  const found: Partial<Record<number, Buffer>> = {};
  for (let at = 0; at < payload.length;) {
    const length = payload.readUInt32LE(at + 4);
    found[payload.readUInt16LE(at)] = payload.subarray(at + 8, at + 8 + length);
    at += 8 + ((length + 3) & ~3);
  }
  return found;
}

let client: Pool;

beforeEach(() => {
  control.reset();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  const gone = client.destroy();
  await flushed();
  control.deliver(...control.of('PoolDestroy').map(({ slot }) => control.poolClosed(slot)));
  await gone;
});

/** Kinds of the records that a request causes, and the options of the first that has some. */
async function ask() {
  control.reset();
  client.dispatch(get(), new Recorder());
  await flushed();
  const kinds = control.submitted.map(({ kind }) => kind);
  const described = control.submitted.find(({ kind }) => kind.startsWith('PoolC'));
  return { kinds, options: described === undefined ? {} : optionsOf(described.payload) };
}

/** Changes a setting; returns a function that restores it. */
type Change = () => () => void;

const changes: Record<
  string,
  { key: keyof typeof OptionKey; from: Buffer | undefined; to: Buffer; change: Change }
> = {
  'dns.setDefaultResultOrder': {
    key: 'ResultOrder',
    from: Buffer.from(dns.getDefaultResultOrder()),
    to: Buffer.from('ipv6first'),
    change: () => {
      const former = dns.getDefaultResultOrder();
      dns.setDefaultResultOrder('ipv6first');
      return () => dns.setDefaultResultOrder(former);
    },
  },
  'a replaced dns.lookup': {
    key: 'Lookup',
    from: undefined,
    to: Buffer.of(1),
    change: () => {
      const former = dns.lookup;
      dns.lookup = (() => {}) as unknown as typeof dns.lookup;
      return () => void (dns.lookup = former);
    },
  },
  'net.setDefaultAutoSelectFamily': {
    key: 'AutoSelectFamily',
    from: Buffer.of(1),
    to: Buffer.of(0),
    change: () => {
      net.setDefaultAutoSelectFamily(false);
      return () => net.setDefaultAutoSelectFamily(true);
    },
  },
  'net.setDefaultAutoSelectFamilyAttemptTimeout': {
    key: 'AutoSelectFamilyAttemptTimeout',
    from: double(net.getDefaultAutoSelectFamilyAttemptTimeout()),
    to: double(1234),
    change: () => {
      const former = net.getDefaultAutoSelectFamilyAttemptTimeout();
      net.setDefaultAutoSelectFamilyAttemptTimeout(1234);
      return () => net.setDefaultAutoSelectFamilyAttemptTimeout(former);
    },
  },
  'tls.DEFAULT_MIN_VERSION': {
    key: 'MinVersion',
    from: Buffer.from('TLSv1.2'),
    to: Buffer.from('TLSv1.3'),
    change: () => {
      tls.DEFAULT_MIN_VERSION = 'TLSv1.3';
      return () => void (tls.DEFAULT_MIN_VERSION = 'TLSv1.2');
    },
  },
  'tls.DEFAULT_MAX_VERSION': {
    key: 'MaxVersion',
    from: Buffer.from('TLSv1.3'),
    to: Buffer.from('TLSv1.2'),
    change: () => {
      tls.DEFAULT_MAX_VERSION = 'TLSv1.2';
      return () => void (tls.DEFAULT_MAX_VERSION = 'TLSv1.3');
    },
  },
  NODE_TLS_REJECT_UNAUTHORIZED: {
    key: 'RejectUnauthorized',
    from: Buffer.of(1),
    to: Buffer.of(0),
    change: () => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
      return () => vi.unstubAllEnvs();
    },
  },
};

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

for (const [name, { key, from, to, change }] of Object.entries(changes)) {
  describe(name, () => {
    it('reach the engine before the next request, whether set or unset', async () => {
      client = new Pool('https://localhost:8443');
      const first = await ask();
      expect(first.kinds).toEqual(['PoolCreate', 'Dispatch']);
      expect(first.options[OptionKey[key]]).toEqual(from);

      const undo = change();
      try {
        const changed = await ask();
        expect(changed.kinds.slice(0, 1)).toEqual(['PoolConfigure']);
        expect(changed.options[OptionKey[key]]).toEqual(to);
        expect((await ask()).kinds).not.toContain('PoolConfigure');
      } finally {
        undo();
      }
      const undone = await ask();
      expect(undone.kinds.slice(0, 1)).toEqual(['PoolConfigure']);
      expect(undone.options[OptionKey[key]]).toEqual(from);
    });
  });
}

it('an option takes precedence over process settings', async () => {
  client = new Pool('https://localhost:8443', {
    connect: {
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: 99,
    },
  });
  const undo = ['NODE_TLS_REJECT_UNAUTHORIZED', 'net.setDefaultAutoSelectFamily'].map((name) =>
    changes[name]!.change(),
  );
  try {
    const { options } = await ask();
    expect(options[OptionKey.RejectUnauthorized]).toEqual(Buffer.of(1));
    expect(options[OptionKey.AutoSelectFamily]).toEqual(Buffer.of(1));
    expect(options[OptionKey.AutoSelectFamilyAttemptTimeout]).toEqual(double(99));
  } finally {
    for (const put of undo) put();
  }
});
