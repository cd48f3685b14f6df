// Which servers are trusted, and the errors of those that are not.

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import * as tls from 'node:tls';
import type { PeerCertificate, TLSSocket } from 'node:tls';

import { Client } from '../../src/index';
import { certify } from '../support/certificates';
import { ca, httpsOrigin, type Origin, tlsOptions } from '../support/servers';

let origin: Origin;

beforeAll(async () => {
  origin = await httpsOrigin((request, response) => {
    response.end((request.socket as { servername?: string }).servername ?? '');
  });
});

afterAll(() => origin.close());

async function outcome(options: object, request: object = {}, url = origin.url) {
  const client = new Client(url, options);
  try {
    const { body } = await client.request({ path: '/', method: 'GET', ...request });
    return await body.text();
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.destroy();
  }
}

describe('an https origin', () => {
  it('with a given root is trusted', async () => {
    expect(await outcome({ connect: { ca } })).toBe('localhost');
  });

  it('without its root is rejected with Node’s code', async () => {
    expect(await outcome({})).toMatch(
      /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY)$/,
    );
  });

  it('is not verified where rejectUnauthorized is false', async () => {
    expect(await outcome({ connect: { rejectUnauthorized: false } })).toBe('localhost');
  });

  it.each<[unknown]>([[[]], [''], [false], [0], [null]])(
    'is trusted by no root where ca is %j, with Node’s code',
    async (none) => {
      const error = await new Promise<{ code: string }>((resolve, reject) => {
        const port = Number(new URL(origin.url).port);
        const options = { port, servername: 'localhost', ca: none as string };
        const socket = tls.connect(options, () => reject(new Error('trusted')));
        socket.on('error', resolve as never);
      });
      expect(await outcome({ connect: { ca: none } })).toBe(error.code);
    },
  );

  describe('is not verified where NODE_TLS_REJECT_UNAUTHORIZED is 0', () => {
    const warnings: string[] = [];
    const listen = (warning: Error): void => void warnings.push(warning.message);

    beforeAll(() => {
      process.on('warning', listen);
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    });

    afterAll(() => {
      vi.unstubAllEnvs();
      process.off('warning', listen);
    });

    it('is not verified, and one warning is emitted', async () => {
      expect(await outcome({})).toBe('localhost');
      expect(await outcome({ connect: { servername: 'wrong.example' } })).toBe('wrong.example');
      expect(warnings.filter((text) => text.includes('NODE_TLS_REJECT_UNAUTHORIZED'))).toHaveLength(
        1,
      );
    });

    it.each([true, undefined, null, 0, ''])(
      'is verified where rejectUnauthorized is %j',
      async (rejectUnauthorized) => {
        expect(await outcome({ connect: { rejectUnauthorized } })).toMatch(/^UNABLE_TO/);
      },
    );
  });

  it.each(['1', '', 'false', 'no'])(
    'is verified where NODE_TLS_REJECT_UNAUTHORIZED is %j',
    async (value) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', value);
      expect(await outcome({})).toMatch(/^UNABLE_TO/);
      vi.unstubAllEnvs();
    },
  );

  it('with another name than its certificate is rejected', async () => {
    expect(await outcome({ connect: { ca } }, { servername: 'wrong.example' })).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
  });

  it('gets the server name of the request', async () => {
    expect(await outcome({ connect: { ca } }, { servername: 'other.localhost' })).toBe(
      'other.localhost',
    );
    expect(await outcome({ connect: { ca } }, { headers: { host: 'other.localhost' } })).toBe(
      'other.localhost',
    );
  });

  it('by address sends no server name', async () => {
    const { port } = new URL(origin.url);
    expect(await outcome({ connect: { ca } }, {}, `https://127.0.0.1:${port}`)).toBe('');
  });

  it.each(['%2Frun%2Fa.sock', 'a b', '-a.localhost', '1.2.3'])(
    'e11: sends no server name that SNI cannot carry, here %j, and is judged by it',
    async (servername) => {
      const lax = { connect: { rejectUnauthorized: false } };
      expect(await outcome(lax, { servername })).toBe('');
      expect(await outcome({ connect: { ca } }, { servername })).toBe(
        'ERR_TLS_CERT_ALTNAME_INVALID',
      );
    },
  );

  it('e11: takes the name from a host field that is not a host', async () => {
    const headers = { host: '%2Frun%2Fa.sock' };
    expect(await outcome({ connect: { rejectUnauthorized: false } }, { headers })).toBe('');
    expect(await outcome({ connect: { ca } }, { headers })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('reports what TLS negotiated in the connect event', async () => {
    const client = new Client(origin.url, { connect: { ca } });
    const connected = new Promise<any>((resolve) => {
      client.on('connect', ((_url: unknown, _targets: unknown, info: unknown) =>
        resolve(info)) as never);
    });
    await (await client.request({ path: '/', method: 'GET' })).body.dump();
    const info = await connected;
    expect(info.tls).toMatchObject({ version: 'TLSv1.3', servername: 'localhost' });
    expect(info.timings.tls).toBeGreaterThan(0);
    await client.close();
  });
});

describe('a server with a weak key', () => {
  const weak = certify({ names: ['localhost'], rsaBits: 1024 });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'm6: is not verified where rejectUnauthorized is false, over %s',
    async (version) => {
      const server = https.createServer(
        {
          ...weak,
          ciphers: 'DEFAULT@SECLEVEL=0',
          minVersion: version,
          maxVersion: version,
        },
        (_request, response) => response.end('weak'),
      );
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `https://localhost:${(server.address() as AddressInfo).port}`;
      expect(await outcome({ connect: { rejectUnauthorized: false } }, {}, url)).toBe('weak');
      expect(await outcome({ connect: { ca: weak.cert } }, {}, url)).toBe('UNSPECIFIED');
      server.close();
    },
  );
});

