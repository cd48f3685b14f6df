// Who is trusted, and what is said when not.

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Client } from '../../src/index';
import { ca, httpsOrigin, type Origin } from '../support/servers';

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
  it('with a root that was given is trusted', async () => {
    expect(await outcome({ connect: { ca } })).toBe('localhost');
  });

  it('without its root is refused with the code of Node', async () => {
    expect(await outcome({})).toMatch(
      /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY)$/,
    );
  });

  it('is not verified where rejectUnauthorized is false', async () => {
    expect(await outcome({ connect: { rejectUnauthorized: false } })).toBe('localhost');
  });

  describe('where NODE_TLS_REJECT_UNAUTHORIZED is 0', () => {
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

    it('is not verified, and one warning says so', async () => {
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

  it('with another name than its certificate is refused', async () => {
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

  it('tells what TLS negotiated in the connect event', async () => {
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
