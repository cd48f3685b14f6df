// Process-wide and per-thread trust, set and withdrawn while clients exist (docs/node-settings.md).

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { inChild } from '../support/child';
import { ca, httpsOrigin, type Origin } from '../support/servers';

/** Since Node 22.19 and 24.5. */
const canSetRoots = 'setDefaultCACertificates' in tls;

let origin: Origin;
/** Closes after each response: each request needs its own connection. */
let closing: Origin;
const folder = mkdtempSync(join(tmpdir(), 'dodici-'));

beforeAll(async () => {
  origin = await httpsOrigin((request, response) => response.end(request.url));
  closing = await httpsOrigin((request, response) => {
    response.setHeader('connection', 'close');
    const { socket } = request as unknown as { socket: tls.TLSSocket };
    response.end(socket.isSessionReused() ? 'resumed' : 'new');
  });
});

afterAll(async () => {
  await Promise.all([origin.close(), closing.close()]);
  rmSync(folder, { recursive: true });
});

/** In scope of each child's script: the outcome of one request, and every kind of client. */
const prelude = `
  const tls = require('node:tls');
  const outcome = (dispatcher, url = values.url) =>
    dodici.request(url, { dispatcher }).then(
      async ({ body }) => body.text(),
      (error) => (error.cause ?? error).code,
    );
  const clients = (connect) => ({
    Client: new dodici.Client(values.url, { connect }),
    Pool: new dodici.Pool(values.url, { connect }),
    Agent: new dodici.Agent({ connect }),
  });
  const all = async (clients) => {
    const seen = {};
    for (const [name, client] of Object.entries(clients)) seen[name] = await outcome(client);
    return seen;
  };
  const end = (clients) => Promise.all(Object.values(clients).map((client) => client.destroy()));
`;

const REFUSED = expect.stringMatching(/^(UNABLE_TO_|SELF_SIGNED_CERT_IN_CHAIN)/) as unknown;
const TRUSTED = expect.stringMatching(/^(new|resumed)$/) as unknown;
const each = (value: unknown) => ({ Client: value, Pool: value, Agent: value });

describe('NODE_TLS_REJECT_UNAUTHORIZED', () => {
  it('applies to the next connection of existing clients, whether set or deleted', async () => {
    const seen = await inChild(
      `${prelude}
      process.removeAllListeners('warning');
      const made = clients({});
      const seen = [await all(made)];
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      seen.push(await all(made));
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      seen.push(await all(made));
      await end(made);
      return seen;`,
      { values: { url: closing.url } },
    );
    expect(seen).toEqual([each(REFUSED), each(TRUSTED), each(REFUSED)]);
  });

  it('is read after the code before the request, and before the code after it', async () => {
    const seen = await inChild(
      `${prelude}
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      const trusting = outcome(new dodici.Agent());
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '1';
      const refusing = outcome(new dodici.Agent());
      await trusting;
      return refusing;`,
      { values: { url: closing.url } },
    );
    expect(seen).toEqual(REFUSED);
  });

  it('does not affect open connections, as with Node’s sockets', async () => {
    const seen = await inChild(
      `${prelude}
      process.removeAllListeners('warning');
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      const client = new dodici.Client(values.url);
      const seen = [await outcome(client, values.url + '/first')];
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      seen.push(await outcome(client, values.url + '/second'));
      await client.destroy();
      return seen;`,
      { values: { url: origin.url } },
    );
    expect(seen).toEqual(['/first', '/second']);
  });

  it('applies per thread', async () => {
    const seen = await inChild(
      `${prelude}
      const { Worker } = require('node:worker_threads');
      const worker = new Worker(
        'const dodici = require(' + JSON.stringify(values.built) + ');' +
        'const { parentPort, workerData } = require("node:worker_threads");' +
        'process.removeAllListeners("warning");' +
        'dodici.request(workerData).then(({ body }) => body.text(), (error) => (error.cause ?? error).code)' +
        '.then((outcome) => parentPort.postMessage(outcome));',
        { eval: true, workerData: values.url, env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' } },
      );
      const theirs = await new Promise((resolve) => worker.once('message', resolve));
      const ours = await outcome(new dodici.Agent());
      await worker.terminate();
      return [theirs, ours];`,
      {
        values: {
          url: closing.url,
          built: new URL('../../dist/index.js', import.meta.url).pathname,
        },
      },
    );
    expect(seen).toEqual([TRUSTED, REFUSED]);
  });
});

