// Builds dist/: tsc for the CommonJS output and the declarations, then the ESM wrapper, whose named
// exports are read off the compiled files so that they cannot fall behind it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Writes only what changed, so that watchers and time stamps stay quiet. */
function write(path, content) {
  if (existsSync(path) && readFileSync(path, 'utf8') === content) return;
  writeFileSync(path, content);
}

mkdirSync(`${root}dist`, { recursive: true });
const tsc = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', root], {
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

/** The names that a compiled module exports, `export *` apart. */
function exportsOf(file) {
  const compiled = readFileSync(`${root}dist/${file}`, 'utf8');
  return [...compiled.matchAll(/^(?:Object\.defineProperty\(exports, "|exports\.)(\w+)/gm)].map(
    ([, name]) => name,
  );
}

const names = [...new Set([...exportsOf('index.js'), ...exportsOf('undici-exports.js')])]
  .filter((name) => name !== '__esModule' && name !== 'default')
  .sort();
if (!names.includes('Agent') || !names.includes('request')) {
  throw new Error('the exports of dist/index.js were not recognised');
}

write(
  `${root}dist/index.mjs`,
  `// Written by scripts/build.mjs: the names of index.js for ESM. A name that the installed undici
// lacks is undefined.
import dodici from './index.js';

export const {
${names.map((name) => `  ${name},`).join('\n')}
} = dodici;
export default dodici;
`,
);
write(
  `${root}dist/index.d.mts`,
  `export * from './index.js';
import dodici = require('./index.js');
export default dodici;
`,
);
