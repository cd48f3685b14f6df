// What the addon contains of others: the notices that their licences ask for, and a software bill of
// materials (CycloneDX 1.6). Both are made from Cargo.lock, which cargo reads. scripts/pack.mjs puts them
// into the packages.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ADDON = 'dodici-native';
/** Not COPYING: where zstd has one, it is the GPL, which its LICENSE is the alternative to. */
const LICENCE_FILE = /^(LICEN[CS]E|NOTICE|COPYRIGHT)/i;

/** Crates that are linked into the addon for a target (a triple), the addon's own among them. */
export function linkedCrates(target) {
  const { packages, resolve } = JSON.parse(
    cargo('metadata', '--locked', '--format-version', '1', '--filter-platform', target),
  );
  // `cargo tree` knows the features of one package, `cargo metadata` only those of the workspace.
  const edges = ['--edges', 'normal,no-proc-macro', '--prefix', 'none', '--format', '{p}'];
  const tree = cargo('tree', '--locked', '--package', ADDON, '--target', target, ...edges);
  const linked = new Set(tree.split('\n').map((line) => line.split(' ').slice(0, 2).join(' ')));
  const byId = new Map(
    packages
      .filter(({ name, version }) => linked.has(`${name} v${version}`))
      .map((crate) => [crate.id, crate]),
  );
  const purl = ({ name, version }) => `pkg:cargo/${name}@${version}`;
  const checksums = new Map(
    [
      ...readFileSync(join(ROOT, 'Cargo.lock'), 'utf8').matchAll(
        /name = "(.*)"\nversion = "(.*)"\nsource = .*\nchecksum = "(.*)"/g,
      ),
    ].map(([, name, version, checksum]) => [purl({ name, version }), checksum]),
  );
  return resolve.nodes
    .filter(({ id }) => byId.has(id))
    .map(({ id, deps }) => ({
      ...byId.get(id),
      purl: purl(byId.get(id)),
      checksum: checksums.get(purl(byId.get(id))),
      needs: deps
        .filter(
          ({ pkg, dep_kinds }) => byId.has(pkg) && dep_kinds.some(({ kind }) => kind === null),
        )
        .map(({ pkg }) => purl(byId.get(pkg))),
    }))
    .sort((a, b) => (a.purl < b.purl ? -1 : 1));
}

function cargo(...args) {
  const { status, stdout, stderr, error } = spawnSync('cargo', args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 256 << 20,
  });
  if (status !== 0) throw new Error(`cargo ${args[0]}: ${error?.message ?? stderr}`);
  return stdout;
}

/** Markdown with every licence text once, below the crates that come with it. */
export function notices(crates) {
  const foreign = crates.filter(({ source }) => source !== null);
  const texts = new Map();
  for (const crate of foreign) {
    for (const text of licenceTexts(crate, foreign)) {
      if (!texts.has(text)) texts.set(text, []);
      texts.get(text).push(`${crate.name} ${crate.version}`);
    }
  }
  const table = foreign.map(
    ({ name, version, license, repository }) =>
      `| ${name} ${version} | ${license ?? 'see below'} | ${repository ?? ''} |`,
  );
  const sections = [...texts].map(
    ([text, users]) => `## ${users.join(', ')}\n\n~~~text\n${text}\n~~~`,
  );
  return `# Third-party notices

dodici's native addon contains these crates, and Rust's standard library (MIT OR Apache-2.0, The Rust Project Developers).

| crate | licence | source |
| --- | --- | --- |
${table.join('\n')}

${sections.join('\n\n')}
`;
}

/** Licence texts of a crate, and of the C libraries in it. */
function licenceTexts(crate, crates) {
  const own = textsIn(crate.manifest_path);
  if (own.length > 0) return own;
  // Some have none; it is in another crate of the same repository, or a well-known one.
  const sibling = crates.find(
    ({ repository, manifest_path }) =>
      repository === crate.repository && textsIn(manifest_path).length > 0,
  );
  if (sibling !== undefined) return textsIn(sibling.manifest_path);
  const { name, license, authors } = crate;
  if (!license?.includes('MIT')) throw new Error(`${name} has no licence text`);
  const ours = readFileSync(join(ROOT, 'LICENSE-MIT'), 'utf8').trim();
  return [ours.replace(/^Copyright .*/m, `Copyright (c) ${authors.join(', ')}`)];
}

function textsIn(manifest) {
  const folder = dirname(manifest);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name))
    .map(({ parentPath, path, name }) => join(parentPath ?? path, name))
    .sort();
  const text = (file) => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim();
  return [...new Set(files.map(text))];
}

/** CycloneDX of an npm package. `crates` are those in its addon, `peers` npm packages by version. */
export function billOfMaterials({ name, version, license }, { crates = [], peers = [] }) {
  const ref = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const licences = (expression) => (expression ? { licenses: [{ expression }] } : {});
  const peerRefs = peers.map((peer) => `pkg:npm/${peer.name}@${peer.version}`);
  // Cargo once allowed `MIT/Apache-2.0`.
  const expression = (crate) => crate.license?.replaceAll('/', ' OR ');
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'library',
        'bom-ref': ref,
        name,
        version,
        purl: ref,
        ...licences(license),
      },
    },
    components: [
      ...peers.map((peer, index) => ({
        type: 'library',
        'bom-ref': peerRefs[index],
        name: peer.name,
        version: peer.version,
        scope: 'excluded',
        purl: peerRefs[index],
        ...licences(peer.license),
      })),
      ...crates.map((crate) => ({
        type: 'library',
        'bom-ref': crate.purl,
        name: crate.name,
        version: crate.version,
        purl: crate.purl,
        ...licences(expression(crate)),
        ...(crate.checksum ? { hashes: [{ alg: 'SHA-256', content: crate.checksum }] } : {}),
      })),
    ],
    dependencies: [
      {
        ref,
        dependsOn: [
          ...peerRefs,
          ...crates.filter((one) => one.name === ADDON).map((one) => one.purl),
        ],
      },
      ...crates.map((crate) => ({ ref: crate.purl, dependsOn: crate.needs })),
    ],
  };
}
