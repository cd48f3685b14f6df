// The default roots are those of Node.
import { execFileSync } from 'node:child_process';
import * as tls from 'node:tls';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import type { NativeAddon, NativeEnvironment } from '../../src/native/addon';
import { defaultRoots, provideDefaultRoots } from '../../src/process/roots';

const roots = fileURLToPath(new URL('../../dist/internal/process/roots.js', import.meta.url));
/** A certificate that no Node trusts. */
const extra = fileURLToPath(new URL('../fixtures/extra-root.pem', import.meta.url));
const [firstRoot] = tls.rootCertificates;

const count = (environment: NodeJS.ProcessEnv, ...flags: string[]): number => {
  const script = `
    const { defaultRoots } = require(${JSON.stringify(roots)});
    console.log(defaultRoots().toString('latin1').split('-----BEGIN CERTIFICATE-----').length - 1);`;
  const env = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: '',
    SSL_CERT_FILE: '',
    SSL_CERT_DIR: '',
    ...environment,
  };
  return Number(
    execFileSync(process.execPath, [...flags, '-e', script], { env, encoding: 'utf8' }),
  );
};

describe('the default roots', () => {
  it('are those of Node', () => {
    const pem = defaultRoots().toString('latin1');
    expect(pem).toContain(firstRoot!.trim());
    expect(count({})).toBeGreaterThanOrEqual(100);
  });

  it('include the file of NODE_EXTRA_CA_CERTS', () => {
    expect(count({ NODE_EXTRA_CA_CERTS: extra })).toBe(count({}) + 1);
  });

  it('are complete when that file cannot be read', () => {
    expect(count({ NODE_EXTRA_CA_CERTS: `${extra}.missing` })).toBe(count({}));
  });

  it('are those of OpenSSL with --use-openssl-ca', () => {
    expect(count({ SSL_CERT_FILE: extra }, '--use-openssl-ca')).toBe(1);
  });

  it('are sent once per environment', () => {
    const given: number[] = [];
    const addon = {
      setRoots: (_environment: NativeEnvironment, pem: Buffer) => given.push(pem.length),
    } as unknown as NativeAddon;
    const environments = [1, 2] as NativeEnvironment[];
    for (const environment of [...environments, ...environments]) {
      provideDefaultRoots({ addon, environment });
    }
    expect(given).toHaveLength(2);
    expect(given[0]).toBeGreaterThan(100_000);
  });
});
