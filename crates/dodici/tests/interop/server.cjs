// Node's own HTTP/2 server, for h2.rs: node server.cjs PORT KEY CERT
//
// GET /bytes/N sends so many bytes, POST /echo sends the body back, PUT /count says in x-count how
// long it was. Every answer has trailers: the request's, or x-sum with the number of bytes.
const { readFileSync } = require('node:fs');
const http2 = require('node:http2');

const [port, key, cert] = process.argv.slice(2);
const server = http2.createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) });
const chunk = Buffer.alloc(64 * 1024, 'x');

server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  let trailers;
  let sum = 0;
  stream.on('trailers', (fields) => (trailers = { ...fields }));
  const respond = (fields) =>
    stream.respond({ ':status': 200, ...fields }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? { 'x-sum': String(sum) }));
  const bytes = /^\/bytes\/(\d+)$/.exec(headers[':path']);
  if (bytes) {
    respond();
    let left = Number(bytes[1]);
    const more = () => {
      let goesOn = true;
      while (left > 0 && goesOn) {
        const size = Math.min(left, chunk.length);
        left -= size;
        sum += size;
        goesOn = stream.write(chunk.subarray(0, size));
      }
      if (left > 0) stream.once('drain', more);
      else stream.end();
    };
    more();
  } else if (headers[':path'] === '/count') {
    stream.on('data', (data) => (sum += data.length));
    stream.on('end', () => {
      respond({ 'x-count': sum });
      stream.end();
    });
  } else {
    respond();
    stream.on('data', (data) => (sum += data.length));
    stream.pipe(stream);
  }
});
server.listen(Number(port), '127.0.0.1');
