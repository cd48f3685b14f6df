// The server of the gates, in its own process, so that a blocked client does not block it
// and its memory does not count. The first segment of the path selects the behaviour.
import { createServer as createTcpServer } from "node:net";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

if (isMainThread) main();
else deaf();

/** How often each POST was executed, by its id. */
const executed = new Map();
const sockets = new Set();

/** How late clients gave up, in milliseconds. */
let late = [];

/** `/<what>/<milliseconds>`: the client should end the connection after that time. */
function expectEnd(socket, path) {
  const limit = Number(path.split("/")[2]);
  if (Number.isNaN(limit)) return;
  const from = performance.now();
  socket.once("close", () => late.push(performance.now() - from - limit));
}

function answer(socket, body, more = "") {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}${more}`);
}

const ACTS = {
  ok: (socket, path) => answer(socket, path),
  close: (socket, path) =>
    socket.end(
      `HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${path.length}\r\n\r\n${path}`,
    ),
  /** `/hang/<milliseconds>`: waits for the client to give up, which it should after that time. */
  hang: expectEnd,
  /** `/race/<id>/<microseconds>`: answers, and closes after that time. */
  race(socket, path) {
    answer(socket, path);
    const wait = Number(path.split("/")[3]) / 1000;
    if (wait === 0) socket.end();
    else setTimeout(() => socket.end(), wait);
  },
  /** Responds twice: in one segment, in two, or after a delay in milliseconds. */
  poison(socket, path) {
    const [, , id, how] = path.split("/");
    const evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    const sent = () => process.send({ poisoned: id });
    if (how === "same") {
      answer(socket, path, evil);
      sent();
      return;
    }
    answer(socket, path);
    if (how === "next") socket.write(evil, sent);
    else setTimeout(() => (socket.destroyed ? sent() : socket.write(evil, sent)), Number(how));
  },
  /** `/half/<milliseconds>`: a head and a part of the body, then as `/hang`. */
  half(socket, path) {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    expectEnd(socket, path);
  },
  /** `/large/<bytes>` */
  large(socket, path) {
    const size = Number(path.split("/")[2]);
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    const block = Buffer.alloc(64 * 1024, "x");
    let left = size;
    const more = () => {
      while (left > 0 && !socket.destroyed) {
        const part = left < block.length ? block.subarray(0, left) : block;
        left -= part.length;
        if (!socket.write(part)) return;
      }
      socket.off("drain", more);
    };
    socket.on("drain", more);
    more();
  },
};

function onSocket(socket) {
  sockets.add(socket);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
  let text = "";
  let skip = 0;
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (;;) {
      if (skip > 0) {
        const dropped = Math.min(skip, text.length);
        skip -= dropped;
        text = text.slice(dropped);
        if (skip > 0) return;
      }
      const end = text.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = text.slice(0, end);
      text = text.slice(end + 4);
      skip = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const [method, path] = head.split(" ", 2);
      const [, act, id] = path.split("/");
      if (method === "POST") executed.set(id, (executed.get(id) ?? 0) + 1);
      ACTS[act](socket, path);
    }
  });
}

function main() {
  const server = createTcpServer(onSocket);
  const mute = createTcpServer((socket) => socket.on("error", () => {}));
  const worker = new Worker(new URL(import.meta.url));
  worker.once("message", (deafPort) => {
    // All addresses, because every address of 127.0.0.0/8 is a separate origin.
    server.listen({ port: 0, host: "0.0.0.0", backlog: 4096 }, () =>
      mute.listen(0, "127.0.0.1", () =>
        process.send({ port: server.address().port, mute: mute.address().port, deaf: deafPort }),
      ),
    );
  });
  process.on("message", (message) => {
    if (message === "connections") process.send({ connections: sockets.size });
    else if (message === "executed") {
      const twice = [...executed].filter(([, times]) => times > 1).map(([id]) => id);
      process.send({ posts: executed.size, twice });
      executed.clear();
    } else if (message === "late") {
      process.send({ late });
      late = [];
    } else if (message === "sent") {
      const written = [...sockets].map((socket) => socket.bytesWritten - socket.writableLength);
      process.send({ sent: written.reduce((sum, bytes) => sum + bytes, 0) });
    }
  });
  process.on("disconnect", () => process.exit());
}

/** Listens but never accepts: once its backlog is full, a connect gets no answer. */
function deaf() {
  const server = createTcpServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
}
