// NODE_DEBUG=dodici: a line for each event of a connection and of a request, and none without it.

import { execFile } from 'node:child_process';

import { afterEach, describe, expect, it } from 'vitest';

import { built } from '../support/child';
import { httpOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const program = `
  const { Client } = require(${JSON.stringify(built)});
  const [origin, nobody] = process.argv.slice(1);
  const headers = { authorization: 'Bearer of-nobody' };
  const run = async () => {
    const client = new Client(origin);
    const options = { path: '/a?token=of-nobody', method: 'POST', body: 'of-nobody', headers };
    await (await client.request(options)).body.text();
    await client.request({ path: '/broken', method: 'POST', body: 'x' }).catch(() => {});
    await client.close();
    const refused = new Client(nobody);
    await refused.request({ path: '/', method: 'GET' }).catch(() => {});
    await refused.close();
  };
  run();
`;

async function stderrOf(debug: string): Promise<string> {
  const origin = await httpOrigin((request, response) => {
    if (request.url === '/broken') request.socket.destroy();
    else response.end('of-nobody');
  });
  cleanup.add(() => origin.close());
  const nobody = await httpOrigin(() => {});
  await nobody.close();
  const text = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      ['-e', program, origin.url, nobody.url],
      { encoding: 'utf8', env: { ...process.env, NODE_DEBUG: debug } },
      (error, _stdout, stderr) => {
        if (error === null) resolve(stderr);
        else reject(new Error(stderr, { cause: error }));
      },
    );
  });
  return text
    .replaceAll(new URL(origin.url).port, 'PORT')
    .replaceAll(new URL(nobody.url).port, 'CLOSED')
    .replaceAll(/\b\d+ ms\b/g, 'TIME');
}

describe('NODE_DEBUG=dodici', () => {
  it('writes a line per event, without anything that may be secret', async () => {
    const lines = (await stderrOf('dodici'))
      .split('\n')
      .filter((line) => line.startsWith('DODICI'))
      .map((line) => line.replace(/^DODICI \d+: /, ''));
    const about = (start: string) => lines.filter((line) => line.startsWith(start));
    const post = 'request 1: POST http://localhost:PORT/a?…:';
    expect(about('request 1')).toEqual([
      `${post} dispatched`,
      `${post} sent`,
      `${post} status 200`,
      `${post} completed`,
    ]);
    const broken = 'request 2: POST http://localhost:PORT/broken:';
    expect(about('request 2')).toEqual([
      `${broken} dispatched`,
      `${broken} sent`,
      `${broken} failed: other side closed`,
    ]);
    expect(about('http://localhost:PORT')).toEqual([
      'http://localhost:PORT: connecting',
      'http://localhost:PORT: connection 1: connected to 127.0.0.1 port PORT (h1, TIME)',
      'http://localhost:PORT: connection 1: ended: peer closed (requests: 1, TIME)',
    ]);
    expect(about('http://localhost:CLOSED')).toEqual([
      'http://localhost:CLOSED: connecting',
      expect.stringMatching(/^http:\/\/localhost:CLOSED: not connected: .*ECONNREFUSED/),
    ]);
    expect(lines.join('\n')).not.toContain('of-nobody');
  });

  it('writes nothing for another name', async () => {
    expect(await stderrOf('fetch')).not.toContain('DODICI');
  });
});