describe('a client certificate', () => {
  const authority = certify({ commonName: 'clients', isAuthority: true });
  let server: https.Server;
  let url: string;

  beforeAll(async () => {
    server = https.createServer(
      { ...tlsOptions, requestCert: true, rejectUnauthorized: false, ca: authority.cert },
      ({ socket }, response) => {
        const peer = socket as unknown as TLSSocket;
        const { subject } = peer.getPeerCertificate() as Partial<PeerCertificate>;
        response.end(
          `${String(subject?.CN)} ${String(peer.authorized || peer.authorizationError)}`,
        );
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  const present = (cert: string, key: string, passphrase?: string) =>
    outcome({ connect: { ca, cert, key, passphrase } }, {}, url);

  it('m6: of version 1 is sent as it is, for the server to decide', async () => {
    const { cert, key } = certify({ commonName: 'old', version: 1 }, authority);
    expect(await present(cert, key)).toBe('old true');
  });

  it('needs its own key', async () => {
    const { cert } = certify({ commonName: 'one' }, authority);
    const { key } = certify({ commonName: 'other' }, authority);
    expect(await present(cert, key)).toBe('ERR_OSSL_X509_KEY_VALUES_MISMATCH');
  });

  it('without its key is not sent, nor a key without its certificate, as in Node', async () => {
    const { cert, key } = certify({ commonName: 'one' }, authority);
    const options: object[] = [{ cert }, { key }, { cert: `${key}${cert}` }, { cert: '', key }];
    for (const lone of options) {
      expect(await outcome({ connect: { ca, ...lone } }, {}, url)).toMatch(/^undefined /);
    }
  });

  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const forms: [string, KeyObject, 'pkcs1' | 'sec1' | 'pkcs8', string][] = [
    ['SEC1', ec, 'sec1', 'aes-256-cbc'],
    ['SEC1 with triple DES', ec, 'sec1', 'des-ede3-cbc'],
    ['PKCS#1', rsa, 'pkcs1', 'aes-128-cbc'],
    ['PKCS#8', ec, 'pkcs8', 'aes-256-cbc'],
    ['PKCS#8 with triple DES', rsa, 'pkcs8', 'des-ede3-cbc'],
  ];

  it.each(forms)('may have an encrypted key: %s', async (_name, key, type, cipher) => {
    const { cert } = certify({ commonName: 'encrypted', key }, authority);
    const options = { type, format: 'pem', cipher, passphrase: 'phrase' } as const;
    const pem = key.export(options as never).toString();
    expect(await present(cert, pem, 'phrase')).toBe('encrypted true');
    expect(await present(cert, pem, 'other')).toMatch(/^ERR_OSSL_/);
    expect(await present(cert, pem)).toMatch(/^ERR_(OSSL|MISSING)_/);
  });
});
