// The package from outside: its exports, and its errors when something is missing.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import * as loader from '../../src/native/loader';
import { libcOfProcess, PLATFORMS, platformsOf } from '../../src/native/platform';
import { peer, peerMajor } from '../../src/undici/undici';

const root = fileURLToPath(new URL('../../', import.meta.url));
const dodici = createRequire(import.meta.url)(join(root, 'dist/index.js')) as Record<
  string,
  unknown
>;

/** Temporary folders with a copy of the built package and a chosen `node_modules`. */
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function installation(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-package-'));
  folders.push(folder);
  const home = join(folder, 'node_modules', 'dodici');
  mkdirSync(home, { recursive: true });
  // What runs, and nothing for tests, types and debuggers.
  const runs = (name: string) => !/internal|\.map$|\.d\.m?ts$/.test(name);
  cpSync(join(root, 'dist'), join(home, 'dist'), { recursive: true, filter: runs });
  cpSync(join(root, 'package.json'), join(home, 'package.json'));
  return folder;
}

/** Runs `script` in `folder` without the preload that chooses the peer. */
function run(folder: string, script: string) {
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawnSync(process.execPath, ['-e', script], { cwd: folder, env, encoding: 'utf8' });
}

const report = `
  try { require('dodici'); console.log('loaded'); }
  catch (error) { console.log(error.code + ' ' + error.message); }`;

/** Names that the peer does not have. */
const OWN_NAMES = [
  'AddressNotAllowedError',
  'BodyRateError',
  'TotalTimeoutError',
  'clearDnsCache',
  'counters',
  'isPublicAddress',
];

