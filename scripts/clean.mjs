// Deletes everything that git ignores and a recipe can make again. `just clean` calls it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MADE = [
  'target',
  'node/node_modules',
  'node/.nodes',
  'node/dist',
  'node/prebuilds',
  'bench/node_modules',
  'docs/.vitepress/cache',
  'docs/.vitepress/dist',
  'docs/node-api',
  'docs/node_modules',
  'rehearsal/node_modules',
  'bench/results',
];

for (const name of MADE) rmSync(join(ROOT, name), { recursive: true, force: true });
