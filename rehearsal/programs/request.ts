// A user's program: one request and one fetch. It prints what run.mjs compares.
import { Agent, counters, type AgentOptions, fetch, request } from 'dodici';
import type { Dispatcher } from 'undici';

const options: AgentOptions = { origins: { '*': { maxIdleConnections: 2 } } };
const dispatcher: Dispatcher = new Agent(options);
const origin: string = process.env['ORIGIN'] ?? '';

async function main(): Promise<void> {
  const { statusCode, body } = await request(origin, { dispatcher });
  const response = await fetch(origin, { dispatcher });
  const { submissions, fetches, fetchesByPeer } = counters();
  console.log(statusCode, await body.text(), response.status, await response.text());
  console.log(submissions > 0 ? 'by the engine' : 'by undici', fetchesByPeer, 'of', fetches);
  await dispatcher.close();
}

void main();
