// `just pack`: the npm packages as they are published, in target/packages: `dodici`, and one package for
// each platform whose addon is built. They are made from what is built, never from the sources'
// package.json alone: only here do the packages of the platforms become dependencies.
//
// Local addons are those of `node scripts/native.mjs`; the release workflow collects those of all
// platforms, and passes their folder.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commandLine } from './command-line.mjs';
import { PLATFORMS, thisPlatform } from './platforms.mjs';
import { billOfMaterials, linkedCrates, notices } from './third-party.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What the packed package of a platform may have. */
const MOST_BYTES = 4 << 20;
const LICENCES = ['LICENSE-MIT', 'LICENSE-APACHE'];

const HELP = `Usage: just pack [options]

  --addons DIR      addons as DIR/PLATFORM/dodici.node, for all platforms; without, that of the last
                    build, for this platform
  --out DIR         where packages go (default target/packages)
  --placeholders    packages of the other platforms without an addon, for a rehearsal
  --any-size A,B    platforms whose addons are not optimized, so that their size says nothing
  --dry-run         ends with \`npm publish --dry-run\` of each package
`;

const { values: options } = commandLine(HELP, {
  options: {
    addons: { type: 'string' },
    out: { type: 'string', default: join(ROOT, 'target', 'packages') },
    placeholders: { type: 'boolean', default: false },
    'any-size': { type: 'string', default: '' },
    'dry-run': { type: 'boolean', default: false },
  },
});
const out = resolve(options.out);
const manifest = JSON.parse(readFileSync(join(ROOT, 'node', 'package.json'), 'utf8'));
const { version, license, repository, bugs, homepage, author, engines } = manifest;
const local = thisPlatform();
rmSync(out, { recursive: true, force: true });

const folders = [];
let addons = 0;
for (const platform of PLATFORMS) {
  const addon = addonOf(platform);
  if (existsSync(addon)) {
    addons++;
    folders.push(platformPackage(platform, addon));
  } else if (options.placeholders) folders.push(platformPackage(platform, undefined));
  else if (options.addons !== undefined) fail(`${addon} does not exist`);
}
if (addons === 0) fail('no addon is built: run "just build"');
console.log(`packing ${folders.length + 1} packages, ${addons} of them with an addon…`);
pack([...folders, mainPackage()]);
console.log(`packages are in ${relative(process.cwd(), out) || '.'}`);

function addonOf(platform) {
  if (options.addons !== undefined)
    return join(resolve(options.addons), platform.name, 'dodici.node');
  if (platform !== local) return '';
  return join(ROOT, 'node', 'prebuilds', `${process.platform}-${process.arch}`, 'dodici.node');
}

/** Writes the folder of a platform's package. */
function platformPackage(platform, addon) {
  const { name, os, cpu, libc, target } = platform;
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  const own = {
    name: `@dodici/${name}`,
    version,
    description: `The native addon of dodici for ${name}`,
    license,
    author,
    repository,
    bugs,
    homepage,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    engines,
    // Yarn must not leave an addon in its archive: the system cannot load it from there.
    preferUnplugged: true,
    main: 'dodici.node',
    files: ['dodici.node', ...LICENCES, 'THIRD-PARTY.md', 'sbom.cdx.json'],
    publishConfig: { access: 'public' },
  };
  json(join(folder, 'package.json'), own);
  writeFileSync(
    join(folder, 'README.md'),
    `# @dodici/${name}\n\nThe native addon of [dodici](https://www.npmjs.com/package/dodici) for ${name}. It is installed with dodici.\n`,
  );
  for (const file of LICENCES) copyFileSync(join(ROOT, file), join(folder, file));
  if (addon === undefined) {
    writeFileSync(join(folder, 'dodici.node'), '');
    return folder;
  }
  copyFileSync(addon, join(folder, 'dodici.node'));
  if (platform === local && options.addons === undefined) {
    // The workflow's builds are stripped already, by scripts/native.mjs.
    const strip = { linux: ['--strip-all'], darwin: ['-x'] }[process.platform];
    if (strip) run('strip', [...strip, join(folder, 'dodici.node')]);
  }
  const crates = linkedCrates(target);
  writeFileSync(join(folder, 'THIRD-PARTY.md'), notices(crates));
  json(join(folder, 'sbom.cdx.json'), billOfMaterials(own, { crates }));
  return folder;
}

/** Writes the folder of the package `dodici`. */
function mainPackage() {
  const folder = join(out, 'dodici');
  mkdirSync(folder, { recursive: true });
  const { private: _private, scripts: _scripts, devDependencies: _dev, ...published } = manifest;
  published.optionalDependencies = Object.fromEntries(
    PLATFORMS.map(({ name }) => [`@dodici/${name}`, version]),
  );
  json(join(folder, 'package.json'), published);
  cpSync(join(ROOT, 'node', 'dist'), join(folder, 'dist'), { recursive: true });
  copyFileSync(join(ROOT, 'node', 'README.md'), join(folder, 'README.md'));
  for (const file of [...LICENCES, 'CHANGELOG.md'])
    copyFileSync(join(ROOT, file), join(folder, file));
  const lock = JSON.parse(readFileSync(join(ROOT, 'node', 'package-lock.json'), 'utf8'));
  const peers = Object.keys(manifest.peerDependencies).map((name) => ({
    name,
    ...lock.packages[`node_modules/${name}`],
  }));
  json(join(folder, 'sbom.cdx.json'), billOfMaterials(published, { peers }));
  return folder;
}

/** Makes the tarballs of the folders, and says what is in them. */
function pack(folders) {
  const output = run('npm', ['pack', '--json', '--pack-destination', out, ...folders]);
  for (const { id, filename, entryCount } of JSON.parse(output)) {
    const tarball = join(out, filename);
    const { size } = statSync(tarball);
    const mega = (size / 1e6).toFixed(2);
    console.log(`${id.padEnd(36)} ${mega.padStart(6)} MB, ${entryCount} files`);
    // Without --addons, it may be a build for tests.
    const isReleased = options.addons !== undefined || !options.placeholders;
    const isMeasured =
      isReleased &&
      !options['any-size'].split(',').some((name) => id.startsWith(`@dodici/${name}@`));
    if (isMeasured && size > MOST_BYTES) fail(`${filename} has more than 4 MiB`);
    if (!options['dry-run']) continue;
    // A dry run asks the registry which version is the latest, and does without an answer.
    const nowhere = ['--registry', 'http://localhost:9/', '--fetch-retries', '0'];
    run('npm', ['publish', '--dry-run', '--ignore-scripts', ...nowhere, tarball]);
  }
}

function run(program, args, cwd = ROOT) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status !== 0) fail(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

function json(path, content) {
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`);
}

function fail(message) {
  console.error(`pack: ${message}`);
  process.exit(1);
}
