// Addons of all Linux platforms, built with the tools of the release workflow; and whether the crates
// compile for systems that are not here.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { PLATFORMS } from '../platforms.mjs';
import { fromPyPI, node, ROOT, run, skipWithout, WORK } from './run.mjs';

export const ADDONS = join(ROOT, 'target', 'addons');
export const LINUX = PLATFORMS.filter(({ os }) => os === 'linux');
/** Also in .github/workflows/release.yml. */
const ZIG = ['cargo-zigbuild==0.24.0', 'ziglang==0.17.1'];
/** The binutils of this machine only know its own processor. */
const BINUTILS = { arm64: 'aarch64-linux-gnu', arm: 'arm-linux-gnueabihf' };

/** Builds the addon of a Linux platform. */
export async function buildAddon({ name, cpu, target }) {
  const bin = await fromPyPI('zig', ZIG);
  await addTarget(target);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  if (cpu !== process.arch) {
    env.OBJCOPY = `${BINUTILS[cpu]}-objcopy`;
    await run(env.OBJCOPY, ['--version'], { pipe: true }).catch(skipWithout(env.OBJCOPY));
  }
  await run(process.execPath, ['scripts/native.mjs', '--platform', name], { env });
}

/** Checks which glibc an addon needs. */
export function checkGlibc({ name }) {
  return node('scripts/check-glibc.mjs', join(ADDONS, name, 'dodici.node'));
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
}

async function addTarget(target) {
  const needed = `Rust's standard library for ${target}`;
  await run('rustup', ['target', 'add', target]).catch(skipWithout(needed));
}

function script(path, text) {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
