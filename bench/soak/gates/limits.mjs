// Gates about limits: timeouts, and the memory of a paused reader.
import {
  atRest,
  base,
  Counted,
  eventually,
  fillBacklog,
  kernelHolds,
  memory,
  turn,
} from "../lib.mjs";

/** Keeps the thread busy. @param {number} milliseconds */
function block(milliseconds) {
  for (const ends = performance.now() + milliseconds; performance.now() < ends;);
}

/** R16 */
export const timeouts = {
  title: "timeouts are accurate, even while the JavaScript thread is blocked",
  counts: { short: 1, full: 20 },
  async run({ dodici, server, count, progress, problems }) {
    const url = base(server);
    const { deaf } = server.place;
    const backlog = await fillBacklog(deaf);
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
    for (const socket of backlog) socket.destroy();
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
export const backpressure = {
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
