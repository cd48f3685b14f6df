// Gates about the ends of requests: aborts, unread bodies, and what is collected afterwards.
import {
  atRest,
  base,
  Counted,
  eventually,
  fillBacklog,
  heap,
  pick,
  repeat,
  turn,
} from "../lib.mjs";

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
export const aborts = {
  title: "aborts in every phase: no late callback, nothing left behind",
  counts: { short: 1500, full: 100_000 },
  async run({ dodici, server, count, random, progress, problems }) {
    const { port, deaf, mute } = server.place;
    const backlog = await fillBacklog(deaf);
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
    for (const socket of backlog) socket.destroy();
    for (const pool of [pools.deaf, pools.mute]) {
      if (pool.stats.size !== 0) problems.push(`counters: ${JSON.stringify(pool.stats)}`);
      await pool.destroy();
    }
    await atRest({ dispatchers: [narrow, wide, pools.agent], server, problems });
    return { ...figures, connections };
  },
};

/** R13 */
export const garbage = {
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
export const fetches = {
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
