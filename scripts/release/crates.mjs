// What can be tried of a release on crates.io: the crates as they are uploaded, documentation as docs.rs
// builds it, and the oldest versions that Cargo.toml allows.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT, run, WORK } from './run.mjs';

/** Lets a stable toolchain do what docs.rs and the check of versions need a nightly one for. */
const UNSTABLE = { RUSTC_BOOTSTRAP: '1' };
/** What is compiled here does not run. */
const QUICKLY = { CARGO_PROFILE_DEV_OPT_LEVEL: '0', CARGO_PROFILE_DEV_DEBUG: '0' };

/** `cargo publish --dry-run` of the published crates, each compiled from its package. */
export async function packageCrates() {
  const crates = (await publishedCrates()).flatMap(({ name }) => ['-p', name]);
  const env = { ...process.env, ...QUICKLY };
  await run('cargo', ['publish', '--dry-run', '--locked', '--allow-dirty', ...crates], { env });
}

/** Documentation with the features and flags that docs.rs takes from Cargo.toml. */
export async function checkDocumentation() {
  for (const { name, metadata } of await publishedCrates()) {
    const { features = [], 'rustdoc-args': flags = [] } = metadata?.docs?.rs ?? {};
    const args = ['--no-deps', '--locked', '-p', name, '--features', features.join(',')];
    const flagsOfRustdoc = [...flags, '-D', 'warnings'].join(' ');
    const env = { ...process.env, ...UNSTABLE, RUSTDOCFLAGS: flagsOfRustdoc };
    await run('cargo', ['doc', ...args], { env });
  }
}

/** Compiles the published crates with the oldest versions of what they depend on directly. */
export async function checkMinimalVersions() {
  // A copy, because the lockfile is another.
  const copy = join(WORK, 'minimal-versions');
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const part of [
    '.cargo',
    'Cargo.toml',
    'bench',
    'crates',
    'node/native',
    'rust-toolchain.toml',
  ])
    cpSync(join(ROOT, part), join(copy, part), { recursive: true, dereference: true });
  const target = { CARGO_TARGET_DIR: join(WORK, 'minimal-target') };
  const env = { ...process.env, ...UNSTABLE, ...QUICKLY, ...target };
  await run('cargo', ['generate-lockfile', '-Zdirect-minimal-versions'], { cwd: copy, env });
  for (const { name, metadata } of await publishedCrates()) {
    const features = metadata?.docs?.rs?.features ?? [];
    const args = ['--locked', '-p', name, '--features', features.join(',')];
    await run('cargo', ['check', ...args], { cwd: copy, env });
  }
}

async function publishedCrates() {
  const metadata = ['metadata', '--locked', '--no-deps', '--format-version', '1'];
  const { packages } = JSON.parse(await run('cargo', metadata, { quiet: true }));
  return packages.filter(({ publish }) => publish === null);
}
