// install() in processes of their own, where nothing has touched Node's fetch yet: Node's built-in
// fetch of whatever Node runs the tests, over the engine and over the peer's own class.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { httpOrigin } from '../support/servers';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Runs `body` in a new process with an origin at `url`; what it returns comes back through JSON.
 * The process must end by itself, although nothing closes the dispatcher.
 */
function inProcess(options: string, body: string): unknown {
  const script = `
    const dodici = require(${JSON.stringify(join(root, 'dist/index.js'))});
    const peer = require('undici');
    const options = ${options};
    const server = require('node:http').createServer(async (request, response) => {
      if (request.url === '/redirect') return response.writeHead(302, { location: '/target' }).end();
      if (request.url === '/hang') return response.writeHead(200).write('started');
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      response.setHeader('X-Method', request.method);
      response.setHeader('Set-Cookie', ['a=1', 'b=2']);
      response.end(request.url + ' ' + Buffer.concat(chunks));
    });
    const watch = (agent) => {
      const seen = { connect: 0, first: false };
      agent.on('connect', (_url, targets) => { seen.connect += 1; seen.first = targets[0] === agent; });
      return seen;
    };
    server.listen(0, '127.0.0.1', async () => {
      const url = 'http://127.0.0.1:' + server.address().port;
      const main = async () => { ${body} };
      console.log(JSON.stringify(await main()));
      server.close();
      server.closeAllConnections();
    });`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    timeout: 25_000,
  });
  expect({ stderr: stderr.replace(/^\(node:.*\n|^\(Use `node.*\n/gm, ''), status }).toEqual({
    stderr: '',
    status: 0,
  });
  return JSON.parse(stdout);
}

describe.each([
  ['the engine', '{}'],
  ['the peer’s own class', '{ connect: dodici.buildConnector({}) }'],
])('Node’s fetch over %s', (_name, options) => {
  it.each([
    ['before its first use', ''],
    ['after its first use', `await (await fetch(url + '/warm')).text();`],
  ])('is served when install() is called %s', (_when, warm) => {
    expect(
      inProcess(
        options,
        `
        ${warm}
        const agent = new dodici.Agent(options);
        const seen = watch(agent);
        dodici.install(agent);
        const texts = [];
        for (const path of ['/1', '/2']) texts.push(await (await fetch(url + path)).text());
        texts.push(await (await peer.fetch(url + '/3')).text());
        texts.push(await (await peer.request(url + '/4')).body.text());
        texts.push(await (await dodici.request(url + '/5')).body.text());
        return [texts, seen.connect > 0, seen.first];`,
      ),
    ).toEqual([['/1 ', '/2 ', '/3 ', '/4 ', '/5 '], true, true]);
  });

  it('sends bodies, follows redirects and reads headers', () => {
    expect(
      inProcess(
        options,
        `
        dodici.install(options);
        const post = await fetch(url + '/post', { method: 'POST', body: 'text' });
        const stream = await fetch(url + '/stream', {
          method: 'PUT', duplex: 'half',
          body: new ReadableStream({ start(c) { c.enqueue(Buffer.from('stre')); c.enqueue(Buffer.from('am')); c.close(); } }),
        });
        const form = new FormData();
        form.set('field', 'value');
        const sent = await fetch(url + '/form', { method: 'POST', body: form });
        const redirected = await fetch(url + '/redirect');
        return [
          await post.text(), post.headers.get('x-method'), post.headers.getSetCookie(),
          await stream.text(), (await sent.text()).includes('value'),
          redirected.url === url + '/target', redirected.redirected, await redirected.text(),
        ];`,
      ),
    ).toEqual([
      '/post text',
      'POST',
      ['a=1', 'b=2'],
      '/stream stream',
      true,
      true,
      true,
      '/target ',
    ]);
  });

  it('aborts with the reason of the signal', () => {
    expect(
      inProcess(
        options,
        `
        dodici.install(options);
        const before = AbortSignal.abort(new Error('too late'));
        const first = await fetch(url + '/1', { signal: before }).catch((error) => error.message);
        const controller = new AbortController();
        const response = await fetch(url + '/hang', { signal: controller.signal });
        const text = response.text().catch((error) => error.message);
        controller.abort(new Error('enough'));
        return [first, await text];`,
      ),
    ).toEqual(['too late', 'enough']);
  });

  it('reports a refused connection as Node does', () => {
    expect(
      inProcess(
        options,
        `
        dodici.install(options);
        const port = await new Promise((resolve) => {
          const free = require('node:net').createServer().listen(0, '127.0.0.1', () => {
            const { port } = free.address();
            free.close(() => resolve(port));
          });
        });
        const error = await fetch('http://127.0.0.1:' + port).catch((error) => error);
        const { code, syscall, address } = error.cause;
        return [error.name, error.message, code, syscall, address, error.cause.port === port];`,
      ),
    ).toEqual(['TypeError', 'fetch failed', 'ECONNREFUSED', 'connect', '127.0.0.1', true]);
  });

  it('takes a dispatcher of ours for one call', () => {
    expect(
      inProcess(
        options,
        `
        const agent = new dodici.Agent(options);
        const seen = watch(agent);
        const text = await (await fetch(url + '/once', { dispatcher: agent })).text();
        return [text, seen.connect];`,
      ),
    ).toEqual(['/once ', 1]);
  });

  it('works through interceptors', () => {
    expect(
      inProcess(
        options,
        `
        const agent = new dodici.Agent(options);
        dodici.install(agent.compose(dodici.interceptors.retry(), dodici.interceptors.redirect({ maxRedirections: 1 })));
        return (await fetch(url + '/composed')).text();`,
      ),
    ).toBe('/composed ');
  });

  it('goes back to what it was after uninstall()', () => {
    expect(
      inProcess(
        options,
        `
        const agent = new dodici.Agent(options);
        const seen = watch(agent);
        const installed = dodici.install(agent);
        installed.uninstall();
        const text = await (await fetch(url + '/back')).text();
        return [text, seen.connect];`,
      ),
    ).toEqual(['/back ', 0]);
  });
});

describe('over the engine', () => {
  it('a limit for one origin holds for Node’s fetch', () => {
    expect(
      inProcess(
        '{}',
        `
        const { dispatcher } = dodici.install({ origins: { [url]: { connections: 2 } } });
        const seen = watch(dispatcher);
        const paths = Array.from({ length: 10 }, (_, index) => '/' + index);
        const texts = await Promise.all(paths.map(async (path) => (await fetch(url + path)).text()));
        return [texts.length, seen.connect, dispatcher.stats[url].connected];`,
      ),
    ).toEqual([10, 2, 2]);
  });

  it('works in a worker', () => {
    expect(
      inProcess(
        '{}',
        `
        const { Worker } = require('node:worker_threads');
        const worker = new Worker(
          \`const { parentPort, workerData } = require('node:worker_threads');
            const dodici = require(workerData.path);
            dodici.install();
            fetch(workerData.url + '/worker').then((r) => r.text()).then((t) => parentPort.postMessage(t));\`,
          { eval: true, workerData: { url, path: ${JSON.stringify(join(root, 'dist/index.js'))} } },
        );
        const exited = new Promise((resolve) => worker.once('exit', resolve));
        const text = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        const code = await exited;
        return [text, code];`,
      ),
    ).toEqual(['/worker ', 0]);
  });

  it('serves ES modules', () => {
    const script = `
      import { createServer } from 'node:http';
      import dodici, { install, request } from ${JSON.stringify(join(root, 'dist/index.mjs'))};
      const server = createServer((_request, response) => response.end('esm')).listen(0, '127.0.0.1', async () => {
        const url = 'http://127.0.0.1:' + server.address().port;
        install();
        console.log(await (await fetch(url)).text(), await (await request(url)).body.text(), dodici.install === install);
        server.close();
        server.closeAllConnections();
      });`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 25_000,
    });
    expect([stdout.trim(), status]).toEqual(['esm esm true', 0]);
  });
});

