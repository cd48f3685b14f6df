/**
 * The flags that Node was started with.
 *
 * What lives here: those of the command line and of `NODE_OPTIONS`, in one spelling. Node shows most
 * of them in no other way. It must not know what they mean.
 */

/** Each as `--name` or `--name=value`, with dashes, as Node reads them at its start. */
export function nodeFlags(): readonly string[] {
  const given = [...(process.env['NODE_OPTIONS'] ?? '').split(/[\s"]+/), ...process.execArgv];
  // Node takes underscores for dashes, in names only.
  return given.map((flag) => flag.replace(/^--[^=]*/, (name) => name.replaceAll('_', '-')));
}
