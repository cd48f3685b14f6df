// Mixed traffic for `just soak`: responses, aborts in every phase, paused readers, uploads, connections
// that servers cut. It checks what must always hold: every request settles exactly
// once, the pool becomes idle again, memory stops growing.
//
// The server is Node's own, in a separate process so that its memory does not count. The seed is
// printed; --seed repeats a run's choices, though not the network's timing.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { generator, memory, pick } from "./lib.mjs";

/** The options of this part, for --help. */
export const MIXED_HELP = `  --minutes M       how long (default 2)
  --concurrency N   requests in flight (default 64)
  --connections N   connections of the pool (default 16)
  --growth MB       allowed growth of memory after the first fifth (default 32)
`;

/** A request that has not settled after this is lost; every response takes far less. */
const LOST_MS = 60_000;

/** The server: its response depends on the path alone. */
function serve() {
  const large = Buffer.alloc(256 * 1024, "x");
  const server = createServer((request, response) => {
    switch (request.url) {
      case "/large":
        response.end(large);
        break;
      case "/drip": {
        let left = 5;
        const timer = setInterval(() => {
          response.write("drip");
          if (--left === 0) {
            clearInterval(timer);
            response.end();
          }
        }, 5);
        response.once("close", () => clearInterval(timer));
        break;
      }
      case "/cut": // The connection is reset in the middle of a body.
        response.write("half a body");
        setTimeout(() => response.destroy(), 3);
        break;
      case "/upload":
        request.resume().once("end", () => response.end("thanks"));
        break;
      case "/hurry": // A response before the upload is complete, then the connection ends.
        response.writeHead(413, { connection: "close" }).end();
        break;
      default:
        response.end("small");
    }
  });
  server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
  process.on("message", () => {
    server.getConnections((_error, connections) => process.send({ connections }));
  });
}

/** Runs it; returns whether it passed. */
export async function mixed(options) {
  const { Pool } = createRequire(import.meta.url)(options.ours);
  const random = generator(options.seed);
  const server = fork(fileURLToPath(import.meta.url), {
    env: { ...process.env, SOAK_SERVER: "1" },
  });
  const [{ port }] = await once(server, "message");
  const { connections } = options;
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections });
  const seen = { connect: 0, disconnect: 0 };
  pool.on("connect", () => seen.connect++);
  pool.on("disconnect", () => seen.disconnect++);

  const counts = { answered: 0, aborted: 0, failed: 0 };
  const open = new Set();
  const problems = [];
  const ends = Date.now() + options.minutes * 60e3;
  const measuredFrom = Date.now() + options.minutes * 12e3;
  let base;
  console.log(`soak: ${options.minutes} min, seed ${options.seed}`);

  const watch = setInterval(() => {
    const rss = memory();
    if (base === undefined && Date.now() >= measuredFrom) base = rss;
    const lost = [...open].filter(({ started }) => Date.now() - started > LOST_MS);
    if (lost.length > 0) problems.push(`${lost.length} requests did not settle: ${lost[0].path}`);
    console.log(
      `  ${counts.answered} answered, ${counts.aborted} aborted, ${counts.failed} cut; ${open.size} in flight; ${rss.toFixed(0)} MB`,
    );
    if (lost.length > 0) finish();
  }, 5e3);
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));

  for (let i = 0; i < options.concurrency; i++) start();
  await finished;
  clearInterval(watch);

  if (problems.length === 0) {
    await pool.close();
    const rss = memory();
    console.log(
      `  in all ${counts.answered} answered, ${counts.aborted} aborted, ${counts.failed} cut, ` +
        `${seen.connect} connections; memory from ${base?.toFixed(0)} to ${rss.toFixed(0)} MB`,
    );
    if (base !== undefined && rss - base > options.growth) {
      problems.push(`memory grew from ${base.toFixed(0)} to ${rss.toFixed(0)} MB`);
    }
    if (seen.connect !== seen.disconnect) {
      problems.push(`${seen.connect} connects and ${seen.disconnect} disconnects`);
    }
    const left = await connectionsLeft(server);
    if (left !== 0) problems.push(`${left} connections are left after close()`);
    for (const [name, count] of Object.entries(counts)) {
      if (count === 0) problems.push(`no request was ${name}: the run proves little`);
    }
  }
  server.kill();
  for (const problem of problems) console.error(`soak: ${problem}`);
  if (problems.length === 0) console.log("soak: all requests settled once, all connections closed");
  return problems.length === 0;

  /** Sends one random request and, when it has settled, the next. */
  function start() {
    if (Date.now() >= ends || problems.length > 0) {
      if (open.size === 0) finish();
      return;
    }
    const path = pick(random, [
      "/small",
      "/small",
      "/small",
      "/large",
      "/drip",
      "/cut",
      "/upload",
      "/hurry",
    ]);
    const upload = path === "/upload" || path === "/hurry";
    const entry = { path, started: Date.now() };
    open.add(entry);
    const handler = new Handler(random, (outcome) => {
      if (!open.delete(entry)) {
        problems.push(`${path} settled twice`);
        return;
      }
      counts[outcome]++;
      setImmediate(start);
    });
    pool.dispatch(
      {
        path,
        method: upload ? "POST" : "GET",
        body: upload ? pieces(1 + Math.floor(random() * 8)) : undefined,
      },
      handler,
    );
  }
}

/** A handler that sometimes aborts or pauses, at a random moment. */
class Handler {
  #abortAt;
  #pauses;
  #settle;
  #aborted = false;

  constructor(random, settle) {
    const dice = random();
    this.#abortAt = dice < 0.05 ? "start" : dice < 0.1 ? "head" : dice < 0.15 ? "data" : "never";
    this.#pauses = random() < 0.1;
    this.#settle = settle;
  }

  onRequestStart(controller) {
    // In the next turn: the request may be queued, connecting, or on the wire by then.
    if (this.#abortAt === "start") setImmediate(() => this.#abort(controller));
  }

  onResponseStart(controller) {
    if (this.#abortAt === "head") this.#abort(controller);
  }

  onResponseData(controller) {
    if (this.#abortAt === "data") this.#abort(controller);
    else if (this.#pauses) {
      controller.pause();
      setImmediate(() => controller.resume());
    }
  }

  onResponseEnd() {
    this.#settle("answered");
  }

  onResponseError() {
    this.#settle(this.#aborted ? "aborted" : "failed");
  }

  #abort(controller) {
    this.#aborted = true;
    controller.abort(new Error("the dice said so"));
  }
}

/** A request body. @param {number} count */
async function* pieces(count) {
  for (let i = 0; i < count; i++) yield Buffer.alloc(8 * 1024, i);
}

/** Number of the server's connections after closing ones have closed. */
async function connectionsLeft(server) {
  for (let tries = 0; ; tries++) {
    server.send("connections");
    const [{ connections }] = await once(server, "message");
    if (connections === 0 || tries === 50) return connections;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (process.env.SOAK_SERVER !== undefined) serve();
