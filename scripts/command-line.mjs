// The command lines of our scripts.
import { parseArgs } from 'node:util';

/**
 * Options and names on this process's command line. With `--help` it prints `help` and ends.
 *
 * @template {import('node:util').ParseArgsConfig} Config
 * @param {string} help
 * @param {Config} config
 * @returns {ReturnType<typeof parseArgs<Config>>}
 */
export function commandLine(help, config = {}) {
  const options = { ...config.options, help: { type: 'boolean', short: 'h', default: false } };
  const parsed = parseArgs({ ...config, options });
  if (parsed.values.help) {
    process.stdout.write(help);
    process.exit(0);
  }
  return parsed;
}
