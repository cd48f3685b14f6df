// A user's program: one request and one fetch. It prints what run.mjs compares.
const { counters, fetch, request } = require('dodici');

async function main() {
  const { statusCode, body } = await request(process.env.ORIGIN);
  const response = await fetch(process.env.ORIGIN);
  const { submissions, fetches, fetchesByPeer } = counters();
  console.log(statusCode, await body.text(), response.status, await response.text());
  console.log(submissions > 0 ? 'by the engine' : 'by undici', fetchesByPeer, 'of', fetches);
}

main().catch((error) => console.log(error.code, error.message));
