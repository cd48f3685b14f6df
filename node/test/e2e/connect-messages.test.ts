// Messages of connections that could not be opened, next to undici's.
import { createServer } from 'node:net';
import tls from 'node:tls';

import { afterEach, describe, expect, it } from 'vitest';

import { Client, ProxyAgent } from '../../src/index';
import { peer } from '../../src/undici/undici';
import { certify } from '../support/certificates';
import { listening } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const LIBRARIES = [peer, { Client, ProxyAgent } as unknown as typeof peer] as const;

interface Failure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** How `call` fails in each library: undici's failure first. */
async function failures(
  call: (library: typeof peer) => Promise<unknown>,
): Promise<[Failure, Failure]> {
  const seen: Failure[] = [];
  for (const library of LIBRARIES) {
    const { name, code, message } = await call(library).then(
      () => expect.unreachable(),
      (error: unknown) => error as Failure,
    );
    seen.push({ name, code, message });
  }
  return seen as [Failure, Failure];
}

const root = certify({ commonName: 'root', isAuthority: true });
const middle = certify({ commonName: 'middle', isAuthority: true }, root);
const leaf = (issuer?: typeof root) => certify({ commonName: 'localhost' }, issuer);

const CHAINS: [string, () => tls.TlsOptions, object?][] = [
  ['self-signed', () => leaf()],
  ['of an unknown issuer', () => leaf(root)],
  ['with a root that is not trusted', () => chained(leaf(root), root)],
  ['of an unknown issuer of its issuer', () => chained(leaf(middle), middle)],
  ['of a trusted issuer without its own', () => leaf(middle), { ca: middle.cert }],
];

function chained({ cert, key }: typeof root, issuer: typeof root): tls.TlsOptions {
  return { cert: cert + issuer.cert, key };
}

describe('the message of a rejected certificate', () => {
  it.each(CHAINS)('is that of this Node: %s', async (_name, options, connect = {}) => {
    const { port, close } = await listening(tls.createServer(options()));
    cleanup.add(close);
    const [theirs, ours] = await failures((library) => {
      const client = new library.Client(`https://localhost:${port}`, { connect });
      cleanup.add(() => client.destroy());
      return client.request({ path: '/', method: 'GET' });
    });
    expect(ours).toEqual(theirs);
  });
});

describe('the message about a proxy that does not speak HTTP', () => {
  it.each(['garbage\r\n\r\n', 'HTTP/1.1 200 OK\n\n'])('is undici’s: %j', async (answer) => {
    const proxy = await listening(
      createServer((socket) => socket.once('data', () => socket.end(answer))),
    );
    cleanup.add(proxy.close);
    const [theirs, ours] = await failures((library) => {
      const agent = new library.ProxyAgent(`http://localhost:${proxy.port}`);
      cleanup.add(() => agent.destroy());
      return agent.request({ origin: 'https://localhost:1', path: '/', method: 'GET' });
    });
    expect(ours.message).toBe(theirs.message);
  });
});
