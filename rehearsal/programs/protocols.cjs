// A user's program: a request to each of the origins, whose certificates a file vouches for, and one to a
// Unix socket beside it. It prints what scripts/release/systems.mjs compares.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const { Agent, counters, request } = require('dodici');

async function main() {
  const ca = readFileSync(join(__dirname, 'ca.pem'));
  const socketPath = join(__dirname, 'socket');
  const urls = JSON.parse(process.env.ORIGINS);
  const origins = {
    'http://socket.test': { connect: { socketPath } },
    [new URL(urls['HTTP/3']).origin]: { h3: 'prior-knowledge' },
  };
  const dispatcher = new Agent({ allowH2: true, connect: { ca }, origins });
  let protocol;
  dispatcher.on('connect', (_origin, _targets, info) => (protocol = info?.protocol));
  for (const [name, origin] of Object.entries(urls)) {
    const before = counters().submissions;
    const { statusCode, body } = await request(origin, { dispatcher });
    const text = await body.text();
    const by = counters().submissions > before ? 'by the engine' : 'by undici';
    console.log(`${name}: ${statusCode} ${by} over ${protocol} ${text}`);
  }
  const { glibcVersionRuntime } = process.report.getReport().header;
  const libc = glibcVersionRuntime ? `glibc ${glibcVersionRuntime}` : 'musl';
  console.log(`Node ${process.version} ${process.platform} ${process.arch}, ${libc}`);
}

main().catch((error) => console.log(error.code, error.message));
