// S46: Node's permission model. It does not cover addons, so dodici checks it before it loads one.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { addonPath } from '../../src/native/loader';

const root = fileURLToPath(new URL('../../', import.meta.url));
const flag = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';
const hasNet = process.allowedNodeEnvironmentFlags.has('--allow-net');

/** The outcome of a request in a process with these permissions. */
function answer(...permissions: string[]): string {
  const script = `
    const { request } = require(${JSON.stringify(join(root, 'dist/index.js'))});
    request('http://127.0.0.1:1').then(
      () => console.log('answered'),
      (error) => console.log(error.code + ' ' + error.message),
    );`;
  const { stdout } = spawnSync(process.execPath, [flag, ...permissions, '-e', script], {
    encoding: 'utf8',
  });
  return stdout.trim();
}

describe('S46: under the permission model', () => {
  const read = '--allow-fs-read=*';

  it('without --allow-addons a request fails with a one-line message that names the flag', () => {
    expect(answer(read, ...(hasNet ? ['--allow-net'] : []))).toBe(
      "ERR_DODICI_ADDON Node's permission model does not allow dodici to load its native addon: start Node with --allow-addons.",
    );
  });

  it.runIf(hasNet)('without --allow-net the addon is not loaded', () => {
    expect(answer(read, '--allow-addons')).toBe(
      "ERR_DODICI_ADDON Node's permission model does not allow dodici to use the network: start Node with --allow-net.",
    );
  });

  it('without permission to read the addon a request fails with a message that says so', () => {
    // Everything else of the repository may be read.
    const folders = ['dist', 'node_modules', 'package.json', 'scripts'].map(
      (name) => `--allow-fs-read=${join(root, name)}`,
    );
    expect(answer(...folders, '--allow-addons')).toBe(
      `ERR_DODICI_ADDON Node's permission model does not allow dodici to read its native addon: start Node with --allow-fs-read=${addonPath()}.`,
    );
  });

  it('with all three it works', () => {
    expect(answer(read, '--allow-addons', ...(hasNet ? ['--allow-net'] : []))).toMatch(
      /^ECONNREFUSED /,
    );
  });
});