describe.runIf(process.allowedNodeEnvironmentFlags.has('--use-env-proxy'))(
  'where Node’s fetch uses the proxies of the environment',
  () => {
    for (const [name, use, options, expected] of [
      ['they stay in use', '1', '', ['by proxy', 'by proxy', 'by proxy', 'by proxy']],
      [
        'they stay in use beside options',
        '1',
        '{ connections: 1 }',
        ['by proxy', 'by proxy', 'by proxy', 'by proxy'],
      ],
      ['nothing else makes them used', '', '', ['direct', 'direct', 'direct', 'direct']],
      [
        'a dispatcher that is given goes before',
        '1',
        'new dodici.Agent()',
        ['by proxy', 'direct', 'direct', 'direct'],
      ],
    ] as const) {
      it(name, async () => {
        const direct = await httpOrigin((_request, response) => response.end('direct'));
        const proxy = await httpOrigin((_request, response) => response.end('by proxy'));
        proxy.server.on('connect', (_request, socket: Socket) => {
          socket.on('error', () => {});
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          socket.once('data', () =>
            socket.end('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nby proxy'),
          );
        });
        const script = `
          const dodici = require(${JSON.stringify(join(root, 'dist/index.js'))});
          const url = ${JSON.stringify(direct.url.replace('localhost', '127.0.0.1'))};
          const get = async (call) => {
            const answer = await call(url);
            return answer.text ? answer.text() : answer.body.text();
          };
          (async () => {
            const before = await get(fetch);
            const { uninstall } = dodici.install(${options});
            const seen = [before, await get(fetch), await get(dodici.fetch), await get(dodici.request)];
            uninstall();
            console.log(JSON.stringify([...seen, (await get(fetch)) === before]));
            process.exit(0);
          })();`;
        const env = {
          ...process.env,
          NODE_USE_ENV_PROXY: use,
          HTTP_PROXY: proxy.url,
          HTTPS_PROXY: proxy.url,
          NO_PROXY: '',
          no_proxy: '',
        };
        const child = spawn(process.execPath, ['-e', script], { env });
        const [stdout] = await Promise.all([text(child.stdout), once(child, 'close')]);
        await Promise.all([direct.close(), proxy.close()]);
        expect(JSON.parse(stdout)).toEqual([...expected, true]);
      });
    }
  },
);
