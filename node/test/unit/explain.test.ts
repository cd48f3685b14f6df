// What users read when there is no addon, or when it does not load.
import { describe, expect, it } from 'vitest';

import { type Surroundings, whyMissing, whyNotLoaded } from '../../src/native/explain';
import { PLATFORMS, platformsOf } from '../../src/native/platform';

const here: Surroundings = {
  os: 'linux',
  cpu: 'x64',
  libc: 'glibc',
  installed: [],
  file: '/app/node_modules/dodici/dist/dodici.js',
  bundled: false,
  electron: false,
  pnp: false,
};
const named = (name: string) => PLATFORMS.filter((platform) => platform.name === name);
const oneSentence = /^dodici [^\n]+[^.]\.$/;

describe('a missing addon', () => {
  it.each<[string, Partial<Surroundings>, string[]]>([
    [
      'of a platform without a package',
      { os: 'freebsd', libc: undefined },
      ['for freebsd-x64:', 'linux-x64-gnu, ', 'win32-arm64', 'import undici instead'],
    ],
    [
      'of a platform that has a package for glibc only',
      { cpu: 'arm', libc: 'musl' },
      ['for linux-arm-musl:', 'import undici instead'],
    ],
    [
      'whose package was left out',
      {},
      ['for linux-x64-gnu:', '@dodici/linux-x64-gnu is not installed', '--omit=optional'],
    ],
    [
      'beside the package of another system',
      { installed: named('darwin-arm64') },
      ['@dodici/darwin-arm64 is for another system', 'delete node_modules'],
    ],
    [
      'beside the package for another processor',
      { os: 'darwin', cpu: 'x64', libc: undefined, installed: named('darwin-arm64') },
      ['for darwin-x64:', '@dodici/darwin-arm64 is for another system'],
    ],
    [
      'in a bundle',
      { bundled: true, file: '/app/out.js' },
      ['part of the bundle /app/out.js', 'external', 'copy node_modules/@dodici/linux-x64-gnu'],
    ],
    ['in a bundle without a name', { bundled: true, file: undefined }, ['part of a bundle,']],
    [
      'in a single executable application',
      { bundled: true, executable: { path: '/opt/app', by: 'node' } },
      ['put the file dodici.node', 'beside the executable /opt/app'],
    ],
    [
      'in an executable made by pkg',
      { executable: { path: '/opt/app', by: 'pkg' } },
      ['node_modules/@dodici/linux-x64-gnu/dodici.node to the "assets" of pkg'],
    ],
    [
      'in an Electron archive',
      { electron: true, file: '/app/app.asar/node_modules/dodici/dist/dodici.js' },
      ['is not in the app', '"asarUnpack"'],
    ],
    [
      'under Plug’n’Play',
      { pnp: true, installed: named('darwin-arm64') },
      ['run "yarn install"', 'supportedArchitectures'],
    ],
    ['on Alpine', { libc: 'musl' }, ['for linux-x64-musl:', '@dodici/linux-x64-musl is not']],
  ])('%s', (_title, found, parts) => {
    const message = whyMissing({ ...here, ...found });
    expect(message).toMatch(oneSentence);
    for (const part of [...parts, 'undici', 'has the same API']) expect(message).toContain(part);
  });
});

describe('an addon that does not load', () => {
  const path = '/app/node_modules/@dodici/linux-x64-gnu/dodici.node';

  it.each([
    [
      "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.28' not found (required by dodici.node)",
      'needs glibc 2.28 or newer',
    ],
    [
      'libc.musl-x86_64.so.1: cannot open shared object file: No such file or directory',
      'for another C library',
    ],
    [
      'Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by dodici.node)',
      'for another C library',
    ],
    [
      'Error relocating dodici.node: gnu_get_libc_version: symbol not found',
      'for another C library',
    ],
    ['invalid ELF header', 'for another system, or damaged'],
    ['dodici.node is not a valid Win32 application.', 'for another system, or damaged'],
    [
      "dlopen(dodici.node, 0x0001): (mach-o file, but is an incompatible architecture (have 'arm64', need 'x86_64'))",
      'for another system, or damaged',
    ],
    ['cannot open shared object file: No such file or directory', 'for another system, or damaged'],
    ['Exec format error', 'for another system, or damaged'],
    ['file too short', 'for another system, or damaged'],
    ['cannot enable executable stack', 'delete node_modules and install again'],
  ])('because of "%s"', (reason, cure) => {
    const message = whyNotLoaded(path, reason);
    expect(message).toMatch(oneSentence);
    expect(message).toContain(`could not load its native addon ${path} (${reason}): `);
    for (const part of [cure, 'import undici']) expect(message).toContain(part);
  });
});

describe('the platforms', () => {
  it('have one package each, two of a system only for its two C libraries', () => {
    expect(new Set(PLATFORMS.map(({ name }) => name)).size).toBe(PLATFORMS.length);
    for (const { os, cpu, libc, name } of PLATFORMS) {
      const abi = libc === 'glibc' ? ['gnu'] : libc === 'musl' ? ['musl'] : [];
      expect(name).toBe([os, cpu, ...abi].join('-'));
      expect(platformsOf(os, cpu).filter((one) => one.libc === libc)).toHaveLength(1);
    }
  });
});
