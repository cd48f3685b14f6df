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
