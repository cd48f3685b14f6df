// Each bundler as a user sets it up for a program on Node, with everything in the bundle. run.mjs runs
// them in a project, in which dodici and undici are installed.
import { join } from 'node:path';

/** What a bundle of CommonJS modules as an ES module needs from esbuild's user. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** Each makes a bundle of `entry`, below `project`, and returns its path. */
export const BUNDLERS = {
  'esbuild, CommonJS': (project, entry) => withEsbuild(project, entry, { format: 'cjs' }, 'js'),
  'esbuild, ESM': (project, entry) =>
    withEsbuild(project, entry, { format: 'esm', banner: { js: REQUIRE } }, 'mjs'),

  async webpack(project, entry) {
    const { default: webpack } = await import('webpack');
    const path = join(project, 'out-webpack');
    const stats = await new Promise((resolve, reject) => {
      webpack(
        {
          context: project,
          mode: 'production',
          target: 'node',
          entry: join(project, entry.cjs),
          output: { path, filename: 'main.cjs' },
        },
        (error, result) => (error ? reject(error) : resolve(result)),
      );
    });
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }));
    return join(path, 'main.cjs');
  },

  async rollup(project, entry) {
    const { rollup } = await import('rollup');
    const { default: commonjs } = await import('@rollup/plugin-commonjs');
    const { default: json } = await import('@rollup/plugin-json');
    const { default: nodeResolve } = await import('@rollup/plugin-node-resolve');
    const bundle = await rollup({
      input: join(project, entry.mjs),
      plugins: [
        nodeResolve({ preferBuiltins: true }),
        // undici asks for it when it is used, Rollup would at once, and Node 20 has none.
        commonjs({ ignore: ['node:sqlite'] }),
        json(),
      ],
      onwarn() {},
    });
    const file = join(project, 'out-rollup', 'main.mjs');
    await bundle.write({ file, format: 'es' });
    await bundle.close();
    return file;
  },

  async vite(project, entry) {
    const { build } = await import('vite');
    await build({
      root: project,
      configFile: false,
      logLevel: 'error',
      ssr: { noExternal: true },
      build: { ssr: join(project, entry.mjs), outDir: 'out-vite', minify: true },
    });
    return join(project, 'out-vite', 'request.mjs');
  },
};

async function withEsbuild(project, entry, more, extension) {
  const { build } = await import('esbuild');
  const outfile = join(project, `out-esbuild-${more.format}`, `main.${extension}`);
  await build({
    absWorkingDir: project,
    entryPoints: [more.format === 'cjs' ? entry.cjs : entry.mjs],
    bundle: true,
    platform: 'node',
    logLevel: 'error',
    outfile,
    ...more,
  });
  return outfile;
}
