// Preload (`NODE_OPTIONS=--require=…`) that puts our classes in place of undici's own.
//
// What lives here: the order of loading. lib/run-file.mjs sets the variables; NODE_OPTIONS carries the
// preload into workers and child processes, too. Nothing here depends on which test runs.
//
// 1. undici's dispatchers are loaded from the checkout as they are (hook/originals.cjs).
// 2. dodici is loaded with that checkout as its peer (hook/peer.cjs).
// 3. From then on, every require that resolves to one of those dispatchers returns our class, so
//    index.js, lib/global.js, lib/mock/* and the tests all get ours, by whatever path.
"use strict";

const { existsSync } = require("node:fs");
const Module = require("node:module");
const { join, sep } = require("node:path");
const { fileURLToPath } = require("node:url");

const suite = process.env.DODICI_CONFORMANCE_SUITE;
// Only the file under test reports (reporter.mjs), not what it spawns.
globalThis[Symbol.for("dodici.conformance.results")] = process.env.DODICI_CONFORMANCE_RESULTS;
delete process.env.DODICI_CONFORMANCE_RESULTS;
if (suite !== undefined) install(suite, process.env.DODICI_CONFORMANCE_MODULE);

/**
 * @param {string} checkout the suite's root
 * @param {string | undefined} ours dodici's main file; without it undici's classes stand in for
 *   ours, as subclasses, which shows whether the substitution itself changes anything
 */
function install(checkout, ours) {
  require("./hook/case-timeout.cjs").install();
  const originals = require("./hook/originals.cjs").load(
    checkout,
    ours === undefined ? "subclasses" : "delegates",
  );
  const marker = require("./hook/marker.cjs");
  if (ours === undefined) {
    marker.markSubclasses(originals);
    substitute(originals.byFile);
    return;
  }
  const peer = require("./hook/peer.cjs").create(checkout, originals);
  givePeer(packageRoot(ours), peer.exports, checkout, originals);
  const exported = require(ours);
  const classes = new Map([...originals.classes.keys()].map((name) => [name, exported[name]]));
  peer.finishLoading();
  substitute(marker.mark(classes, originals, checkout));
  if (process.env.DODICI_CONFORMANCE_FETCH === "1") {
    require("./hook/own-fetch.cjs").put(checkout, exported, peer);
  }
}

/** Our own package means the originals by undici's names, whoever else is given ours. */
function givePeer(packageFolder, exported, checkout, originals) {
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    if (parent?.filename?.startsWith(packageFolder)) {
      if (request === "undici" || request === "undici/index.js") return exported;
      if (request.startsWith("undici/")) {
        const file = require.resolve(join(checkout, request.slice("undici/".length)));
        return originals.byFile.get(file) ?? load.call(this, file, parent, isMain);
      }
    }
    return load.call(this, request, parent, isMain);
  };
}

/**
 * Makes every require of these files return these values.
 *
 * @param {Map<string, unknown>} values by file
 */
function substitute(values) {
  for (const [file, value] of values) {
    // Readers of `require.cache`, such as ESM, find ours, too.
    Module._cache[file].exports = value;
  }
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    // By path only: packages and built-in modules are not substituted.
    if (/^(?:\.|\/|file:|[A-Za-z]:[\\/])/.test(request)) {
      const file = resolve(request.startsWith("file:") ? fileURLToPath(request) : request, parent);
      if (values.has(file)) return values.get(file);
    }
    return load.call(this, request, parent, isMain);
  };
}

function resolve(request, parent) {
  try {
    return Module._resolveFilename(request, parent, false);
  } catch {
    return undefined;
  }
}

/** The directory of the package that `file` belongs to, with a trailing separator. */
function packageRoot(file) {
  let directory = join(file, "..");
  while (!existsSync(join(directory, "package.json"))) {
    const parent = join(directory, "..");
    if (parent === directory) throw new Error(`${file} belongs to no package`);
    directory = parent;
  }
  return directory + sep;
}
