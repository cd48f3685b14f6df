// install() in separate processes, where nothing has touched Node's fetch yet: Node's built-in
// fetch of whatever Node runs the tests (`fetch` in the bodies), over the engine, over the peer's own
// class, and over every dispatcher of undici's; and what it puts on globalThis.
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
    const { fetch, FormData } = globalThis;
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

  it('accepts our dispatcher for one call', () => {
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

  it('is restored by uninstall()', () => {
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
  it('a per-origin limit applies to Node’s fetch', () => {
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

/** `install()` with each kind of dispatcher of `from` (an expression), one after the other. */
const everyKind = (from: string) => `
  const from = ${from};
  const mockAgent = () => {
    const mock = new from.MockAgent();
    mock.get(url).intercept({ path: '/x' }).reply(200, 'mock').persist();
    return mock;
  };
  const makers = {
    Agent: () => new from.Agent(),
    Pool: () => new from.Pool(url),
    Client: () => new from.Client(url),
    BalancedPool: () => new from.BalancedPool(url),
    RetryAgent: () => new from.RetryAgent(new from.Agent()),
    EnvHttpProxyAgent: () => new from.EnvHttpProxyAgent(),
    'composed Agent': () => new from.Agent().compose(from.interceptors.redirect()),
    'composed EnvHttpProxyAgent': () =>
      new from.EnvHttpProxyAgent().compose(from.interceptors.retry()),
    'composed twice': () =>
      new from.Agent().compose(from.interceptors.retry()).compose(from.interceptors.redirect()),
    MockAgent: mockAgent,
    'subclass that decorates': () => {
      class Decorating extends from.Agent {
        dispatch(options, handler) {
          return super.dispatch(options, new from.DecoratorHandler(handler));
        }
      }
      return new Decorating();
    },
  };
  const got = {};
  for (const [name, make] of Object.entries(makers)) {
    const { dispatcher, uninstall } = dodici.install(make());
    for (const [how, call] of Object.entries({ nodes: fetch, installed: globalThis.fetch })) {
      const response = await call(url + '/x', { method: 'POST', body: 'sent', signal: AbortSignal.timeout(10_000) })
        .then((response) => response.text(), (error) => String(error.cause ?? error));
      if (!(response === '/x sent' || (name === 'MockAgent' && /mock|intercept/i.test(response)))) {
        got[name + ', ' + how] = response;
      }
    }
    const method = name === 'MockAgent' ? 'GET' : 'POST';
    const text = await fetch(url + '/x', { method, signal: AbortSignal.timeout(10_000) })
      .then((response) => response.text(), (error) => String(error.cause ?? error));
    if (text !== (method === 'GET' ? 'mock' : '/x ')) got[name] = text;
    uninstall();
    await dispatcher.close();
  }
  return got;`;

describe('any dispatcher of undici serves Node’s fetch', () => {
  it.each([
    ['undici', 'peer'],
    ['this package', 'dodici'],
    ['another copy of undici 7', `require('undici7')`],
    // Needs a newer Node.
    ...(process.versions.node.startsWith('20.')
      ? []
      : [['another copy of undici 8', `require('./node_modules/undici/index.js')`]]),
  ])('that is made of the classes of %s', (_from, expression) => {
    expect(inProcess('{}', everyKind(expression))).toEqual({});
  });
});

const NAMES = `const names = ['fetch', 'Headers', 'Response', 'Request', 'FormData', 'WebSocket',
  'CloseEvent', 'ErrorEvent', 'MessageEvent', 'EventSource'];
  const now = () => names.map((name) => globalThis[name]);`;

describe('what install() sets on globalThis', () => {
  it('is what undici’s own install() sets, and uninstall() restores all of it', () => {
    expect(
      inProcess(
        '{}',
        `${NAMES}
        const before = now();
        const { uninstall } = dodici.install();
        const missing = names.filter((name) => globalThis[name] !== dodici[name]);
        const request = new Request(url + '/request', { method: 'POST', body: 'text' });
        const text = await (await globalThis.fetch(request)).text();
        uninstall();
        const changed = names.filter((name, index) => globalThis[name] !== before[index]);
        return [missing, text, changed, typeof dodici.WebSocket, names.filter((name) => before[names.indexOf(name)] === undefined && name in globalThis)];`,
      ),
    ).toEqual([[], '/request text', [], 'function', []]);
  });

  it('is fetch of this package, with the classes that its responses are of', () => {
    expect(
      inProcess(
        '{}',
        `const before = globalThis.Response;
        const { uninstall } = dodici.install();
        const response = await globalThis.fetch(url + '/x');
        const isOurs = [response instanceof Response, Response !== before, response.constructor === Response];
        const { fetches, fetchesByPeer } = dodici.counters();
        uninstall();
        return [...isOurs, await response.text(), fetches, fetchesByPeer];`,
      ),
    ).toEqual([true, true, true, '/x ', 1, 0]);
  });

  it('leaves Node’s fetch where it is, over the dispatcher, with `fetch: false`', () => {
    expect(
      inProcess(
        '{}',
        `${NAMES}
        const before = now();
        const { uninstall } = dodici.install({ fetch: false, connections: 1 });
        const kept = names.slice(0, 5).filter((name, index) => globalThis[name] === before[index]);
        const { submissions } = dodici.counters();
        const text = await (await globalThis.fetch(url + '/x')).text();
        const isEngines = dodici.counters().submissions > submissions;
        uninstall();
        const wrong = (() => { try { dodici.install({ fetch: 1 }) } catch (error) { return error.message } })();
        return [kept.length, text, isEngines, dodici.counters().fetches, wrong];`,
      ),
    ).toEqual([5, '/x ', true, 0, 'fetch must be a boolean']);
  });

  it('leaves a fetch that is not Node’s alone, and its classes', () => {
    expect(
      inProcess(
        '{}',
        `${NAMES}
        const before = now();
        const mock = (...given) => fetch(...given);
        globalThis.fetch = mock;
        const { uninstall } = dodici.install();
        const kept = names.slice(0, 5).filter((name, index) => globalThis[name] === (index === 0 ? mock : before[index]));
        const { submissions } = dodici.counters();
        const text = await (await globalThis.fetch(new Request(url + '/x'))).text();
        const isEngines = dodici.counters().submissions > submissions;
        uninstall();
        return [kept.length, text, isEngines, globalThis.fetch === mock, globalThis.WebSocket === before[5]];`,
      ),
    ).toEqual([5, '/x ', true, true, true]);
  });

  it.each([
    ['012', [2, 2, 'none']],
    ['021', [2, 1, 'none']],
    ['102', [2, 2, 'none']],
    ['120', [2, 0, 'none']],
    ['201', [1, 1, 'none']],
    ['210', [1, 0, 'none']],
  ])('goes in any order: undone as %s', (order, expected) => {
    expect(
      inProcess(
        '{}',
        `${NAMES}
        const before = now();
        const original = dodici.getGlobalDispatcher();
        const agents = [new dodici.Agent(), new dodici.Agent(), new dodici.Agent()];
        const installed = agents.map((agent) => dodici.install(agent));
        const served = agents.map(() => 0);
        agents.forEach((agent, index) => agent.on('connect', () => served[index]++));
        const seen = [];
        for (const index of ${JSON.stringify([...order].map(Number))}) {
          installed[index].uninstall();
          installed[index].uninstall();
          served.fill(0);
          await (await fetch(url + '/x', { headers: { connection: 'close' } })).text();
          seen.push(served.indexOf(1) === -1 ? 'none' : served.indexOf(1));
        }
        const isBack = now().every((value, index) => value === before[index]);
        return [seen, isBack, dodici.getGlobalDispatcher() === original];`,
      ),
    ).toEqual([expected, true, true]);
  });

  it('is left alone if it was replaced since', () => {
    expect(
      inProcess(
        '{}',
        `
        const { uninstall } = dodici.install();
        const own = new dodici.Agent();
        dodici.setGlobalDispatcher(own);
        const fake = () => 'fake';
        globalThis.fetch = fake;
        uninstall();
        return [dodici.getGlobalDispatcher() === own, globalThis.fetch === fake];`,
      ),
    ).toEqual([true, true]);
  });

  it.each(['5', 'true', '"http://localhost"', 'Symbol.iterator', '() => {}'])(
    'is nothing for install(%s), which is refused',
    (argument) => {
      expect(
        inProcess(
          '{}',
          `${NAMES}
          const before = [...now(), dodici.getGlobalDispatcher()];
          let error;
          try { dodici.install(${argument}); } catch (thrown) { error = thrown; }
          const after = [...now(), dodici.getGlobalDispatcher()];
          return [error instanceof dodici.errors.InvalidArgumentError, before.every((one, index) => one === after[index])];`,
        ),
      ).toEqual([true, true]);
    },
  );
});
