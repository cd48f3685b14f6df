// Gates about connections: many of them, many origins, and what a server does between requests.
import {
  atRest,
  base,
  Counted,
  eventually,
  heap,
  memory,
  openFiles,
  pick,
  repeat,
  turn,
} from "../lib.mjs";

/** R9 */
export const crowd = {
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
        else if (text !== path) problems.push(`${path} got ${text}`);
        progress(index, count);
      }
      if (most !== count) problems.push(`${most} of ${count} were in flight at the same time`);
      figures[connections === null ? "aConnectionEach" : "shared"] = count;
      await atRest({ dispatchers: [pool], server, problems });
    }
    return figures;
  },
};

/** S14 */
export const origins = {
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
export const race = {
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
        if (text !== path) problems.push(`${path} got ${text}`);
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
export const poison = {
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
