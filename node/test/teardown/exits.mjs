// A separate process that ends in the given way, with a request in the given
// phase. `node exits.mjs <phase> <how> <place as JSON>`

import { enter } from './phases.mjs';

const [phase, how, json] = process.argv.slice(2);
const place = JSON.parse(json);

/** In the event loop's next turn, when `entered` is there. */
const finish = () => setImmediate(() => void entered.destroy().catch(() => {}));

const WAYS = {
  'process.exit': () => process.exit(7),
  'an uncaught exception'() {
    setImmediate(() => {
      throw new Error('bye');
    });
  },
  'a handled uncaught exception'() {
    process.once('uncaughtException', ({ message }) => process.exit(message === 'bye' ? 5 : 1));
    setImmediate(() => {
      throw new Error('bye');
    });
  },
  SIGTERM: () => process.kill(process.pid, 'SIGTERM'),
  'a handled SIGTERM'() {
    process.once('SIGTERM', () => process.exit(9));
    process.kill(process.pid, 'SIGTERM');
  },
  beforeExit() {
    process.once('beforeExit', () => {
      enter(phase, place, () => {});
      process.exit(6);
    });
    finish();
  },
  'a natural end': finish,
};

let reached = false;
function leave() {
  if (reached) return;
  reached = true;
  // The channel to the parent must not keep this process alive.
  if (process.connected) process.disconnect();
  WAYS[how]();
}

// A phase that only the server sees is reported by the parent.
process.on('message', leave);
const entered = enter(phase, place, leave);
