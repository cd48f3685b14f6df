/**
 * The flags that Node was started with.
 *
 * What lives here: the flags of the command line and of `NODE_OPTIONS`, normalized. Node exposes most of
 * them in no other way. It must not know what they mean.
 */

const given = [...(process.env['NODE_OPTIONS'] ?? '').split(/[\s"]+/), ...process.execArgv];

/** Each as `--name` or `--name=value`, with dashes, as Node reads them at startup. */
export const NODE_FLAGS: readonly string[] = given.map((flag) =>
  // Node accepts underscores as dashes, in names only.
  flag.replace(/^--[^=]*/, (name) => name.replaceAll('_', '-')),
);

/**
 * Whether V8's flags may be changed: not if they are frozen, which ends the process, not under the
 * permission model, and not on a runtime other than Node.
 */
export function mayChangeV8Flags(): boolean {
  const { bun, deno } = process.versions;
  if (bun !== undefined || deno !== undefined) return false;
  if ((process as { permission?: unknown }).permission !== undefined) return false;
  return !NODE_FLAGS.includes('--freeze-flags-after-init');
}
