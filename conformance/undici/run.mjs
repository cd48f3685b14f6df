// `just conformance-undici`: undici's own test suite against our classes, one process per file, and
// its type tests against our declarations.
//
// The suite is read from a checkout and never copied. See README.md for what counts.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CLASSES, COUNTED, FETCH_FOLDERS, isRunnable, readCases } from "./lib/cases.mjs";
import { compareFiles, showComparison, showFetch } from "./lib/compare.mjs";
import { applyLedger, isUnexplained, judgeFile } from "./lib/judge.mjs";
import { casesOf, showNewer, suspects, withNewCases } from "./lib/newer.mjs";
import { checkSuite, findNode, HERE, makeCertificates, PINS, pinFor, ROOT } from "./lib/pins.mjs";
import { mergeRuns, outOfTime, showDifferences } from "./lib/repeat.mjs";
import { figures, firstLine, percent, Progress, ranOf, table, totals } from "./lib/report.mjs";
import { runFile } from "./lib/run-file.mjs";
import { checkTypes, showTypes } from "./lib/types.mjs";

const HELP = `Usage: just conformance-undici --suite DIR [options]

  --suite DIR      a checkout of undici, with its packages installed. Pins: ${Object.values(PINS)
    .map(({ version, node }) => `${version} on Node ${node}`)
    .join(", ")}.
                   Of another version, the run says which cases are new, and fails for those that
                   pass with undici's own classes only
  --version 8|7    the pin to compare with (default: that of the checkout's major)
  --types          undici's type tests instead, with our declarations; ledger-types.json
  --filter TEXT    only files whose path contains TEXT (several: A,B)
  --without TEXT   no files whose path contains TEXT (several: A,B)
  --case TEXT      only cases whose name contains TEXT
  --transport      only files with cases that count (classes ${COUNTED.join(", ")})
  --fetch          only files that use fetch, with our fetch and with undici's own; the cases in
                   ledger-fetch.json may fail
  --classes LIST   only files with cases of these classes (${CLASSES.join(",")})
  --jobs N         processes in parallel (default 2)
  --repeat N       run everything N times: a case passes if it does each time, and one that differs
                   without being a race in the ledger is an error
  --self           run undici's own classes instead: shows what the runner itself changes
  --compare-self   run each file with undici's own classes, too; fails if a case passes with those
                   only. With --classes, cases of these classes count
  --verbose        show each failure with its stack and the output of its file
  --report FILE    where the JSON report goes (default target/conformance/undici-v<version>.json)
  --write-status   also write status.json (only for a full run)
  --node PATH      run on this Node
  --module PATH    dodici's main file (default node/dist/index.js)
`;

