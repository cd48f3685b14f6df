// undici's own type tests (test/types) with our declarations in place of undici's.
//
// What lives here: a package that has our declarations under undici's paths, tsd over it, and the
// comparison of its complaints with ledger-types.json. It must not know how cases are run.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { ROOT } from "./pins.mjs";

const ASSERTION =
  /\bexpect(?:Type|NotType|Assignable|NotAssignable|Error|Never|Deprecated|NotDeprecated|DocCommentIncludes)\s*[<(]/g;

/**
 * Runs the type tests of a checkout.
 *
 * @param {string} suite
 * @param {string | undefined} module dodici's main file; without it undici's own declarations are tested
 * @returns {Promise<{ assertions: number, failures: { file: string, code: string, message: string }[] }>}
 *   `code`: the line that fails
 */
export async function checkTypes(suite, module) {
  const fromSuite = createRequire(join(suite, "package.json"));
  const { default: tsd } = fromSuite("tsd");
  const folder = module === undefined ? suite : substitute(suite, module);
  const tests = join(folder, "test", "types");
  const lines = new Map(
    readdirSync(tests).map((name) => [name, readFileSync(join(tests, name), "utf8").split("\n")]),
  );
  const assertions = [...lines.values()].flat().join("\n").match(ASSERTION)?.length ?? 0;
  const failures = (await tsd({ cwd: folder }))
    .filter(({ severity }) => severity === "error")
    .map(({ fileName, line, message }) => {
      const code = lines.get(basename(fileName))?.[(line ?? 1) - 1] ?? "";
      return { file: relative(folder, fileName), code: code.trim(), message };
    });
  return { assertions, failures };
}

/** A package that looks like the checkout to its type tests, with our declarations. */
function substitute(suite, module) {
  const manifest = JSON.parse(readFileSync(join(suite, "package.json"), "utf8"));
  const folder = join(ROOT, "target", "conformance", `types-v${manifest.version}`);
  const packages = join(folder, "node_modules");
  rmSync(folder, { recursive: true, force: true });
  for (const path of ["types", "test", "node_modules"]) mkdirSync(join(folder, path), { recursive: true });
  cpSync(join(suite, "test", "types"), join(folder, "test", "types"), { recursive: true });

  const { name, version, tsd } = manifest;
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name, version, tsd, types: "index.d.ts" }),
  );
  writeFileSync(join(folder, "index.d.ts"), reexport("dodici"));
  for (const file of readdirSync(join(suite, "types"))) {
    if (!file.endsWith(".d.ts")) continue;
    const hasDefault = /^export default |\bas default\b/m.test(
      readFileSync(join(suite, "types", file), "utf8"),
    );
    const source = `undici/types/${file.slice(0, -".d.ts".length)}`;
    const text = file === "index.d.ts" ? reexport("../index") : reexport(source, hasDefault);
    writeFileSync(join(folder, "types", file), text);
  }

  // A copy: our declarations find the undici beside them, which is the checkout.
  const dist = dirname(module);
  cpSync(dist, join(packages, "dodici", "dist"), {
    recursive: true,
    filter: (path) => !/\.(?:js|map|mjs)$/.test(path),
  });
  cpSync(join(dist, "..", "package.json"), join(packages, "dodici", "package.json"));
  symlinkSync(suite, join(packages, "undici"), "junction");
  for (const some of ["@types", "tsd", "@tsd"]) {
    symlinkSync(join(suite, "node_modules", some), join(packages, some), "junction");
  }
  return folder;
}

function reexport(source, hasDefault = true) {
  const named = `export * from ${JSON.stringify(source)};\n`;
  return hasDefault ? `${named}export { default } from ${JSON.stringify(source)};\n` : named;
}

/**
 * Prints the result. @returns the exit code
 *
 * @param {Awaited<ReturnType<typeof checkTypes>>} result
 * @param {{ file: string, case: string, reason: string }[]} ledger `case`: the line that may fail
 * @param {boolean} isPin an entry that is not needed is stale
 */
export function showTypes({ assertions, failures }, ledger, isPin) {
  const entryOf = ({ file, code }) =>
    ledger.find((entry) => entry.file === file && entry.case === code);
  const unexplained = failures.filter((failure) => entryOf(failure) === undefined);
  const needed = new Set(failures.map(entryOf));
  const stale = isPin ? ledger.filter((entry) => !needed.has(entry)) : [];
  for (const { file, code, message } of unexplained) {
    console.log(`${file}: ${code}\n    ${message.replaceAll("\n", "\n    ")}`);
  }
  for (const entry of stale) console.log(`stale ledger entry: ${entry.file}: ${entry.case}`);
  const places = new Set(failures.map(({ file, code }) => `${file}\n${code}`));
  console.log(
    `types: ${assertions - places.size} of ${assertions} assertions pass, ${unexplained.length} failures unexplained`,
  );
  return unexplained.length > 0 || stale.length > 0 ? 1 : 0;
}
