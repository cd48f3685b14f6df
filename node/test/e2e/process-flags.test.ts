// Flags and defaults of Node's own TLS that the engine cannot follow: then the peer's class serves,
// and subscribers to Node's sockets get them (docs/node-settings.md).

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { certify } from '../support/certificates';
import { inChild } from '../support/child';
import { connectProxy, type Tunnel } from '../support/tunnels';

const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
let server: https.Server;
let proxy: Tunnel;
let url: string;

beforeAll(async () => {
  const identity = certify({ names: ['localhost'], rsaBits: 2048 });
  server = https.createServer(
    {
      ...identity,
      ciphers:
        'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384',
      honorCipherOrder: true,
    },
    ({ socket }, response) => {
      const peer = socket as unknown as TLSSocket;
      response.end(`${peer.getProtocol()} ${peer.getCipher().standardName}`);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}`;
  proxy = await connectProxy();
});

afterAll(async () => {
  server.close();
  await proxy.close();
  rmSync(folder, { recursive: true });
});

/** What an Agent and a ProxyAgent negotiate, in a separate process; `more` runs in between. */
function negotiated(
  { flags = [], env = {} }: { flags?: string[]; env?: Record<string, string> },
  connect: object = {},
  more = '',
): Promise<unknown> {
  return inChild(
    `const tls = require('node:tls');
    const connect = { rejectUnauthorized: false, ...values.connect };
    const made = [
      new dodici.Agent({ connect }),
      new dodici.Client(values.url, { connect }),
      new dodici.ProxyAgent({ uri: values.proxy, requestTls: connect }),
    ];
    const ask = () => Promise.all(made.map((dispatcher) =>
      dodici.request(values.url, { dispatcher }).then(({ body }) => body.text())));
    const seen = [await ask()];
    ${more}
    await Promise.all(made.map((dispatcher) => dispatcher.destroy()));
    return seen;`,
    { flags, env, values: { url, connect, proxy: `http://127.0.0.1:${proxy.port}` } },
  );
}

const LIST = '--tls-cipher-list=ECDHE-RSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384';
const all = (...answers: string[]) => answers.map((answer) => [answer, answer, answer]);
const [SMALL, LARGE] = ['TLSv1.3 TLS_AES_128_GCM_SHA256', 'TLSv1.3 TLS_AES_256_GCM_SHA384'];

describe('c6', () => {
  it('without flags, the server’s first suite is used', async () => {
    expect(await negotiated({})).toEqual(all(SMALL));
  });

  it('--tls-cipher-list is followed', async () => {
    expect(await negotiated({ flags: [LIST] })).toEqual(all(LARGE));
    expect(await negotiated({ flags: [LIST] }, { maxVersion: 'TLSv1.2' })).toEqual(
      all('TLSv1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'),
    );
  });

  it('--tls-cipher-list in NODE_OPTIONS is followed', async () => {
    const env = { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} ${LIST}` };
    expect(await negotiated({ env })).toEqual(all(LARGE));
  });

  it('tls.DEFAULT_CIPHERS is followed while it stands', async () => {
    const change = `
      const former = tls.DEFAULT_CIPHERS;
      tls.DEFAULT_CIPHERS = 'TLS_AES_256_GCM_SHA384';
      seen.push(await ask());
      tls.DEFAULT_CIPHERS = former;
      seen.push(await ask());`;
    expect(await negotiated({}, {}, change)).toEqual(all(SMALL, LARGE, SMALL));
  });

  it('--tls-max-v1.2 and --tls-min-v1.3 are followed', async () => {
    const older = 'TLSv1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256';
    expect(await negotiated({ flags: ['--tls-max-v1.2'] })).toEqual(all(older));
    expect(await negotiated({ flags: ['--tls-min-v1.3'] })).toEqual(all(SMALL));
  });

  it('--tls-keylog writes the keys of every connection', async () => {
    const file = join(folder, 'keys.txt');
    expect(await negotiated({ flags: [`--tls-keylog=${file}`] })).toEqual(all(SMALL));
    expect(existsSync(file)).toBe(true);
    const lines = readFileSync(file, 'latin1').match(/^CLIENT_TRAFFIC_SECRET_0 /gm);
    expect(lines).toHaveLength(3);
  });

  it('subscribers of net.client.socket get the sockets that Node publishes for undici', async () => {
    const listen = `
      const { channel } = require('node:diagnostics_channel');
      const told = async (asking) => {
        let sockets = 0;
        const hear = () => sockets++;
        channel('net.client.socket').subscribe(hear);
        await asking();
        channel('net.client.socket').unsubscribe(hear);
        return sockets;
      };
      const ours = await told(ask);
      const peers = [
        new peer.Agent({ connect }),
        new peer.Client(values.url, { connect }),
        new peer.ProxyAgent({ uri: values.proxy, requestTls: connect }),
      ];
      const theirs = await told(() => Promise.all(peers.map((dispatcher) =>
        peer.request(values.url, { dispatcher }).then(({ body }) => body.text()))));
      await Promise.all(peers.map((dispatcher) => dispatcher.destroy()));
      await ask();
      seen.push(ours > 0, ours === theirs);`;
    // Which sockets Node publishes differs between its versions.
    expect(await negotiated({}, {}, listen)).toEqual([...all(SMALL), true, true]);
  });
});
