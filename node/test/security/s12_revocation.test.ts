// S12: with revocation lists, a chain is accepted or rejected, with the same code, as by Node's own TLS.
// Each chain is served by a real server and verified by both, in the engine where a case does not say
// that it rests with undici's class.

import * as tls from 'node:tls';

import { afterAll, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import {
  type CertificateOptions,
  certify,
  type Certified,
  revoke,
  type RevocationOptions,
} from '../support/certificates';
import { listening } from '../support/servers';
import { attempt } from '../support/wire';

interface Case {
  readonly chain: readonly Certified[];
  readonly ca: readonly Certified[];
  readonly crl: string | readonly string[];
  /** Only Node's TLS can use the list. */
  readonly byPeer?: true;
  readonly rejectUnauthorized?: false;
}

const DAY = 86_400_000;
const early = { thisUpdate: new Date(Date.now() + DAY), nextUpdate: null };
const due = {
  thisUpdate: new Date(Date.now() - 9 * DAY),
  nextUpdate: new Date(Date.now() - 8 * DAY),
};
const past = {
  notBefore: new Date(Date.now() - 20 * DAY),
  notAfter: new Date(Date.now() - 10 * DAY),
};

const authority = (options: CertificateOptions = {}, issuer?: Certified) =>
  certify({ commonName: 'root', isAuthority: true, ...options }, issuer);
const server = (issuer: Certified, options: CertificateOptions = {}) =>
  certify({ commonName: 'server', names: ['localhost'], purposes: ['server'], ...options }, issuer);

const root = authority();
const leaf = server(root);
const other = server(root);
const middle = authority({ commonName: 'middle' }, root);
const below = server(middle);

/** A server below the root, and a list of the root's. */
const two = (revoked: readonly Certified[], options: RevocationOptions = {}): Case => ({
  chain: [leaf],
  ca: [root],
  crl: revoke(root, revoked, options),
});

/** A server below an intermediate, and lists of both authorities. */
const three = (
  ofMiddle: readonly Certified[] | null,
  ofRoot: readonly Certified[] | null,
): Case => ({
  chain: [below, middle],
  ca: [root],
  crl: [
    ...(ofMiddle === null ? [] : [revoke(middle, ofMiddle)]),
    ...(ofRoot === null ? [] : [revoke(root, ofRoot)]),
  ],
});

const cases: Record<string, Case | (() => Case)> = {
  'that revokes nothing': two([]),
  'that revokes another certificate': two([other]),
  'that revokes the server': two([leaf]),
  'that revokes the root': two([root]),
  'that revokes the server, for a reason': two([leaf], { reason: 1 }),
  'that no longer revokes the server': two([leaf], { reason: 8 }),
  'without an end': two([other], { nextUpdate: null }),
  'that has expired': two([], due),
  'that has expired and revokes the server': two([leaf], due),
  'that is not valid yet': two([], early),
  'with a broken signature': two([], { breakSignature: true }),
  'with a broken signature, that revokes the server': two([leaf], { breakSignature: true }),
  'of another key': two([], { signer: authority() }),
  'signed with SHA-384': two([leaf], { hash: 'sha384' }),
  'with the right key identifier': two([leaf], { authorityKeyId: 'right' }),
  'with a wrong key identifier': two([leaf], { authorityKeyId: 'wrong' }),
  'with a harmless unknown extension': two([leaf], {
    extension: { id: '1.3.6.1.4.1.99999.1', isCritical: false },
  }),
  'of an authority that may not sign lists': () => {
    const strict = authority({ usages: ['certify'] });
    return { chain: [server(strict)], ca: [strict], crl: revoke(strict, []) };
  },
  'of an authority without key usage': () => {
    const plain = authority({ usages: null });
    const revoked = server(plain);
    return { chain: [revoked], ca: [plain], crl: revoke(plain, [revoked]) };
  },
  'of an RSA key': () => {
    const rsa = authority({ rsaBits: 2048 });
    const revoked = server(rsa);
    return { chain: [revoked], ca: [rsa], crl: revoke(rsa, [revoked]) };
  },
  'of another authority': {
    chain: [leaf],
    ca: [root],
    crl: revoke(authority({ commonName: 'x' }), []),
  },
  'of an authority of the same name': { chain: [leaf], ca: [root], crl: revoke(authority(), []) },
  'of each authority': three([], []),
  'of each authority, of which the lower revokes the server': three([below], []),
  'of each authority, of which the upper revokes the lower': three([], [middle]),
  'of the upper authority only': three(null, []),
  'of the lower authority only': three([], null),
  'older than another, which revokes the server': {
    chain: [leaf],
    ca: [root],
    crl: [revoke(root, [], { thisUpdate: new Date(Date.now() - 2 * DAY) }), revoke(root, [leaf])],
  },
  'newer than another, which revokes the server': {
    chain: [leaf],
    ca: [root],
    crl: [revoke(root, [leaf], { thisUpdate: new Date(Date.now() - 2 * DAY) }), revoke(root, [])],
  },
  'that has expired, and an older one that has not': {
    chain: [leaf],
    ca: [root],
    crl: [
      revoke(root, [leaf], { thisUpdate: new Date(Date.now() - 9 * DAY) }),
      revoke(root, [], due),
    ],
  },
  'twice in one text, of which the first counts': {
    chain: [leaf],
    ca: [root],
    crl: `${revoke(root, [])}${revoke(root, [leaf])}`,
  },
  'for an unknown authority': {
    chain: [leaf],
    ca: [authority({ commonName: 'x' })],
    crl: revoke(root, []),
  },
  'for an unknown authority of the same name': {
    chain: [leaf],
    ca: [authority()],
    crl: revoke(root, [leaf]),
  },
  'for a missing intermediate': {
    chain: [below],
    ca: [root],
    crl: [revoke(middle, []), revoke(root, [])],
  },
  'for an expired server': () => {
    const expired = server(root, past);
    return { chain: [expired], ca: [root], crl: revoke(root, [expired]) };
  },
  'for a server of another name': () => {
    const elsewhere = server(root, { names: ['other.test'] });
    return { chain: [elsewhere], ca: [root], crl: revoke(root, []) };
  },
  'for a self-signed server': () => {
    const alone = certify({ commonName: 'localhost', names: ['localhost'] });
    return { chain: [alone], ca: [alone], crl: revoke(alone, []) };
  },
  'for a server that is not verified': { ...two([leaf]), rejectUnauthorized: false },

  // Those that rest with undici's class.
  'signed with SHA-1': { ...two([leaf], { hash: 'sha1' }), byPeer: true },
  'that is partial': {
    ...two([leaf], {
      extension: { id: '2.5.29.28', isCritical: true, content: Buffer.from('30038101ff', 'hex') },
    }),
    byPeer: true,
  },
  'that is a delta': {
    ...two([leaf], {
      extension: { id: '2.5.29.27', isCritical: true, content: Buffer.from('020101', 'hex') },
    }),
    byPeer: true,
  },
  'with an unknown critical extension': {
    ...two([leaf], { extension: { id: '1.3.6.1.4.1.99999.1', isCritical: true } }),
    byPeer: true,
  },
  'that is no list': { chain: [leaf], ca: [root], crl: 'no list', byPeer: true },
  'that is a certificate': { chain: [leaf], ca: [root], crl: root.cert, byPeer: true },
  'that breaks off': {
    chain: [leaf],
    ca: [root],
    crl: revoke(root, []).slice(0, 200),
    byPeer: true,
  },
};

const closers: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

async function serve(chain: readonly Certified[]): Promise<number> {
  const cert = chain.map((one) => one.cert).join('');
  const started = tls.createServer({ cert, key: chain[0]!.key }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
  });
  const { port, close } = await listening(started);
  closers.push(close);
  return port;
}