describe.runIf(canSetRoots)('tls.setDefaultCACertificates', () => {
  it('applies to the next connection of existing clients', async () => {
    const seen = await inChild(
      `${prelude}
      const made = clients({});
      const former = tls.getCACertificates('default');
      const seen = [await all(made)];
      tls.setDefaultCACertificates([...former, values.ca]);
      seen.push(await all(made));
      tls.setDefaultCACertificates(former);
      seen.push(await all(made));
      tls.setDefaultCACertificates([values.ca]);
      seen.push(await all(made));
      tls.setDefaultCACertificates([]);
      seen.push(await all(made), await all(made));
      await end(made);
      return seen;`,
      { values: { url: closing.url, ca: ca.toString() } },
    );
    expect(seen).toEqual([
      each(REFUSED),
      each(TRUSTED),
      each(REFUSED),
      each(TRUSTED),
      each(REFUSED),
      each(REFUSED),
    ]);
  });

  it('drops TLS sessions established under other trust settings', async () => {
    const seen = await inChild(
      `${prelude}
      const client = new dodici.Client(values.url);
      tls.setDefaultCACertificates([values.ca]);
      const seen = [await outcome(client), await outcome(client)];
      tls.setDefaultCACertificates(tls.rootCertificates);
      seen.push(await outcome(client));
      tls.setDefaultCACertificates([values.ca]);
      seen.push(await outcome(client));
      await client.destroy();
      return seen;`,
      { values: { url: closing.url, ca: ca.toString() } },
    );
    expect(seen).toEqual(['new', 'resumed', REFUSED, 'new']);
  });

  it('does not affect clients with their own ca', async () => {
    const seen = await inChild(
      `${prelude}
      const made = clients({ ca: values.ca });
      const seen = [await all(made)];
      tls.setDefaultCACertificates([]);
      seen.push(await all(made));
      await end(made);
      return seen;`,
      { values: { url: closing.url, ca: ca.toString() } },
    );
    expect(seen).toEqual([each(TRUSTED), each(TRUSTED)]);
  });

  it('applies to its own thread only', async () => {
    const seen = await inChild(
      `${prelude}
      const { Worker } = require('node:worker_threads');
      const { once } = require('node:events');
      const script = 'const tls = require("node:tls"); const dodici = require(' + JSON.stringify(values.built) + ');' +
        'const { parentPort, workerData } = require("node:worker_threads");' +
        'if (workerData.ca) tls.setDefaultCACertificates([workerData.ca]);' +
        'const ask = () => dodici.request(workerData.url)' +
        '.then(({ body }) => body.text(), (error) => (error.cause ?? error).code)' +
        '.then((outcome) => parentPort.postMessage(outcome));' +
        'parentPort.on("message", ask);';
      const start = (ca) => new Worker(script, { eval: true, workerData: { url: values.url, ca } });
      const [trusting, other] = [start(values.ca), start(null)];
      const ask = async (worker) => {
        worker.postMessage(null);
        return (await once(worker, 'message'))[0];
      };
      const seen = [];
      for (const worker of [trusting, other, trusting, other]) seen.push(await ask(worker));
      seen.push(await outcome(new dodici.Agent()));
      await Promise.all([trusting.terminate(), other.terminate()]);
      return seen;`,
      {
        values: {
          url: closing.url,
          ca: ca.toString(),
          built: new URL('../../dist/index.js', import.meta.url).pathname,
        },
      },
    );
    expect(seen).toEqual([TRUSTED, REFUSED, TRUSTED, REFUSED, REFUSED]);
  });
});

describe('unusable roots', () => {
  const [publicRoot] = tls.rootCertificates;

  it('fail every connection with one clear error, and are never replaced by others', async () => {
    const file = join(folder, 'broken.pem');
    writeFileSync(file, `${publicRoot}\n-----BEGIN CERTIFICATE-----\nMIIB\n`);
    const seen = await inChild(
      `${prelude}
      const message = (client) => dodici.request(values.url, { dispatcher: client }).then(
        () => 'trusted',
        (error) => error.code + ': ' + error.message,
      );
      const made = clients({});
      const seen = [];
      for (const client of [...Object.values(made), ...Object.values(made)]) seen.push(await message(client));
      await end(made);
      return seen;`,
      { flags: ['--use-openssl-ca'], env: { SSL_CERT_FILE: file }, values: { url: closing.url } },
    );
    const unusable = expect.stringMatching(
      /^UND_ERR_INVALID_ARG: the default trust anchors cannot be used: malformed PEM/,
    ) as unknown;
    expect(seen).toEqual(Array.from({ length: 6 }, () => unusable));
  });

  it('reject every certificate where there are none', async () => {
    const seen = await inChild(
      `${prelude}
      const made = clients({});
      const seen = [await all(made), await all(made)];
      await end(made);
      return seen;`,
      {
        flags: ['--use-openssl-ca'],
        env: { SSL_CERT_FILE: join(folder, 'missing.pem') },
        values: { url: closing.url },
      },
    );
    expect(seen).toEqual([each(REFUSED), each(REFUSED)]);
  });

  it('are trusted with --use-openssl-ca where they are valid', async () => {
    const file = join(folder, 'good.pem');
    writeFileSync(file, ca);
    const seen = await inChild(
      `${prelude}
      const made = clients({});
      const seen = [await all(made)];
      await end(made);
      return seen;`,
      { flags: ['--use-openssl-ca'], env: { SSL_CERT_FILE: file }, values: { url: closing.url } },
    );
    expect(seen).toEqual([each(TRUSTED)]);
  });
});
