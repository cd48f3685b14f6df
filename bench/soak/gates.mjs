// The gates of `just soak`: each checks one requirement. The tests run them with a few repetitions,
// `just soak <name>` with many.
//
// A gate gets `{ dodici, server, count, random, progress, problems }`, writes what went wrong into
// `problems`, and returns figures for the report. None asserts wall-clock time.
import { connect } from "node:net";
import { once } from "node:events";
import { Counted, eventually, heap, kernelHolds, memory, openFiles, pick, turn } from "./lib.mjs";

const base = (server) => `http://127.0.0.1:${server.place.port}`;

/** Runs `count` times `task(index)`, `width` at a time. */
async function repeat(count, width, progress, task) {
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
async function atRest({ dispatchers, server, problems }) {
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

/** S14 */
const origins = {
  title: "distinct origins, each once: bounded memory, sockets and pools",
  counts: { short: 5000, full: 1_000_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    // Half of the connections stay open for as long as this.
    const agent = new dodici.Agent({ keepAliveTimeout: 50 });
    const { port } = server.place;
    const files = openFiles();
    let mostFiles = 0;
    let mostOrigins = 0;
    let from;
    let fromHeap;
    await repeat(count, 64, progress, async (index) => {
      const address = `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
      const handler = new Counted(problems);
      const path = random() < 0.5 ? "/ok" : "/close";
      agent.dispatch({ origin: `http://${address}:${port}`, path, method: "GET" }, handler);
      const { error } = await handler.done;
      if (error !== null && problems.length < 10) problems.push(`${address}: ${error.message}`);
      if (index % 500 === 499) {
        mostFiles = Math.max(mostFiles, openFiles());
        mostOrigins = Math.max(mostOrigins, Object.keys(agent.stats).length);
      }
      if (index === Math.floor(count / 5)) [from, fromHeap] = [memory(), heap()];
    });
    const empty = await eventually(() => Object.keys(agent.stats).length === 0);
    if (!empty) problems.push(`${Object.keys(agent.stats).length} pools are left`);
    const closed = await eventually(() => openFiles() <= files + 4);
    if (!closed) problems.push(`${openFiles()} open files, ${files} before`);
    const grown = memory() - from;
    const grownHeap = heap() - fromHeap;
    // More than allocators keep, less than a leak of 1 KB per origin in the full run.
    if (grown > 128) problems.push(`memory grew by ${grown.toFixed(0)} MB`);
    if (grownHeap > 4) problems.push(`the heap grew by ${grownHeap.toFixed(1)} MB`);
    await atRest({ dispatchers: [agent], server, problems });
    return {
      mostFiles,
      mostOrigins,
      grownMB: Math.round(grown),
      grownHeapMB: Math.round(grownHeap),
    };
  },
};

/** R5 */
const race = {
  title: "servers that close exactly when a connection is reused",
  counts: { short: 3000, full: 200_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    const pool = new dodici.Pool(base(server), { connections: 16 });
    const figures = { gets: 0, getErrors: 0, posts: 0, postErrors: 0 };
    const failed = new Set();
    await repeat(count, 16, progress, async (index) => {
      const method = random() < 0.5 ? "GET" : "POST";
      const handler = new Counted(problems);
      const path = `/race/${index}/${Math.floor(random() * 4000)}`;
      pool.dispatch({ path, method, body: method === "POST" ? "x" : undefined }, handler);
      const { error, text } = await handler.done;
      figures[method === "GET" ? "gets" : "posts"]++;
      if (error === null) {
        if (text !== path) problems.push(`${path} was answered with ${text}`);
      } else if (method === "GET") {
        figures.getErrors++;
        if (figures.getErrors <= 3) problems.push(`a GET failed: ${error.code} ${error.message}`);
      } else {
        figures.postErrors++;
        failed.add(String(index));
      }
      // Just before the close, and just after.
      for (const ends = performance.now() + random() * 4; performance.now() < ends;) await turn();
    });
    const { twice } = await server.ask("executed");
    if (twice.length > 0) problems.push(`${twice.length} POSTs were executed twice`);
    if (figures.gets === 0 || figures.posts === 0) problems.push("the run proves nothing");
    await atRest({ dispatchers: [pool], server, problems });
    return figures;
  },
};

/** R6 */
const poison = {
  title: "unsolicited responses are never delivered",
  counts: { short: 600, full: 100_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    const waiting = new Map();
    const { child } = server;
    const listener = ({ poisoned }) => waiting.get(poisoned)?.();
    child.on("message", listener);
    const clients = Array.from({ length: 16 }, () => new dodici.Client(base(server)));
    const free = [...clients];
    const disconnects = { discarded: 0 };
    for (const client of clients) client.on("disconnect", () => disconnects.discarded++);
    await repeat(count, clients.length, progress, async (index) => {
      const client = free.pop();
      const id = String(index);
      // In the socket's buffer before the next request: anything later looks like its response.
      const there = new Promise((resolve) => waiting.set(id, resolve));
      const path = `/poison/${id}/${pick(random, ["same", "next", "1", "10", "100"])}`;
      const first = new Counted(problems);
      client.dispatch({ path, method: "GET" }, first);
      await first.done;
      await there;
      waiting.delete(id);
      const method = random() < 0.5 ? "GET" : "POST";
      const next = new Counted(problems);
      client.dispatch({ path: `/ok/p${id}`, method }, next);
      await next.done;
      for (const [asked, { text, error }] of [
        [path, first],
        [`/ok/p${id}`, next],
      ]) {
        // An error is allowed, a wrong response is not.
        if (error === null && text !== asked) problems.push(`${asked} got ${text}`);
      }
      if (next.error !== null) problems.push(`the request behind it: ${next.error.message}`);
      free.push(client);
    });
    child.off("message", listener);
    const { twice } = await server.ask("executed");
    if (twice.length > 0) problems.push(`${twice.length} POSTs were executed twice`);
    if (disconnects.discarded === 0) problems.push("no connection was discarded");
    await atRest({ dispatchers: clients, server, problems });
    return disconnects;
  },
};

/** Enters a phase and calls `reached` in it. */
const PHASES = {
  queued: ({ pools }, handler, reached) => {
    pools.narrow.dispatch({ path: "/hang", method: "GET" }, handler);
    reached();
  },
  "looking up": ({ pools }, handler, reached) => {
    pools.agent.dispatch({ origin: "http://abort.invalid", path: "/", method: "GET" }, handler);
    reached();
  },
  connecting: ({ pools }, handler, reached) => {
    pools.deaf.dispatch({ path: "/", method: "GET" }, handler);
    setImmediate(reached);
  },
  "TLS handshake": ({ pools }, handler, reached) => {
    pools.mute.dispatch({ path: "/", method: "GET" }, handler);
    setImmediate(() => setImmediate(reached));
  },
  writing: ({ pools }, handler, reached) => {
    async function* body() {
      for (let i = 0; ; i++) {
        yield Buffer.alloc(16_384);
        if (i === 2) reached();
      }
    }
    pools.wide.dispatch({ path: "/hang", method: "POST", body: body() }, handler);
  },
  "waiting for headers": ({ pools }, handler, reached) => {
    pools.wide.dispatch({ path: "/hang", method: "GET" }, handler);
    setImmediate(() => setImmediate(reached));
  },
  head: ({ pools }, handler, reached) => {
    handler.during = (name) => name === "head" && reached();
    pools.wide.dispatch({ path: "/half", method: "GET" }, handler);
  },
  body: ({ pools }, handler, reached) => {
    handler.during = (name) => name === "data" && reached();
    pools.wide.dispatch({ path: "/large/1000000", method: "GET" }, handler);
  },
  paused: ({ pools }, handler, reached) => {
    handler.during = (name, { controller }) => {
      if (name !== "head") return;
      controller.pause();
      setImmediate(reached);
    };
    pools.wide.dispatch({ path: "/large/1000000", method: "GET" }, handler);
  },
  "the end": ({ pools }, handler, reached) => {
    pools.wide.dispatch({ path: "/ok/end", method: "GET" }, handler);
    setImmediate(() => setImmediate(() => setImmediate(reached)));
  },
};

/** R10 */
const aborts = {
  title: "aborts in every phase: no late callback, nothing left behind",
  counts: { short: 1500, full: 100_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    const { port, deaf, mute } = server.place;
    // Fill the deaf server's backlog, so that a connect to it hangs.
    const waiting = Array.from({ length: 4 }, () => connect(deaf, "127.0.0.1"));
    for (const socket of waiting) socket.on("error", () => {});
    await once(waiting[0], "connect");
    const pools = {
      narrow: new dodici.Pool(base(server), { connections: 1 }),
      wide: new dodici.Pool(base(server), { connections: 32 }),
      deaf: new dodici.Pool(`http://127.0.0.1:${deaf}`, { connections: 8 }),
      mute: new dodici.Pool(`https://127.0.0.1:${mute}`, { connections: 8 }),
      agent: new dodici.Agent(),
    };
    const names = Object.keys(PHASES);
    const figures = Object.fromEntries(names.map((name) => [name, 0]));
    // Holds the narrow pool's only connection, so that the others queue.
    const holder = new Counted(problems);
    pools.narrow.dispatch({ path: "/hang", method: "GET" }, holder);
    await repeat(count, 64, progress, async (index) => {
      const phase = names[index % names.length];
      const handler = new Counted(problems, undefined, false);
      const late = random() < 0.3;
      PHASES[phase]({ pools, port }, handler, () => {
        if (late) setImmediate(() => handler.abort());
        else handler.abort();
      });
      const { aborted } = await handler.done;
      if (aborted) figures[phase]++;
    });
    for (const name of names) {
      if (figures[name] === 0 && name !== "the end") problems.push(`nothing was aborted: ${name}`);
    }
    holder.abort();
    // The pools continue to work, within their limits.
    const { narrow, wide } = pools;
    for (const pool of [narrow, wide]) {
      const after = new Counted(problems);
      pool.dispatch({ path: "/ok/after", method: "GET" }, after);
      const { error, text } = await after.done;
      if (error !== null || text !== "/ok/after")
        problems.push(`after the storm: ${error?.message}`);
    }
    const { connections } = await server.ask("connections");
    if (wide.stats.connected > 32 || narrow.stats.connected > 1) problems.push("over the limit");
    for (const socket of waiting) socket.destroy();
    for (const pool of [pools.deaf, pools.mute]) {
      if (pool.stats.size !== 0) problems.push(`counters: ${JSON.stringify(pool.stats)}`);
      await pool.destroy();
    }
    await atRest({ dispatchers: [narrow, wide, pools.agent], server, problems });
    return { ...figures, connections };
  },
};

/** R13 */
const garbage = {
  title: "dropped bodies, dispatchers and handlers are collected",
  counts: { short: 200, full: 10_000 },
  async run({ dodici, server, count, progress, problems }) {
    const url = base(server);
    const counts = {};
    const registry = new FinalizationRegistry((kind) => counts[kind]++);
    const watch = (kind, object) => {
      counts[kind] ??= 0;
      registry.register(object, kind);
    };
    const agent = new dodici.Agent({ connections: 16 });
    const kinds = {
      async handlers() {
        const handler = new Counted(problems);
        watch("handlers", handler);
        agent.dispatch({ origin: url, path: "/ok/h", method: "GET" }, handler);
        await handler.done;
      },
      async "aborted handlers"() {
        const handler = new Counted(problems);
        watch("aborted handlers", handler);
        agent.dispatch({ origin: url, path: "/hang", method: "GET" }, handler);
        await turn();
        handler.abort();
        await handler.done;
      },
      async bodies() {
        const { body } = await dodici.request(`${url}/ok/b`, { dispatcher: agent });
        watch("bodies", body);
      },
      async responses() {
        watch("responses", await dodici.fetch(`${url}/ok/r`, { dispatcher: agent }));
      },
      async "idle dispatchers"() {
        const pool = new dodici.Pool(url, { keepAliveTimeout: 1 });
        watch("idle dispatchers", pool);
        await (await pool.request({ path: "/ok/i", method: "GET" })).body.text();
      },
      async "unused dispatchers"() {
        for (const Dispatcher of [dodici.Client, dodici.Pool]) {
          watch("unused dispatchers", new Dispatcher(url));
        }
        watch("unused dispatchers", new dodici.Agent());
      },
    };
    const names = Object.keys(kinds);
    await repeat(count * names.length, 16, progress, (index) =>
      kinds[names[index % names.length]](),
    );
    const registered = Object.fromEntries(
      names.map((name) => [name, name === "unused dispatchers" ? count * 3 : count]),
    );
    const enough = () => names.every((name) => counts[name] >= 0.99 * registered[name]);
    // Finalizers run in later turns, and an idle connection ends when its timeout expires.
    await eventually(() => {
      globalThis.gc();
      return enough();
    });
    for (const name of names) {
      if (counts[name] < 0.99 * registered[name]) {
        problems.push(`${name}: ${counts[name]} of ${registered[name]} were collected`);
      }
    }
    await atRest({ dispatchers: [agent], server, problems });
    return counts;
  },
};

/** Keeps the thread busy. @param {number} milliseconds */
function block(milliseconds) {
  for (const ends = performance.now() + milliseconds; performance.now() < ends;);
}

/** R16 */
const timeouts = {
  title: "timeouts are accurate, even while the JavaScript thread is blocked",
  counts: { short: 1, full: 20 },
  async run({ dodici, server, count, progress, problems }) {
    const url = base(server);
    const { deaf } = server.place;
    const waiting = Array.from({ length: 4 }, () => connect(deaf, "127.0.0.1"));
    for (const socket of waiting) socket.on("error", () => {});
    await once(waiting[0], "connect");
    const figures = { answered: 0, timedOut: 0 };
    for (let round = 0; round < count; round++) {
      for (const blocked of [0, 100, 1000]) {
        // Timeouts that expire while the thread is blocked, where it is blocked for long; a response
        // takes a small part of that.
        const limit = blocked === 1000 ? 900 : 300;
        const pool = new dodici.Pool(url, { connections: 64 });
        const unreachable = new dodici.Pool(`http://127.0.0.1:${deaf}`, {
          connect: { timeout: limit },
        });
        const order = [];
        const start = (target, path, expected, options = {}) => {
          const handler = new Counted(problems, (name) => {
            if (name === "end" || name === "error") order.push(path);
          });
          target.dispatch({ path, method: "GET", ...options }, handler);
          return { handler, expected, path };
        };
        // Connections are opened first, so that no request waits for one while the thread is blocked.
        await Promise.all(
          Array.from({ length: 32 }, () => {
            const handler = new Counted(problems);
            pool.dispatch({ path: "/ok/warm", method: "GET" }, handler);
            return handler.done;
          }),
        );
        const times = { headersTimeout: limit, bodyTimeout: limit };
        const cases = [
          ...Array.from({ length: 8 }, () => start(pool, "/ok/answer", null, times)),
          start(pool, `/hang/${limit}`, "UND_ERR_HEADERS_TIMEOUT", times),
          start(pool, `/half/${limit}`, "UND_ERR_BODY_TIMEOUT", times),
          start(unreachable, "/connect", "UND_ERR_CONNECT_TIMEOUT"),
          start(pool, `/hang/${limit + 600}`, "UND_ERR_HEADERS_TIMEOUT", {
            headersTimeout: limit + 600,
          }),
          start(pool, `/hang/${limit + 300}`, "UND_ERR_HEADERS_TIMEOUT", {
            headersTimeout: limit + 300,
          }),
        ];
        // What was dispatched is sent in this turn.
        await turn();
        block(blocked);
        for (const { handler, expected, path } of cases) {
          const { error } = await handler.done;
          const code = error?.code ?? null;
          if (code !== expected)
            problems.push(`${path}, ${blocked} ms blocked: ${code ?? "an answer"}`);
          figures[expected === null ? "answered" : "timedOut"]++;
        }
        if (order.indexOf(`/hang/${limit + 300}`) > order.indexOf(`/hang/${limit + 600}`)) {
          problems.push(`${blocked} ms blocked: the later timeout came first`);
        }
        // An idle connection whose timeout has expired meanwhile is not used.
        const idle = new dodici.Client(url, { keepAliveTimeout: 20 });
        for (const path of ["/ok/1", "/ok/2", "/ok/3"]) {
          const handler = new Counted(problems);
          idle.dispatch({ path, method: "GET" }, handler);
          const { error } = await handler.done;
          if (error !== null) problems.push(`keep-alive, ${blocked} ms blocked: ${error.message}`);
          block(Math.min(blocked, 100));
        }
        await unreachable.destroy();
        await pool.destroy();
        await idle.close();
        progress(round * 3 + [0, 100, 1000].indexOf(blocked) + 1, count * 3);
      }
    }
    for (const socket of waiting) socket.destroy();
    // Measured by the server, so that a blocked JavaScript thread does not count.
    const { late } = await server.ask("late");
    late.sort((a, b) => a - b);
    const [median, worst] = [late[late.length >> 1], late.at(-1)];
    // The median: a busy machine may be late with some, whatever the engine does.
    if (count >= timeouts.counts.full && !(median <= 5)) {
      problems.push(`timeouts fire ${median} ms late in the median of ${late.length}`);
    }
    return { ...figures, lateMedianMs: median.toFixed(1), lateWorstMs: worst.toFixed(1) };
  },
};

/** Maximum bytes of a response held for a paused reader: see ARCHITECTURE.md, Credit. */
const WINDOW = 1024 * 1024;

/** R17 */
const backpressure = {
  title: "a paused reader stops the server: memory stays small",
  counts: { short: 192, full: 10_240 },
  /** `count` is in MB. */
  async run({ dodici, server, count, random, progress, problems }) {
    const client = new dodici.Client(base(server));
    const size = count * 1024 * 1024;
    // The first megabytes also load code, so growth is measured after them.
    let from = 0;
    let most = 0;
    let got = 0;
    let pauses = 0;
    let mostHeld = 0;
    let looks = 0;
    let looking = false;
    const canLook = process.platform === "linux";
    // Sometimes pauses until the server can send no more, and checks where its bytes are.
    const lookAt = async (controller) => {
      let before = -1;
      let held = 0;
      await eventually(async () => {
        const { sent } = await server.ask("sent");
        const still = sent === before;
        before = sent;
        held = sent - kernelHolds(server.place.port) - got;
        return still;
      });
      looks++;
      mostHeld = Math.max(mostHeld, held);
      if (held > WINDOW + 65_536) problems.push(`the engine holds ${held} bytes`);
      controller.resume();
    };
    const handler = new Counted(problems, undefined, false);
    const onResponseData = handler.onResponseData.bind(handler);
    handler.onResponseData = (controller, chunk) => {
      onResponseData(controller, chunk);
      const before = Math.floor(got / (4 * 1024 * 1024));
      got += chunk.length;
      if (Math.floor(got / (4 * 1024 * 1024)) > before) {
        const now = memory();
        if (before === 0) from = now;
        most = Math.max(most, now);
        progress(Math.floor(got / 1024 / 1024), count);
      }
      if (canLook && got >= (size / 5) * (looks + 1) && !looking) {
        looking = true;
        controller.pause();
        void lookAt(controller).then(() => (looking = false));
      } else if (!looking && random() < 0.2) {
        pauses++;
        controller.pause();
        setTimeout(() => looking || controller.resume(), random() * 2);
      }
    };
    client.dispatch({ path: `/large/${size}`, method: "GET" }, handler);
    const { error } = await handler.done;
    if (error !== null) problems.push(error.message);
    if (got !== size) problems.push(`${got} of ${size} bytes came`);
    if (most - from > 64) problems.push(`memory grew by ${(most - from).toFixed(0)} MB`);
    if (canLook && looks < 4) problems.push("no checks while the reader was paused");
    await atRest({ dispatchers: [client], server, problems });
    const mostHeldKB = Math.round(mostHeld / 1024);
    return { pauses, grownMB: Math.round(most - from), looks, mostHeldKB };
  },
};

/** R9 */
const crowd = {
  title: "concurrent requests, over few connections and over one each",
  counts: { short: 400, full: 10_000 },
  async run({ dodici, server, count, progress, problems }) {
    const figures = {};
    for (const connections of [Math.ceil(count / 20), null]) {
      const pool = new dodici.Pool(base(server), { connections });
      const asked = Array.from({ length: count }, (_, index) => {
        const handler = new Counted(problems);
        pool.dispatch({ path: `/ok/${index}`, method: "GET" }, handler);
        return handler;
      });
      const most = pool.stats.size;
      let index = 0;
      for (const handler of asked) {
        const { error, text } = await handler.done;
        const path = `/ok/${index++}`;
        if (error !== null) problems.push(`${path}: ${error.code} ${error.message}`);
        else if (text !== path) problems.push(`${path} was answered with ${text}`);
        progress(index, count);
      }
      if (most !== count) problems.push(`${most} of ${count} were in flight at the same time`);
      figures[connections === null ? "aConnectionEach" : "shared"] = count;
      await atRest({ dispatchers: [pool], server, problems });
    }
    return figures;
  },
};

/** All gates, by their names on the command line. */
/** Ways to use a response; `undefined`: none, and it is dropped. */
const READERS = {
  text: (response) => response.text(),
  arrayBuffer: (response) => response.arrayBuffer(),
  async stream(response) {
    for await (const _ of response.body);
  },
  async "first chunk"(response) {
    for await (const _ of response.body) break;
  },
  async clone(response) {
    await Promise.all([response.clone().text(), response.text()]);
  },
  cancel: (response) => response.body.cancel(),
  nothing: () => undefined,
};

/** R10, R13 */
const fetches = {
  title: "fetches with random aborts and unread bodies: each settles, nothing is left behind",
  counts: { short: 1000, full: 100_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    const dispatcher = new dodici.Agent({ connections: 32 });
    const url = base(server);
    const names = Object.keys(READERS);
    const figures = { aborted: 0, ...Object.fromEntries(names.map((name) => [name, 0])) };
    let fromHeap;
    await repeat(count, 64, progress, async (index) => {
      const path = pick(random, ["/ok/f", "/close", "/large/300000", "/half", "/hang"]);
      const endless = path === "/half" || path === "/hang";
      const aborts = endless || random() < 0.5;
      const controller = new AbortController();
      const abort = () => controller.abort();
      if (aborts) random() < 0.3 ? queueMicrotask(abort) : setTimeout(abort, random() * 10);
      const init = { dispatcher, ...(aborts && { signal: controller.signal }) };
      const name = pick(random, names);
      try {
        await READERS[name](await dodici.fetch(url + path, init));
        figures[name]++;
      } catch (error) {
        figures.aborted++;
        const isOurs = aborts && error === controller.signal.reason;
        if (!isOurs && problems.length < 10) problems.push(`${path} ${name}: ${error.stack}`);
      }
      if (index === Math.floor(count / 5)) fromHeap = heap();
    });
    // An unread response ends when it is collected.
    const settled = await eventually(() => {
      globalThis.gc?.();
      return Object.values(dispatcher.stats).every(({ size }) => size === 0);
    });
    if (!settled) problems.push(`left: ${JSON.stringify(dispatcher.stats)}`);
    for (const name of ["aborted", ...names]) {
      if (figures[name] === 0) problems.push(`the run proves nothing about: ${name}`);
    }
    if (dodici.counters().fetchesByPeer > 0) problems.push("undici's fetch served some");
    const grown = heap() - fromHeap;
    if (grown > 4) problems.push(`the heap grew by ${grown.toFixed(1)} MB`);
    await atRest({ dispatchers: [dispatcher], server, problems });
    return { ...figures, grownHeapMB: Math.round(grown) };
  },
};

export const gates = {
  ...{ crowd, origins, race, poison, aborts, garbage, fetches, timeouts, backpressure },
};
