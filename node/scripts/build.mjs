// Builds dist/: rolldown for the code, tsc for the declarations, then the ESM wrapper, whose named
// exports are those of the code's entry, so that they cannot fall behind it.
//
//   dist/index.js       the package's names
//   dist/dodici.js      the code of all modules: one file, because finding, reading and compiling
//                       sixty takes several times as long as what they do when they are loaded
//   dist/first-fetch.js what the first fetch loads; see src/fetch/first-fetch.ts
//   dist/undici-peer.js the first look at the peer; see src/undici/peer.ts
//   dist/internal/*.js  names of single modules in dodici.js, for the tests; not published
//   dist/index.mjs      the package's names for ESM
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src');
const dist = join(root, 'dist');
const require = createRequire(import.meta.url);

/** Modules that tests import by themselves. */
const TESTED = [
  'connection/errors',
  'connection/events',
  'dispatchers/agent',
  'dispatchers/client',
  'dispatchers/h2c-client',
  'dispatchers/pool',
  'headers/fields',
  'headers/request-headers',
  'headers/raw-list',
  'native/explain',
  'native/loader',
  'native/platform',
  'native/truncated',
  'options/generated',
  'options/option-writer',
  'options/options',
  'options/origins',
  'options/pkcs12',
  'options/parse-origin',
  'options/process-settings',
  'process/roots',
  'session/turns',
  'session/young-chunks',
  'undici/fetch-decoding',
  'undici/undici',
  'wire/bytes',
  'wire/generated',
  'wire/pages',
  'wire/reader',
  'wire/writer',
];

/** Files of this build, below dist/. */
const written = new Set();

/** Writes only what changed, so that watchers and time stamps stay quiet. */
function write(name, content) {
  written.add(name);
  const path = join(dist, name);
  if (existsSync(path) && readFileSync(path, 'utf8') === content) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

const tsc = spawnSync(
  process.execPath,
  [require.resolve('typescript/bin/tsc'), '-p', root, '--emitDeclarationOnly'],
  { stdio: 'inherit' },
);
if (tsc.status !== 0) process.exit(tsc.status ?? 1);

/**
 * The peer stays outside. What imports it gets `undici-peer.js`: bundles load what is outside before
 * anything else runs, and the peer is to be looked at first.
 */
const peerIsCheckedFirst = {
  name: 'dodici:peer',
  resolveId(specifier, _importer, { kind }) {
    if (!/^undici(\/|$)/.test(specifier)) return null;
    const id = kind === 'import-statement' ? join(source, 'undici-peer.js') : specifier;
    return { id, external: 'relative' };
  },
};

/** One character beyond Latin-1, and V8 has two bytes for each character of a file. */
function inAscii(code) {
  return code.replaceAll(/[\u0080-\uffff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** What `src/fetch/fetch.ts` requires is a file of its own, which the first fetch loads. */
const fetchIsLoadedLater = {
  name: 'dodici:fetch',
  resolveId(specifier) {
    if (specifier !== './first-fetch') return null;
    return { id: join(source, 'first-fetch.js'), external: 'relative' };
  },
};

/** Bundles `input`, names and paths below src/, and writes it. Returns its files. */
async function bundle(input, more) {
  const built = await rolldown({
    input: Object.fromEntries(input.map(([name, path]) => [name, join(source, `${path}.ts`)])),
    plugins: [peerIsCheckedFirst, fetchIsLoadedLater],
    platform: 'node',
    preserveEntrySignatures: 'strict',
    onLog(level, log) {
      // `index.ts` and `undici/peer.ts` mean it: what they become is CommonJS.
      if (log.code === 'COMMONJS_VARIABLE_IN_ESM') return;
      throw new Error(`${level}: ${log.message}`);
    },
  });
  const { output } = await built.generate({
    dir: dist,
    format: 'cjs',
    exports: 'named',
    sourcemap: true,
    // A third of the text, all of which Node would read; the source maps have it.
    comments: false,
    generatedCode: { symbols: false },
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    ...more,
  });
  await built.close();
  for (const { code } of output) {
    // Stack traces and `util.inspect` show the names of classes.
    const renamed = /\b(\w+)\$\d+ = class\b/.exec(code);
    if (renamed) throw new Error(`the class ${renamed[1]} was renamed: its name is taken`);
  }
  for (const file of output) {
    write(file.fileName, file.type === 'chunk' ? inAscii(file.code) : file.source);
  }
  return output;
}

await bundle([['undici-peer', 'undici/peer']], {});
const output = await bundle(
  [
    ['index', 'index'],
    ['first-fetch', 'fetch/first-fetch'],
    ...TESTED.map((name) => [`internal/${name}`, name]),
  ],
  {
    // The others' names stay out of it, so that its own classes keep theirs.
    codeSplitting: {
      groups: [
        {
          name: 'dodici',
          test: /^(?!.*[\\/](?:src[\\/]index|undici[\\/]exports|fetch[\\/](?!index|fetch\.|border)[\w-]+)\.ts$)/,
        },
      ],
    },
  },
);

const names = output
  .find(({ fileName }) => fileName === 'index.js')
  .exports.filter((name) => name !== 'default')
  .sort();
write(
  'index.mjs',
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
  'index.d.mts',
  `export * from './index.js';
import dodici = require('./index.js');
export default dodici;
`,
);

// What modules of former times left behind.
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  const name = relative(dist, join(entry.parentPath ?? entry.path, entry.name)).replaceAll(
    sep,
    '/',
  );
  if (!entry.isFile() || name.startsWith('.') || written.has(name)) continue;
  const module = /^(.+)\.d\.ts$/.exec(name)?.[1];
  if (module === undefined || !existsSync(join(source, `${module}.ts`))) rmSync(join(dist, name));
}
