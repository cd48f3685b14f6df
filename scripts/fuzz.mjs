// `just fuzz`: runs each fuzz target for a minute, or those that are named. What libFuzzer finds
// interesting goes to target/fuzz-corpus, a crash to fuzz/artifacts: with its fix it moves to
// fuzz/corpus, where the tests run it from then on.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGETS = readdirSync(join(ROOT, 'fuzz', 'fuzz_targets')).map((file) => file.slice(0, -3));

const HELP = `Usage: just fuzz [target…] [--seconds N]

Targets: ${TARGETS.join(', ')}
  --seconds N   for each (default 60)
`;

const { values, positionals } = commandLine(HELP, {
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
  },
});
if (!(Number(values.seconds) > 0) || !positionals.every((name) => TARGETS.includes(name))) {
  process.stderr.write(HELP);
  process.exit(2);
}

// The pinned toolchain is a stable one, and sanitizers are not.
const env = { ...process.env, RUSTC_BOOTSTRAP: '1' };
const cargo = (args) => spawnSync('cargo', args, { cwd: ROOT, env, stdio: 'inherit' }).status === 0;
const installed = spawnSync('cargo', ['fuzz', '--version'], { stdio: 'ignore' }).status === 0;
if (!installed && !cargo(['install', 'cargo-fuzz', '--locked'])) {
  console.error(
    'fuzz: cargo-fuzz could not be installed: see https://github.com/rust-fuzz/cargo-fuzz',
  );
  process.exit(1);
}

const failed = [];
for (const name of positionals.length > 0 ? positionals : TARGETS) {
  console.log(`\n== ${name}`);
  const found = join('target', 'fuzz-corpus', name);
  mkdirSync(join(ROOT, found), { recursive: true });
  const limits = [`-max_total_time=${values.seconds}`, '-max_len=4096', '-timeout=20'];
  const corpus = [found, join('fuzz', 'corpus', name)];
  // Leaks are not looked for: threads and caches of the engine live as long as the process.
  const fuzzer = [...limits, '-detect_leaks=0', '-print_final_stats=1'];
  if (!cargo(['fuzz', 'run', name, ...corpus, '--', ...fuzzer])) failed.push(name);
}
console.log(failed.length === 0 ? '\npassed' : `\nFAILED: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
