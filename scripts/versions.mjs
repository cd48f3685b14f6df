// Checks that everything that is released together has one version: the npm package, its lockfile, the
// workspace of crates, and the versions by which crates name each other. scripts/pack.mjs gives the same
// to the packages of the platforms. Also, that the Rust version that the crates ask for is the one that the
// tests run on. A step of `just lint`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (...path) => readFileSync(join(ROOT, ...path), 'utf8');

const lock = JSON.parse(read('node', 'package-lock.json'));
const cargo = read('Cargo.toml');
const found = [
  ['node/package.json', JSON.parse(read('node', 'package.json')).version],
  ['node/package-lock.json', lock.version],
  ['node/package-lock.json, packages', lock.packages[''].version],
  ['Cargo.toml, workspace.package', /\[workspace\.package\]\nversion = "(.*)"/.exec(cargo)?.[1]],
  ...[...cargo.matchAll(/^(dodici[\w-]*) = \{ path = .*version = "(.*?)"/gm)].map(
    ([, name, version]) => [`Cargo.toml, ${name}`, version],
  ),
];
const [[, version]] = found;
const wrong = found.filter(([, other]) => other !== version);
for (const [where, other] of wrong)
  console.error(`${where} has version ${other}, node/package.json ${version}`);
console.log(`${found.length} versions, ${wrong.length} of them other than ${version}`);
if (wrong.length > 0 || found.length < 6) process.exitCode = 1;

const minimum = /^rust-version = "(.*)"/m.exec(cargo)?.[1];
const channel = /^channel = "(.*)"/m.exec(read('rust-toolchain.toml'))?.[1];
if (channel !== `${minimum}.0`) {
  console.error(`Cargo.toml asks for Rust ${minimum}, and rust-toolchain.toml has ${channel}`);
  process.exitCode = 1;
}
