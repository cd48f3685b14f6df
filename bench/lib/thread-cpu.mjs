// CPU time of the JavaScript thread. bench/load.mjs reads it; nothing here knows of requests.
import { readFileSync } from 'node:fs';

/**
 * Returns a function that reads the CPU time of the calling (main) thread in microseconds: the
 * thread's own clock, so other threads do not count.
 *
 * Node has `process.threadCpuUsage()` from 22.19 and 23.9 on. Before, it is read on Linux from
 * `/proc/self/task/<tid>/schedstat`, whose first number is nanoseconds on a CPU, and the main
 * thread's id is the process's.
 *
 * @returns {() => number}
 */
export function threadCpuClock() {
  if (typeof process.threadCpuUsage === 'function') {
    return () => {
      const { user, system } = process.threadCpuUsage();
      return user + system;
    };
  }
  const file = `/proc/self/task/${process.pid}/schedstat`;
  const read = () => Number(readFileSync(file, 'latin1').split(' ', 1)[0]) / 1e3;
  try {
    read();
  } catch (cause) {
    throw new Error(
      `Node ${process.version} cannot tell a thread's CPU time on ${process.platform}: use Node 24`,
      { cause },
    );
  }
  return read;
}