describe('the names of the package', () => {
  const peerNames = Object.keys(peer)
    .filter((name) => name !== 'default')
    .sort();

  it('are those of the peer, and defined wherever the peer defines them', () => {
    const names = Object.keys(dodici).filter((name) => name !== 'default');
    expect(names.filter((name) => dodici[name] !== undefined).sort()).toEqual(
      [...peerNames, ...OWN_NAMES].sort(),
    );
    const added = peerMajor === 7 ? [...OWN_NAMES, 'Dispatcher1Wrapper'] : OWN_NAMES;
    expect(names.filter((name) => !peerNames.includes(name)).sort()).toEqual([...added].sort());
  });

  it('are the same in ESM, with a default export', () => {
    const script = `
      import * as all from ${JSON.stringify(join(root, 'dist/index.mjs'))};
      const { default: dodici, ...named } = all;
      const same = Object.keys(named).every((name) => named[name] === dodici[name]);
      console.log(JSON.stringify([Object.keys(named).sort(), same]));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    const names = Object.keys(dodici).filter((name) => name !== 'default');
    expect(JSON.parse(output)).toEqual([names.sort(), true]);
  });

  it('that dodici does not replace are the peer’s own', () => {
    const ours = new Set([
      'Agent',
      'BalancedPool',
      'Client',
      'EnvHttpProxyAgent',
      'H2CClient',
      'Pool',
      'ProxyAgent',
      'Socks5ProxyAgent',
      'RetryAgent',
      'RoundRobinPool',
      'Socks5ProxyAgent',
      'connect',
      'fetch',
      'getGlobalDispatcher',
      'install',
      'pipeline',
      'request',
      'setGlobalDispatcher',
      'stream',
      'upgrade',
    ]);
    for (const name of peerNames) {
      const theirs = (peer as Record<string, unknown>)[name];
      if (ours.has(name)) expect(dodici[name], name).not.toBe(theirs);
      else expect(dodici[name], name).toBe(theirs);
    }
  });
});

describe('a missing or unsuitable peer', () => {
  it.each([
    ['20.20.0', 'undici@7'],
    ['22.18.0', 'undici@7'],
    ['22.19.0', 'undici'],
    ['24.0.0', 'undici'],
  ])('fails with a message that says what to install on Node %s', (version, wanted) => {
    const node = `Object.defineProperty(process, 'versions', { value: { node: '${version}' } });`;
    const { stdout } = run(installation(), node + report);
    expect(stdout.trim()).toBe(
      `ERR_DODICI_PEER dodici needs its peer dependency undici (^7.29.0 || ^8.10.0), which is not installed: run "npm install ${wanted}".`,
    );
  });

  it.each(['6.21.0', '7.28.9', '8.9.0', '9.0.0'])('of version %s is rejected', (version) => {
    const folder = installation();
    const home = join(folder, 'node_modules', 'undici');
    mkdirSync(home);
    writeFileSync(join(home, 'package.json'), JSON.stringify({ name: 'undici', version }));
    writeFileSync(join(home, 'index.js'), '');
    const { stdout } = run(folder, report);
    expect(stdout).toMatch(
      new RegExp(
        `^ERR_DODICI_PEER dodici works with undici .*, but undici ${version} is installed`,
      ),
    );
  });

  it('that does not load on this Node fails with a one-line message', () => {
    const folder = installation();
    const home = join(folder, 'node_modules', 'undici');
    mkdirSync(home);
    writeFileSync(join(home, 'package.json'), '{"name":"undici","version":"8.10.0"}');
    writeFileSync(join(home, 'index.js'), 'throw new TypeError("x is not a function")');
    const { stdout } = run(folder, report);
    expect(stdout).toMatch(
      /^ERR_DODICI_PEER dodici could not load its peer dependency undici on Node v\d+.* \(x is not a function\): /,
    );
  });
});

describe('a missing, unrelated or outdated addon', () => {
  const withPeer = () => {
    const folder = installation();
    const installed = join(root, 'node_modules', peerMajor === 7 ? 'undici7' : 'undici');
    symlinkSync(installed, join(folder, 'node_modules', 'undici'), 'junction');
    return folder;
  };
  const request = `
    const { request } = require('dodici');
    request('http://127.0.0.1:1').catch((error) => console.log(error.code + ' ' + error.message));`;

  it('does not prevent the package from loading', () => {
    expect(run(withPeer(), report).stdout.trim()).toBe('loaded');
  });

  it('that is missing fails the first request with a one-line message', () => {
    const { stdout } = run(withPeer(), request);
    expect(stdout).toMatch(/^ERR_DODICI_ADDON dodici has no native addon for [\w-]+: .*\n$/);
  });

  it('that is not an addon fails the first request with a one-line message', () => {
    const folder = withPeer();
    const home = join(
      folder,
      'node_modules/dodici/prebuilds',
      `${process.platform}-${process.arch}`,
    );
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'dodici.node'), 'not an addon');
    const { stdout } = run(folder, request);
    expect(stdout).toMatch(/^ERR_DODICI_ADDON dodici could not load its native addon .*\n$/);
  });

  /** Puts packages of these platforms beside dodici; each file is `content`. */
  function addPackages(folder: string, names: string[], content: (name: string) => string) {
    for (const name of names) {
      const home = join(folder, 'node_modules', '@dodici', name);
      mkdirSync(home, { recursive: true });
      writeFileSync(join(home, 'package.json'), '{"main":"dodici.node"}');
      writeFileSync(join(home, 'dodici.node'), content(name));
    }
  }
  const ofThisSystem = platformsOf(process.platform, process.arch).map(({ name }) => name);

  it('that is missing beside the package of another system says so', () => {
    const folder = withPeer();
    const other = PLATFORMS.find(({ os }) => os !== process.platform)!.name;
    addPackages(folder, [other], () => '');
    const { stdout } = run(folder, request);
    expect(stdout).toContain(`the installed package @dodici/${other} is for another system: `);
  });

  it('is searched for in the package of this platform before the prebuilds', () => {
    const folder = withPeer();
    cpSync(join(root, 'prebuilds'), join(folder, 'node_modules/dodici/prebuilds'), {
      recursive: true,
    });
    expect(run(folder, request).stdout).toMatch(/^ECONNREFUSED /);
    addPackages(folder, ofThisSystem, () => 'not an addon');
    expect(run(folder, request).stdout).toContain(join('@dodici', ofThisSystem[0]!));
  });

  it.runIf(ofThisSystem.length > 1)('is that of this C library if both are installed', () => {
    const folder = withPeer();
    addPackages(folder, ofThisSystem, () => 'not an addon');
    const libc = libcOfProcess();
    const { name } = PLATFORMS.find((one) => ofThisSystem.includes(one.name) && one.libc === libc)!;
    expect(run(folder, request).stdout).toContain(join('@dodici', name, 'dodici.node'));
  });

  it.runIf(ofThisSystem.length > 1)('is that of the only C library that is installed', () => {
    for (const name of ofThisSystem) {
      const folder = withPeer();
      addPackages(folder, [name], () => 'not an addon');
      const { stdout } = run(folder, request);
      expect(stdout).toContain(join('@dodici', name, 'dodici.node'));
      const { libc } = PLATFORMS.find((one) => one.name === name)!;
      expect(stdout.includes('for another C library')).toBe(libc !== libcOfProcess());
    }
  });

  it('that is not beside a bundle fails with a message for whoever has made it', () => {
    const folder = withPeer();
    const dist = join(folder, 'node_modules/dodici/dist');
    const code = readFileSync(join(dist, 'dodici.js'), 'utf8');
    writeFileSync(join(dist, 'bundle.js'), code);
    writeFileSync(join(dist, 'dodici.js'), "module.exports = require('./bundle.js');");
    expect(run(folder, request).stdout).toMatch(
      /^ERR_DODICI_ADDON dodici has no native addon for [\w-]+: dodici is part of the bundle .*bundle\.js, which does not find the package @dodici\/[\w-]+: mark .*\n$/,
    );
  });

  it('that DODICI_ADDON names and that does not exist is said to be', () => {
    const { stdout } = run(withPeer(), `process.env.DODICI_ADDON = '/no/where.node';${request}`);
    expect(stdout).toMatch(/^ERR_DODICI_ADDON dodici has no native addon: .*where\.node does not/);
  });

  it('that is outdated is rejected with a one-line message', () => {
    const stale = { layoutHash: () => 1 } as never;
    expect(() => loader.checkLayout(stale, '/x/dodici.node')).toThrow(
      /^dodici's native addon \/x\/dodici\.node does not belong to this version of the package .*: reinstall dodici or rebuild the addon\.$/,
    );
  });
});
