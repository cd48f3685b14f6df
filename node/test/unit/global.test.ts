// The dispatcher of the top-level functions, and the effects of importing and installing.
// Each case runs in a separate process, because globals are per process.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs `body` with helpers in scope; returns its result through JSON. */
function inProcess(body: string): unknown {
  const script = `
    const SYMBOLS = [1, 2].map((n) => Symbol.for('undici.globalDispatcher.' + n));
    const globals = () => SYMBOLS.map((symbol) => globalThis[symbol]);
    const peer = require('undici');
    /** A dispatcher that responds with its name and records the requests. */
    const scripted = (name) => new (class extends peer.Dispatcher {
      seen = [];
      close() { return Promise.resolve(); }
      destroy() { return Promise.resolve(); }
      dispatch(options, handler) {
        this.seen.push(options.method + ' ' + options.origin + options.path);
        const isNew = typeof handler.onRequestStart === 'function';
        setImmediate(() => {
          if (isNew) {
            const controller = { abort() {}, pause() {}, resume() {}, rawHeaders: [], rawTrailers: [] };
            handler.onRequestStart(controller, {});
            handler.onResponseStart(controller, 200, {}, 'OK');
            handler.onResponseData(controller, Buffer.from(name));
            handler.onResponseEnd(controller, {});
          } else {
            handler.onConnect(() => {});
            handler.onHeaders(200, [], () => {}, 'OK');
            handler.onData(Buffer.from(name));
            handler.onComplete([]);
          }
        });
        return true;
      }
    })();
    const main = async () => { ${body} };
    main().then((value) => console.log(JSON.stringify(value)), (error) => { console.error(error); process.exit(1); });`;
  const output = execFileSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  return JSON.parse(output);
}

const LOAD = `const dodici = require(${JSON.stringify(join(root, 'dist/index.js'))});`;

describe('importing dodici', () => {
  it('leaves the global dispatcher as it was', () => {
    expect(
      inProcess(`
        const before = globals();
        ${LOAD}
        const after = globals();
        return before.every((dispatcher, index) => dispatcher === after[index]);`),
    ).toBe(true);
  });

  it('makes its own functions use dodici’s Agent', () => {
    expect(
      inProcess(`
        ${LOAD}
        const dispatcher = dodici.getGlobalDispatcher();
        return [dispatcher instanceof dodici.Agent, dispatcher === dodici.getGlobalDispatcher(),
          dispatcher === peer.getGlobalDispatcher()];`),
    ).toEqual([true, true, false]);
  });
});

describe('the top-level functions', () => {
  it('take options.dispatcher first', () => {
    expect(
      inProcess(`
        ${LOAD}
        const dispatcher = scripted('mine');
        const texts = [];
        texts.push(await (await dodici.request('http://a/x?y', { dispatcher })).body.text());
        texts.push(await (await dodici.fetch('http://a/f', { dispatcher })).text());
        await dodici.stream('http://a/s', { dispatcher, opaque: 1 }, () =>
          new (require('node:stream').Writable)({ write(chunk, _e, done) { texts.push(String(chunk)); done(); } }));
        return [texts, dispatcher.seen];`),
    ).toEqual([
      ['mine', 'mine', 'mine'],
      ['GET http://a/x?y', 'GET http://a/f', 'GET http://a/s'],
    ]);
  });

  it.each([
    ['dodici', 'dodici.setGlobalDispatcher(dispatcher);'],
    ['undici', 'peer.setGlobalDispatcher(dispatcher);'],
  ])('take a global dispatcher that was set with %s', (_with, set) => {
    expect(
      inProcess(`
        ${LOAD}
        const dispatcher = scripted('global');
        ${set}
        const a = await (await dodici.request('http://a/1', { method: 'POST', body: 'x' })).body.text();
        const b = await (await dodici.fetch('http://a/2')).text();
        const c = await (await dodici.request({ origin: 'http://a', path: '/3', method: 'PUT' })).body.text();
        const d = await (await dodici.request(new URL('http://a/4'))).body.text();
        const e = await (await peer.request('http://a/5')).body.text();
        return [[a, b, c, d, e], dispatcher.seen];`),
    ).toEqual([
      Array(5).fill('global'),
      ['POST http://a/1', 'GET http://a/2', 'PUT http://a/3', 'GET http://a/4', 'GET http://a/5'],
    ]);
  });

  it('take a mock that was set before the import', () => {
    expect(
      inProcess(`
        const mock = new peer.MockAgent();
        mock.disableNetConnect();
        mock.get('http://a').intercept({ path: '/' }).reply(200, 'mocked');
        peer.setGlobalDispatcher(mock);
        ${LOAD}
        return (await dodici.request('http://a/')).body.text();`),
    ).toBe('mocked');
  });

  it('reject invalid arguments with undici’s messages', () => {
    expect(
      inProcess(`
        ${LOAD}
        const said = (call) => { try { call(); return 'nothing'; } catch (error) { return error.message; } };
        const wrong = [[null], [''], [1], ['http://a', 1], ['http://a', { agent: {} }],
          ['http://a', { path: 1 }], ['ftp://a'], [{ origin: 'http://a', path: 1 }]];
        return wrong.map((args) => said(() => dodici.request(...args)) === said(() => peer.request(...args)));`),
    ).toEqual(Array(8).fill(true));
  });
});

describe('install()', () => {
  it.each([
    ['before the first fetch', ''],
    ['after the first fetch', `await fetch('data:,warm').then((response) => response.text());`],
  ])('%s serves Node’s fetch and the peer', (_when, warm) => {
    expect(
      inProcess(`
        ${warm}
        ${LOAD}
        const dispatcher = scripted('installed');
        const installed = dodici.install(dispatcher);
        const texts = [
          await (await fetch('http://a/node')).text(),
          await (await peer.fetch('http://a/peer')).text(),
          await (await peer.request('http://a/request')).body.text(),
          await (await dodici.request('http://a/dodici')).body.text(),
        ];
        return [texts, installed.dispatcher === dispatcher, globals()[1] === dispatcher];`),
    ).toEqual([Array(4).fill('installed'), true, true]);
  });

  it('creates an Agent with the given options', () => {
    expect(
      inProcess(`
        ${LOAD}
        const { dispatcher } = dodici.install({ connections: 3 });
        return dispatcher instanceof dodici.Agent && dodici.getGlobalDispatcher() === dispatcher;`),
    ).toBe(true);
  });

  it('is undone by uninstall() or Symbol.dispose, in any order', () => {
    expect(
      inProcess(`
        ${LOAD}
        const before = globals();
        const first = dodici.install(scripted('one'));
        const second = dodici.install(scripted('two'));
        first.uninstall();
        const kept = globals()[1] === second.dispatcher;
        second[Symbol.dispose]();
        const after = globals();
        return [kept, before.every((dispatcher, index) => dispatcher === after[index]),
          dodici.getGlobalDispatcher() instanceof dodici.Agent];`),
    ).toEqual([true, true, true]);
  });

  it('changes nothing when an option is invalid', () => {
    expect(
      inProcess(`
        ${LOAD}
        const before = globals();
        let message;
        try { dodici.install({ connections: -1 }); } catch (error) { message = error.message; }
        return [message, before.every((dispatcher, index) => dispatcher === globals()[index])];`),
    ).toEqual(['invalid connections', true]);
  });
});
