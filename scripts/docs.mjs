// `just docs`: builds the documentation site in docs/.vitepress/dist, with the reference of the npm
// package that TypeDoc writes, and checks every link in it. `just docs-dev` serves it while you write.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.mjs';

const HELP = `Usage: just docs [options]

  --dev    serve the site and show changes at once, instead of building it
`;
const DOCS = fileURLToPath(new URL('../docs/', import.meta.url));
const SITE = join(DOCS, '.vitepress', 'dist');

const { values: options } = commandLine(HELP, {
  options: { dev: { type: 'boolean', default: false } },
});

run('typedoc', ['--logLevel', 'Warn', '--treatWarningsAsErrors']);
run('vitepress', [options.dev ? 'dev' : 'build']);
if (!options.dev) {
  const dead = deadLinks();
  for (const link of dead) console.error(link);
  if (dead.length > 0) process.exit(1);
}

/** Runs a tool of docs/node_modules there. */
function run(tool, args) {
  const { bin } = JSON.parse(
    readFileSync(join(DOCS, 'node_modules', tool, 'package.json'), 'utf8'),
  );
  const file = join(DOCS, 'node_modules', tool, typeof bin === 'string' ? bin : bin[tool]);
  const { status } = spawnSync(process.execPath, [file, ...args], { cwd: DOCS, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** Links in the site to a file or an anchor that is not there. VitePress itself checks pages only. */
function deadLinks() {
  const files = readdirSync(SITE, { recursive: true })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.html'));
  const pages = new Map(
    files.map((file) => {
      const text = readFileSync(join(SITE, file), 'utf8');
      const all = (attribute) =>
        [...text.matchAll(new RegExp(`\\s${attribute}="([^"]*)"`, 'g'))].map(([, value]) => value);
      return [`/${file}`, { anchors: new Set(all('id')), links: [...all('href'), ...all('src')] }];
    }),
  );
  const dead = [];
  let count = 0;
  for (const [page, { links }] of pages) {
    for (const link of new Set(links)) {
      if (/^[a-z]+:/.test(link)) continue;
      count += 1;
      const [path, anchor = ''] = decodeURIComponent(link).split('#');
      const target = path === '' ? page : posix.resolve(posix.dirname(page), path);
      const found =
        pages.get(target) ??
        pages.get(`${target}.html`) ??
        pages.get(posix.join(target, 'index.html'));
      const isThere = found
        ? anchor === '' || found.anchors.has(anchor)
        : statSync(join(SITE, target), { throwIfNoEntry: false })?.isFile();
      if (!isThere) dead.push(`${page}: ${link} leads nowhere`);
    }
  }
  console.log(`${pages.size} pages, ${count} links`);
  return dead;
}
