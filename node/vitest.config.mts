// Tests run against the built package, as users get it: imports of src/ lead to dist/, so that
// workers and child processes, which load dist/ themselves, see the same code. Single modules are
// those that scripts/build.mjs has in its list.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';
import type { Reporter } from 'vitest/node';

const source = fileURLToPath(new URL('./src/', import.meta.url));
const built = fileURLToPath(new URL('./dist/', import.meta.url));

// The peer under test; undici 8 does not load on Node 20.
process.env['DODICI_TEST_PEER'] ??= process.versions.node.startsWith('20.') ? '7' : '8';
const peerHook = fileURLToPath(new URL('./scripts/peer-hook.cjs', import.meta.url));
const nodeOptions = process.env['NODE_OPTIONS'] ?? '';
if (!nodeOptions.includes(peerHook)) {
  process.env['NODE_OPTIONS'] = `${nodeOptions} --require=${JSON.stringify(peerHook)}`.trim();
}
const peer = process.env['DODICI_TEST_PEER'] === '7' ? 'undici7' : 'undici';

const testsUseTheBuiltPackage: Plugin = {
  name: 'dodici:built-package',
  enforce: 'pre',
  resolveId(specifier, importer) {
    if (importer === undefined || !specifier.startsWith('.')) return null;
    const path = fileURLToPath(new URL(specifier, `file://${importer}`));
    if (!path.startsWith(source)) return null;
    const module = path.slice(source.length).replace(/\.[jt]s$/, '');
    const file = `${built}${module === 'index' ? '' : 'internal/'}${module}.js`;
    if (existsSync(file)) return file;
    throw new Error(`${file} was not built: put "${module}" into the list of scripts/build.mjs`);
  },
};

/** Names tests that only passed when repeated; see scripts/test.mjs. */
const flaky: Reporter = {
  onTestCaseResult(test) {
    if (test.diagnostic()?.flaky)
      console.log(`FLAKY ${test.module.relativeModuleId} ${test.fullName}`);
  },
};

const shared = {
  plugins: [testsUseTheBuiltPackage],
  resolve: { alias: { undici: peer } },
  test: {
    environment: 'node' as const,
    pool: 'forks' as const,
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 30_000,
    retry: process.env['CI'] ? 1 : 0,
  },
};

export default defineConfig({
  test: {
    // Vitest would leave one processor free: of two, which CI has, that is half.
    maxWorkers: availableParallelism(),
    reporters: ['default', flaky],
    projects: [
      {
        ...shared,
        test: { ...shared.test, name: 'unit', include: ['test/unit/**/*.test.ts'] },
      },
      {
        ...shared,
        test: {
          ...shared.test,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/security/**/*.test.ts'],
        },
      },
    ],
  },
});
