// What the gates share: a handler that counts its ends, seeded random numbers, a server in
// its own process, and the checks when a gate is done.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";

/** mulberry32: small, and the same on every machine. @param {number} seed */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {() => number} random @param {readonly T[]} list @returns {T} */
export const pick = (random, list) => list[Math.floor(random() * list.length)];

/** The event loop's next turn. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/**
 * Megabytes that this process uses, after a collection. Free space in V8's heap is
 * not counted: how far V8 lets the young generation grow depends on how busy the machine is.
 */
export function memory() {
  globalThis.gc?.();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return (rss - heapTotal + heapUsed) / 1e6;
}

/** Megabytes of the JavaScript heap, after a collection. */
export function heap() {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
}

/** Open files of this process, if they can be counted, else 0. */
export function openFiles() {
  return process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0;
}

/** Bytes in the kernel's buffers of connections to `port`, on either side; Linux only. */
export function kernelHolds(port) {
  const name = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  let bytes = 0;
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)) {
    const [, local, remote, , queues] = line.trim().split(/\s+/);
    if (queues === undefined) continue;
    const [toSend, toRead] = queues.split(":").map((hex) => parseInt(hex, 16));
    if (local.endsWith(name)) bytes += toSend;
    else if (remote.endsWith(name)) bytes += toRead;
  }
  return bytes;
}

/** Waits until `done()` is true, checking in every turn; false after 30 seconds. */
export async function eventually(done) {
  for (const ends = performance.now() + 30_000; performance.now() < ends;) {
    if (await done()) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

/** Starts `script` as a server; `ask(message)` sends it a message and resolves with its reply. */
export async function serve(script) {
  const child = fork(script, { execArgv: [], env: { ...process.env, NODE_OPTIONS: "" } });
  const [place] = await once(child, "message");
  const ask = async (message) => {
    child.send(message);
    const [reply] = await once(child, "message");
    return reply;
  };
  return { place, child, ask, stop: () => child.kill() };
}

/** Fills the backlog of a server that accepts nothing, so that a connect to it hangs. */
export async function fillBacklog(port) {
  const sockets = Array.from({ length: 4 }, () => connect(port, "127.0.0.1"));
  for (const socket of sockets) socket.on("error", () => {});
  await once(sockets[0], "connect");
  return sockets;
}

/** The origin of a gate's server. */
export const base = (server) => `http://127.0.0.1:${server.place.port}`;

/** Runs `count` times `task(index)`, `width` at a time. */
export async function repeat(count, width, progress, task) {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next++;
      await task(index);
      progress(index + 1, count);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}

/** After the work: no request counts any more, and close() leaves no connection. */
export async function atRest({ dispatchers, server, problems }) {
  for (const dispatcher of dispatchers) {
    const { stats } = dispatcher;
    const busy = Object.entries(stats).filter(
      ([name, value]) => ["pending", "queued", "running", "size"].includes(name) && value !== 0,
    );
    if (busy.length > 0) problems.push(`counters at rest: ${JSON.stringify(stats)}`);
  }
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.close()));
  const gone = await eventually(async () => (await server.ask("connections")).connections === 0);
  if (!gone) problems.push("connections are left after close()");
}

/**
 * R1: a request settles exactly once, and no callback follows. Wraps what a gate does in callbacks
 * and writes each violation into `problems`.
 */
export class Counted {
  /** @type {any} */
  controller = null;
  status = 0;
  text = "";
  /** @type {'end' | 'error' | 'upgrade' | null} */
  ended = null;
  error = null;
  aborted = false;
  #problems;
  #resolve;
  /** Resolves with `this` when it has settled. @type {Promise<this>} */
  done = new Promise((resolve) => (this.#resolve = resolve));

  /**
   * @param {string[]} problems
   * @param {(name: string, counted: Counted) => void} [during] called in each callback
   * @param {boolean} [keeps] whether to keep the body
   */
  constructor(problems, during = () => {}, keeps = true) {
    this.#problems = problems;
    this.during = during;
    this.keeps = keeps;
  }

  #note(name, terminal = false) {
    if (this.ended !== null) this.#problems.push(`R1: ${name} after ${this.ended}`);
    if (terminal) this.ended = name;
    this.during(name, this);
    if (terminal) this.#resolve(this);
  }

  onRequestStart(controller) {
    this.controller = controller;
    this.#note("start");
  }

  onResponseStart(_controller, status) {
    this.status = status;
    this.#note("head");
  }

  onResponseData(_controller, chunk) {
    if (this.keeps) this.text += chunk.toString("latin1");
    this.#note("data");
  }

  onResponseEnd() {
    this.#note("end", true);
  }

  onResponseError(_controller, error) {
    this.error = error;
    this.#note("error", true);
  }

  onRequestUpgrade(_controller, _status, _headers, socket) {
    socket.on("error", () => {});
    socket.destroy();
    this.#note("upgrade", true);
  }

  abort(reason = new Error("the dice said so")) {
    if (this.ended !== null || this.controller === null) return;
    this.aborted = true;
    this.controller.abort(reason);
    if (this.ended === null) this.#problems.push("R10: abort() returned before the request ended");
  }
}