/** The verdict of Node's own TLS: a code, or `good`. */
const verdictOfNode = (port: number, options: object): Promise<string> =>
  new Promise((resolve) => {
    const fail = (error: unknown) => {
      const { code, message } = error as { code?: string; message: string };
      resolve(code ?? message);
    };
    try {
      const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ...options });
      socket.on('secureConnect', () => {
        resolve('good');
        socket.destroy();
      });
      socket.on('error', fail);
    } catch (error) {
      fail(error);
    }
  });

describe('s12 a revocation list', () => {
  it.each(Object.keys(cases))('%s', async (name) => {
    const found = cases[name]!;
    const { chain, ca, byPeer, ...rest } = typeof found === 'function' ? found() : found;
    const options = { ...rest, ca: ca.map(({ cert }) => cert) };
    const port = await serve(chain);
    const nodes = await verdictOfNode(port, options);
    const client = new Client(`https://localhost:${port}`, { connect: options as object });
    expect(client.servedBy).toMatchObject(
      byPeer ? { by: 'undici', option: 'connect.crl' } : { by: 'dodici' },
    );
    const { status, code, message } = (await attempt(client, {})) as {
      status?: number;
      code?: string;
      message?: string;
    };
    await client.destroy();
    expect(status === 200 ? 'good' : (code ?? message)).toBe(nodes);
  });
});
