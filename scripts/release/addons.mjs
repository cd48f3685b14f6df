// Addons of all Linux platforms, built with the tools of the release workflow; and whether the crates
// compile for systems that are not here.
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { PLATFORMS } from '../platforms.mjs';
import { fromPyPI, node, ROOT, run, Skipped, skipWithout, WORK } from './run.mjs';

export const ADDONS = join(ROOT, 'target', 'addons');
export const LINUX = PLATFORMS.filter(({ os }) => os === 'linux');
/** Also in .github/workflows/release.yml. */
const ZIG = ['cargo-zigbuild==0.24.0', 'ziglang==0.17.1'];
/** The binutils of this machine only know its own processor. */
const BINUTILS = { arm64: 'aarch64-linux-gnu', arm: 'arm-linux-gnueabihf' };
/** The others than the one whose size is measured are not optimized, which takes half the time. */
export const QUICK = LINUX.map(({ name }) => name).filter((name) => name !== 'linux-x64-gnu');
const QUICKLY = {
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
  CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
};

/** Builds the addon of a Linux platform; unless `optimized`, of most not as well as it is released. */
export async function buildAddon({ name, cpu, target }, optimized) {
  const file = join(ADDONS, name, 'dodici.node');
  rmSync(file, { force: true });
  const bin = await fromPyPI('zig', ZIG);
  await addTarget(target);
  const isQuick = !optimized && QUICK.includes(name);
  const env = { ...process.env, ...(isQuick ? QUICKLY : {}) };
  env.PATH = `${bin}${delimiter}${process.env.PATH}`;
  if (cpu !== process.arch) {
    env.OBJCOPY = `${BINUTILS[cpu]}-objcopy`;
    const source = `Debian's package binutils-${BINUTILS[cpu]}`;
    await run(env.OBJCOPY, ['--version'], { quiet: true }).catch(skipWithout(env.OBJCOPY, source));
  }
  await run(process.execPath, ['scripts/native.mjs', '--platform', name], { env });
  const mega = (statSync(file).size / 1e6).toFixed(2);
  return `${mega} MB${isQuick ? ', not optimized' : ''}`;
}

/** Checks which glibc an addon needs. */
export async function checkGlibc({ name }) {
  const file = addonOf(name);
  const output = await node('scripts/check-glibc.mjs', file);
  return /needs (glibc .*)/.exec(output)[1];
}

/** The addon that was built for a platform. */
export function addonOf(name) {
  const file = join(ADDONS, name, 'dodici.node');
  if (!existsSync(file)) throw new Skipped(`needs the step "addon: ${name}"`);
  return file;
}

/**
 * Whether the crates compile for a system that is not here: `cargo check`, without linking. C code is left
 * out: its compiler's place is taken by one that makes empty files.
 */
export async function checkSystem({ target }) {
  await addTarget(target);
  const folder = join(WORK, 'compilers');
  mkdirSync(folder, { recursive: true });
  const compiler = script(
    join(folder, 'cc'),
    `output= compile= next=
for argument; do
  if [ "$next" ]; then output=$argument next=; fi
  case $argument in -c) compile=1 ;; -o) next=1 ;; esac
done
if [ "$compile" ] && [ "$output" ]; then : >"$output"; else exec cc "$@"; fi`,
  );
  const archiver = script(
    join(folder, 'ar'),
    `for argument; do case $argument in *.a|*.lib) : >"\${argument#?out:}" ;; esac; done`,
  );
  const name = target.replaceAll('-', '_');
  const env = {
    ...process.env,
    [`CC_${name}`]: compiler,
    [`CXX_${name}`]: compiler,
    [`AR_${name}`]: archiver,
    // The assembler of Windows is not here, either.
    AWS_LC_SYS_PREBUILT_NASM: '1',
  };
  const crates = ['dodici', 'dodici-native', 'dodici-reqwest'].flatMap((crate) => ['-p', crate]);
  await run('cargo', ['check', '--locked', '--target', target, ...crates], { env });
  return 'without C code and linking';
}

async function addTarget(target) {
  const library = `Rust's standard library for ${target}`;
  await run('rustup', ['target', 'add', target]).catch(skipWithout(library, 'rustup'));
}

function script(path, text) {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
