// Brings a request into a phase, through the built package.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const packageRoot = fileURLToPath(new URL('../../', import.meta.url));

/** The built package. */
export const dodici = require(packageRoot);

const nothing = () => {};

/** Dispatches with these callbacks and those that a handler must have. */
function dispatch(client, options, callbacks = {}) {
  client.dispatch(
    { method: 'GET', ...options },
    {
      onRequestStart: nothing,
      onResponseStart: nothing,
      onResponseData: nothing,
      onResponseEnd: nothing,
      onResponseError: nothing,
      ...callbacks,
    },
  );
}

async function* endless() {
  for (;;) {
    yield Buffer.alloc(20_000, 'x');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Each enters its phase and calls `reached` there, inside the callback that notices it where there
 * is one. A phase in `seenByServer` is noticed by the server instead. Returns what ends it.
 */
const PHASES = {
  'before connect'({ origin, id }, reached) {
    const client = new dodici.Client(origin);
    dispatch(client, { path: `/hold/${id}` });
    reached();
    return client;
  },

  connecting({ deaf }, reached) {
    const client = new dodici.Client(deaf);
    for (let i = 0; i < 3; i++) dispatch(client, { path: '/' });
    setImmediate(() => setImmediate(reached));
    return client;
  },

  'TLS handshake'({ silent, slot }) {
    const client = new dodici.Client(silent[slot], { connect: { rejectUnauthorized: false } });
    dispatch(client, { path: '/' });
    return client;
  },

  'waiting for headers'({ origin, id }) {
    const client = new dodici.Client(origin);
    dispatch(client, { path: `/hold/${id}` });
    return client;
  },

  'body streaming'({ origin, id }, reached) {
    const agent = new dodici.Agent();
    for (let i = 0; i < 3; i++) {
      let chunks = 0;
      const onResponseData = () => (++chunks === 5 && i === 0 ? reached() : undefined);
      dispatch(agent, { origin, path: `/stream/${id}` }, { onResponseData });
    }
    return agent;
  },

  uploading({ origin, id }) {
    const client = new dodici.Client(origin);
    dispatch(client, { path: `/upload/${id}`, method: 'POST', body: endless() });
    return client;
  },

  paused({ origin, id }, reached) {
    const client = new dodici.Client(origin);
    const onResponseData = (controller) => {
      controller.pause();
      reached();
    };
    dispatch(client, { path: `/stream/${id}` }, { onResponseData });
    // An unread request keeps no process alive.
    const alive = setInterval(nothing, 60_000);
    return {
      destroy() {
        clearInterval(alive);
        return client.destroy();
      },
    };
  },

  upgraded({ origin, id }, reached) {
    const client = new dodici.Client(origin);
    const options = Number(id) % 2 ? { upgrade: 'echo' } : { method: 'CONNECT' };
    let stream;
    const onRequestUpgrade = (_controller, _status, _headers, socket) => {
      stream = socket;
      socket.on('error', nothing);
      socket.write('x'.repeat(100_000));
      socket.once('data', () => {
        // Half of them have lost their pool.
        if (Number(id) % 4 < 2) void client.close().then(reached);
        else reached();
      });
      socket.resume();
    };
    dispatch(client, { path: '/', ...options }, { onRequestUpgrade });
    return {
      destroy() {
        stream?.destroy();
        return client.destroy();
      },
    };
  },

  idle({ origin, id }, reached) {
    const agent = new dodici.Agent();
    const holding = setInterval(nothing, 1 << 30);
    const onResponseEnd = () => setImmediate(reached);
    dispatch(agent, { origin, path: `/ok/${id}` }, { onResponseEnd });
    return {
      destroy() {
        clearInterval(holding);
        return agent.destroy();
      },
    };
  },

  closing({ origin, id }, reached) {
    const client = new dodici.Client(origin);
    dispatch(
      client,
      { path: `/stream/${id}` },
      {
        onResponseData() {
          void client.close().catch(nothing);
          reached();
        },
      },
    );
    return client;
  },
};

/** Their names. */
export const phases = Object.keys(PHASES);

/** Phases that `openTargets` reports. */
export const seenByServer = ['TLS handshake', 'waiting for headers', 'uploading'];

/** Enters `phase`; `place` is the targets' `urls` with the request's `id` and `slot`. */
export function enter(phase, place, reached) {
  let told = false;
  const once = () => {
    if (told) return;
    told = true;
    reached();
  };
  return PHASES[phase](place, once);
}
