// The steps of the test command, in their order: what each runs and needs. scripts/test.mjs runs them.
import { spawnSync } from 'node:child_process';

const npm = (...args) => ['npm', ['run', '--silent', '--prefix', 'node', ...args]];
const deny = spawnSync('cargo', ['deny', '--version'], { stdio: 'ignore' }).status === 0;
const nextest = spawnSync('cargo', ['nextest', '--version'], { stdio: 'ignore' }).status === 0;

/**
 * In CI a failed test is repeated once, so that a flaky one does not stop a change that it has
 * nothing to do with; the end of the output names it. Elsewhere, a failure is a failure.
 */
const repeat = process.env.CI ? ['--retries', '1', '--final-status-level', 'flaky'] : [];

/** The one feature that tests of dodici-reqwest do not have on. */
const HICKORY = ['--features', 'dodici-reqwest/hickory-dns'];

/**
 * Nothing is compiled twice: all cargo commands below name the whole workspace, so that features,
 * and with them the dependencies, are the same. `cargo xtask` does not: with the step "compile",
 * xtask is what that has built.
 *
 * @typedef {object} Step
 * @property {string} id its name, also of its log
 * @property {string} group
 * @property {string} title
 * @property {[string, string[]]} command
 * @property {string[]} [needs] steps that must have passed
 * @property {string[]} [after] the same, but they are not run for this one alone
 * @property {'nextest' | 'cargo' | 'node' | 'vitest' | 'samples'} [counts] whose account of tests to read
 */
