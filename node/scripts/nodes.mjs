// The Nodes that tests run on. Each comes from the npm package `node`, installed once into .nodes/<major>.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Path of the Node executable of this major; installs it the first time. */
export function installNode(major) {
  const folder = join(root, '.nodes', major);
  const node = join(
    folder,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  if (existsSync(node)) return node;
  console.log(`installing Node ${major}…`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true,"allowScripts":{"node":true}}\n');
  const arguments_ = ['install', '--no-audit', '--no-fund', '--no-save', `node@${major}`];
  // The package fetches the binary for this platform in its install script.
  const npm = spawnSync('npm', [...arguments_, '--ignore-scripts=false'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0 || !existsSync(node))
    throw new Error(`Node ${major} could not be installed`);
  return node;
}