const { values: options } = parseArgs({
  options: {
    suite: { type: "string" },
    version: { type: "string" },
    filter: { type: "string" },
    without: { type: "string" },
    case: { type: "string" },
    transport: { type: "boolean", default: false },
    jobs: { type: "string", default: String(Math.min(2, availableParallelism())) },
    classes: { type: "string" },
    fetch: { type: "boolean", default: false },
    repeat: { type: "string", default: "1" },
    self: { type: "boolean", default: false },
    types: { type: "boolean", default: false },
    "compare-self": { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    report: { type: "string" },
    "write-status": { type: "boolean", default: false },
    node: { type: "string" },
    module: { type: "string", default: join(ROOT, "node", "dist", "index.js") },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (options.help) {
  process.stdout.write(HELP);
} else {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(`conformance-undici: ${error.message}`);
    process.exitCode = 2;
  }
}

async function main() {
  if (options.suite === undefined) throw new Error("--suite DIR is missing; see --help");
  const jobs = Number(options.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs takes a number from 1");
  const times = Number(options.repeat);
  if (!Number.isInteger(times) || times < 1) throw new Error("--repeat takes a number from 1");
  const suite = resolve(options.suite);
  const version = checkSuite(suite);
  const pin = pinFor(options.version ?? version);
  const isPin = version === pin.version;
  const module = options.self ? undefined : resolve(options.module);
  if (module !== undefined && !existsSync(module)) {
    throw new Error(`${module} does not exist: run "just build"`);
  }
  if (options.types) {
    const ledger = options.self ? [] : readLedger(pin.version, "ledger-types.json");
    return showTypes(await checkTypes(suite, module), ledger, isPin);
  }
  makeCertificates(suite);
  const setup = {
    suite,
    module,
    node: options.node === undefined ? findNode(pin.node) : resolve(options.node),
    nodeMajor: pin.node,
    fetch: options.fetch,
  };

  const listed = readCases(pin.version, options.fetch);
  const known = isPin ? listed : casesOf(suite, listed);
  const chosen = [...known.keys()].filter((file) => isChosenFile(file, known.get(file)));
  if (chosen.length === 0) throw new Error("no file matches");
  const pattern = options.case === undefined ? undefined : namePattern(options.case);
  const isChosenCase = (name) => options.case === undefined || name.includes(options.case);

  const run = (some, files = chosen, together = jobs) =>
    runFiles({ setup: some, known, isPin, chosen: files, jobs: together, pattern, isChosenCase });
  if (!isPin && !options.self && !options["compare-self"] && !options.fetch) {
    const files = (await run(setup)).map(withNewCases);
    applyLedger(files, [...readLedger(pin.version), ...readLedger("newer")]);
    const own = await run({ ...setup, module: undefined }, suspects(files));
    return showNewer(version, pin.version, files, own.map(withNewCases));
  }
  if (options["compare-self"] || options.fetch) {
    if (module === undefined) throw new Error("--compare-self needs our classes: leave out --self");
    const ours = await run(setup);
    const own = await run({ ...setup, module: undefined, fetch: false });
    const comparison = compareFiles(ours, own, chosenClasses());
    if (!options.fetch) return showComparison(comparison);
    return showFetch(comparison, readLedger(pin.version, "ledger-fetch.json"));
  }

  const runs = [];
  while (runs.length < times) runs.push(await run(setup));
  const judged = mergeRuns(runs);
  const ledger = options.self ? [] : readLedger(pin.version);
  let stale = applyLedger(judged, ledger);
  const late = times === 1 ? outOfTime(judged).map(({ file }) => file) : [];
  if (late.length > 0) {
    for (const file of late) console.log(`out of time, so once more, alone: ${file}`);
    for (const again of await run(setup, late, 1)) {
      judged[chosen.indexOf(again.file)] = again;
    }
    stale = applyLedger(judged, ledger);
  }
  const isFull = chosen.length === known.size && pattern === undefined;
  const code = conclude(pin, judged, stale, isFull);
  return times > 1 && showDifferences(judged, times).length > 0 ? 1 : code;
}

/** Runs files, some at a time. @returns results in the order of `chosen` */
async function runFiles({ setup, known, isPin, chosen, jobs, pattern, isChosenCase }) {
  const progress = new Progress(chosen.length);
  const judged = [];
  const queue = [...chosen];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      progress.start(file);
      const cases = known.get(file);
      const result = isRunnable(setup.suite, file)
        ? judgeFile(cases, await runFile(setup, file, isPin ? cases.length : Infinity, pattern), isChosenCase)
        : unrun(file, cases);
      judged.push(result);
      progress.finish(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  progress.end();
  return judged.sort((one, other) => chosen.indexOf(one.file) - chosen.indexOf(other.file));
}

/** The selected classes; all by default. */
function chosenClasses() {
  if (options.classes === undefined) return options.transport ? COUNTED : CLASSES;
  const named = options.classes.split(",");
  const unknown = named.find((name) => !CLASSES.includes(name));
  if (unknown !== undefined) throw new Error(`no such class: ${unknown}`);
  return named;
}

function isChosenFile(file, cases) {
  const contains = (list) => list.split(",").some((text) => file.includes(text));
  if (options.filter !== undefined && !contains(options.filter)) return false;
  if (options.without !== undefined && contains(options.without)) return false;
  if (options.fetch && !FETCH_FOLDERS.some((folder) => file.startsWith(folder))) return false;
  // The classes of a file that is new in the checkout are not known.
  return cases.length === 0 || cases.some((one) => chosenClasses().includes(one.class));
}

/** A regular expression for `--test-name-pattern` that matches this text. */
function namePattern(text) {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** A file that cannot run on this checkout: it needs a bundle that is built separately. */
function unrun(file, cases) {
  return {
    file,
    milliseconds: 0,
    marker: { constructed: 0, dispatched: 0 },
    delegatedElsewhere: 0,
    end: undefined,
    output: "",
    cases: cases.map((one) => ({ ...one, outcome: "notRun" })),
    unknown: [],
  };
}

function readLedger(version, name = "ledger.json") {
  const ledger = JSON.parse(readFileSync(join(HERE, name), "utf8"));
  return (ledger[version] ?? []).flatMap(({ cases, ...entry }) =>
    cases.map((name) => ({ ...entry, case: name })),
  );
}

/** Prints and writes the result. @returns the exit code */
function conclude(pin, files, stale, isFull) {
  const sums = totals(files);
  const unexplained = files.flatMap(({ file, cases }) =>
    cases.filter(isUnexplained).map((one) => ({ file, ...one })),
  );
  const unmarked = files.filter(
    ({ marker, cases }) =>
      marker.constructed + marker.dispatched === 0 &&
      cases.some((one) => COUNTED.includes(one.class) && one.outcome === "pass"),
  );
  showFailures(files, unexplained);
  console.log(`\n${table(sums)}\n`);
  const unknown = files.flatMap(({ file, unknown: some }) => some.map(({ name }) => [file, name]));
  for (const [file, name] of unknown) console.log(`not in the list of cases: ${file}: ${name}`);
  for (const { file, end } of files) {
    if (end === "did not exit") console.log(`did not exit: ${file}`);
  }
  for (const { file } of unmarked) console.log(`our classes were not used in: ${file}`);
  for (const entry of stale) console.log(`stale ledger entry: ${entry.file}: ${entry.case}`);
  const elsewhere = files.reduce((sum, file) => sum + file.delegatedElsewhere, 0);
  if (elsewhere > 0) console.log(`delegated outside of any case: ${elsewhere} clients`);

  const { counted } = sums;
  const ran = ranOf(counted);
  console.log(
    `undici ${pin.version} on Node ${pin.node}: ${counted.pass} of ${ran} transport cases pass (${percent(counted.pass, ran)}), ${counted.delegated} of them delegated, ${unexplained.length} unexplained\n`,
  );
  console.log(`${figures(sums)}\n`);
  const report = resolve(
    options.report ?? join(ROOT, "target", "conformance", `undici-v${pin.version}.json`),
  );
  mkdirSync(dirname(report), { recursive: true });
  writeFileSync(
    report,
    `${JSON.stringify({ undici: pin.version, node: pin.node, self: options.self, ...sums, unexplained: unexplained.length, stale, files }, null, 1)}\n`,
  );
  console.log(`report: ${report}`);
  if (options["write-status"]) {
    if (!isFull || options.self) throw new Error("--write-status needs a full run");
    writeStatus(pin, sums, unexplained.length, unmarked.length);
  }
  return unexplained.length > 0 || stale.length > 0 ? 1 : 0;
}

function showFailures(files, unexplained) {
  let current;
  for (const one of unexplained) {
    if (one.file !== current) console.log(`\n${one.file}`);
    current = one.file;
    const what = one.outcome === "pass" ? "delegated, but not in the ledger" : firstLine(one);
    console.log(`  ✗ [${one.class}] ${one.name}\n      ${what}`);
    if (options.verbose && one.error?.stack !== undefined) {
      console.log(one.error.stack.replaceAll(/^/gm, "      "));
    }
  }
  if (!options.verbose) return;
  for (const { file, output, end } of files) {
    if (output.trim() !== "") {
      console.log(`\n--- output of ${file}${end === undefined ? "" : ` (${end})`}\n${output}`);
    }
  }
}

/** Records the last full result of each pin, which the README shows. */
function writeStatus(pin, { counted, notHttp2, http2, classes }, unexplained, unmarked) {
  const file = join(HERE, "status.json");
  const status = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  status[pin.version] = {
    node: pin.node,
    transport: counted,
    notHttp2,
    http2,
    classes,
    unexplained,
    unmarked,
  };
  writeFileSync(file, `${JSON.stringify(status, null, 2)}\n`);
}