/** @type {Step[]} */
export const STEPS = [
  {
    id: 'rustfmt',
    group: 'lint',
    title: 'Rust formatting',
    command: ['cargo', ['fmt', '--all', '--check']],
  },
  {
    id: 'clippy',
    group: 'lint',
    title: 'Rust lints',
    command: [
      'cargo',
      ['clippy', '--workspace', '--all-targets', ...HICKORY, '--', '-D', 'warnings'],
    ],
  },
  {
    id: 'versions',
    group: 'lint',
    title: 'one version for all packages and crates',
    command: ['node', ['scripts/versions.mjs']],
  },
  ...(deny
    ? [
        {
          id: 'deny',
          group: 'lint',
          title: 'licences, bans and sources of crates',
          command: ['cargo', ['deny', '--offline', 'check', 'licenses', 'bans', 'sources']],
        },
      ]
    : []),
  {
    id: 'npm',
    group: 'lint',
    title: 'npm packages',
    command: ['node', ['scripts/setup.mjs', 'node']],
  },
  {
    id: 'eslint',
    group: 'lint',
    title: 'TypeScript lints and formatting',
    command: npm('lint'),
    needs: ['npm'],
  },
  {
    id: 'compile',
    group: 'rust',
    title: 'Rust tests, addon and servers',
    command: ['node', ['scripts/native.mjs', '--tests']],
  },
  {
    id: 'layers',
    group: 'lint',
    title: 'layer rules',
    command: ['xtask', ['layers']],
    after: ['compile'],
  },
  {
    id: 'requirements',
    group: 'lint',
    title: 'requirements and their tests',
    command: ['xtask', ['requirements']],
    after: ['compile'],
  },
  {
    id: 'docs',
    group: 'lint',
    title: 'paths and names in the documentation',
    command: ['xtask', ['docs']],
    after: ['compile'],
  },
  {
    id: 'codegen',
    group: 'lint',
    title: 'generated code is fresh',
    command: ['xtask', ['codegen', '--check']],
    after: ['compile'],
  },
  {
    id: 'lockfiles',
    group: 'lint',
    title: 'every Cargo.lock is current',
    command: ['xtask', ['lockfiles']],
    after: ['compile'],
  },
  {
    id: 'public-api',
    group: 'lint',
    title: 'public API of the Rust crates',
    command: ['xtask', ['public-api']],
    after: ['compile'],
  },
  {
    id: 'rust',
    group: 'rust',
    title: nextest ? 'Rust tests (nextest)' : 'Rust tests (cargo test)',
    command: nextest
      ? [
          'cargo',
          ['nextest', 'run', '--workspace', '--no-fail-fast', '--status-level', 'fail', ...repeat],
        ]
      : ['cargo', ['test', '--workspace', '--lib', '--bins', '--tests', '--no-fail-fast']],
    needs: ['compile'],
    counts: nextest ? 'nextest' : 'cargo',
  },
  {
    // Apart, because with the feature every name goes to a name server.
    id: 'hickory',
    group: 'rust',
    title: "hickory's resolver in dodici-reqwest",
    command: ['cargo', ['test', '--workspace', ...HICKORY, '--lib', 'hickory']],
    counts: 'cargo',
  },
  {
    id: 'doctests',
    group: 'rust',
    title: 'Rust documentation examples',
    command: ['cargo', ['test', '--workspace', '--doc', '--no-fail-fast']],
    counts: 'cargo',
  },
  {
    id: 'api-diff',
    group: 'rust',
    title: "public names against reqwest's",
    command: ['xtask', ['api-diff']],
    after: ['compile'],
  },
  {
    id: 'ecosystem',
    group: 'rust',
    title: 'reqwest-middleware and reqwest-retry over the shim',
    command: [
      'cargo',
      [
        ...['test', '--locked', '--tests'],
        ...['--manifest-path', 'conformance/reqwest/ecosystem/Cargo.toml'],
        ...['--target-dir', process.env.CARGO_TARGET_DIR ?? 'target'],
      ],
    ],
    counts: 'cargo',
  },
  {
    id: 'package',
    group: 'node',
    title: 'npm package',
    command: npm('build'),
    needs: ['npm'],
  },
  {
    id: 'boundary',
    group: 'node',
    title: 'addon without the package',
    command: [
      'node',
      [
        ...['--test', '--test-timeout', '120000', '--test-reporter', 'spec'],
        'node/native/tests/addon.test.mjs',
      ],
    ],
    needs: ['compile'],
    counts: 'node',
  },
  {
    id: 'types',
    group: 'node',
    title: 'types',
    command: npm('test:types'),
    needs: ['npm', 'package'],
  },
  {
    id: 'undici-diff',
    group: 'node',
    title: "names, options and defaults against undici's",
    command: ['node', ['conformance/undici/diff.mjs']],
    needs: ['npm', 'package'],
  },
  {
    id: 'vitest',
    group: 'node',
    title: 'vitest on Node 24, in part on Node 20',
    command: npm('test:short'),
    needs: ['npm', 'compile', 'package'],
    counts: 'vitest',
  },
  {
    id: 'runtimes',
    group: 'node',
    title: 'Bun and Deno',
    command: npm('test:runtimes'),
    needs: ['npm', 'compile', 'package'],
    counts: 'node',
  },
  {
    id: 'docs-npm',
    group: 'node',
    title: 'npm packages of the documentation',
    command: ['node', ['scripts/setup.mjs', 'docs']],
  },
  {
    id: 'site',
    group: 'node',
    title: 'documentation site and its links',
    command: ['node', ['scripts/docs.mjs']],
    needs: ['npm', 'docs-npm'],
  },
  {
    id: 'samples',
    group: 'node',
    title: 'samples of the documentation',
    command: ['node', ['scripts/check-samples.mjs']],
    needs: ['npm', 'docs-npm', 'compile', 'package'],
    counts: 'samples',
  },
  {
    id: 'rehearsal-tools',
    group: 'node',
    title: 'npm packages of the rehearsal',
    command: ['node', ['scripts/setup.mjs', 'rehearsal']],
  },
  {
    id: 'rehearsal',
    group: 'node',
    title: 'installed from a registry: ESM, CommonJS, a bundle',
    command: ['node', ['rehearsal/run.mjs', '--short']],
    needs: ['rehearsal-tools', 'npm', 'compile', 'package'],
    counts: 'samples',
  },
  {
    id: 'demo',
    group: 'node',
    title: 'demo',
    command: ['node', ['--require', './scripts/peer.cjs', 'node/demo/demo.mjs', '--seconds', '1']],
    needs: ['npm', 'compile', 'package'],
  },
];
