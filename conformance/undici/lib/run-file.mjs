// Runs one file of the suite in its own process group, and returns its results.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { exposesGc } from "./cases.mjs";
import { HERE } from "./pins.mjs";

/** The process of a file is killed after this time, with its children. */
const FILE_MS = 60_000;
/** A process whose cases have all reported may take this long to exit: a leak keeps it alive. */
const EXIT_MS = 10_000;
/** Interval of checks whether they have. */
const LOOK_MS = 500;
/** Timeout of a case. */
const CASE_MS = 5_000;
/** Files with a case that takes longer with any client, and its timeout. */
const SLOW_CASES = {
  // 10 000 requests of which 2 000 run at a time, for 2.5 s each.
  "test/issue-4880.js": 40_000,
  // Servers that write 4 096 times, at most once a millisecond.
  "test/interceptors/dump-interceptor.js": 30_000,
  // 12 rounds of 8 requests with slow responses: 3 s and more with undici's own classes.
  "test/http2-request-never-settles.js": 20_000,
  // 2 000 full garbage collections: 10 s and more for undici's own classes on two busy cores.
  "test/fetch/long-lived-abort-controller.js": 50_000,
};
/** Output kept for the report: the end shows why a process died. */
const OUTPUT_TAIL = 4_000;
/** First Node whose `--test-timeout` works without `--test`. */
const FIRST_WITH_TIMEOUT = 22;

/**
 * @param {{ suite: string, module?: string, node: string, nodeMajor: number, fetch: boolean }} setup `module` is
 *   dodici's main file; without it undici's own classes run. `fetch`: our fetch in place of undici's
 * @param {string} file relative to the suite's root
 * @param {number} count results to expect
 * @param {string | undefined} pattern run only the cases with such names
 */
export async function runFile(setup, file, count, pattern) {
  const folder = mkdtempSync(join(tmpdir(), "dodici-conformance-"));
  const results = join(folder, "results");
  const marker = join(folder, "marker");
  const started = performance.now();
  try {
    const end = await execute(setup, file, count, pattern, { results, marker });
    return {
      file,
      ...end,
      milliseconds: Math.round(performance.now() - started),
      results: readLines(results),
      marker: readLines(marker),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function execute({ suite, module, node, nodeMajor, fetch }, file, count, pattern, { results, marker }) {
  const args = [
    `--test-reporter=${join(HERE, "reporter.mjs")}`,
    "--test-reporter-destination=stderr",
  ];
  const env = cleanEnvironment();
  const caseTime = SLOW_CASES[file] ?? CASE_MS;
  if (nodeMajor >= FIRST_WITH_TIMEOUT) args.push(`--test-timeout=${caseTime}`);
  else env.DODICI_CONFORMANCE_CASE_MS = String(caseTime);
  if (exposesGc(file)) args.push("--expose-gc");
  if (pattern !== undefined) args.push(`--test-name-pattern=${pattern}`);
  // Some tests spawn a bare `node`.
  env.PATH = dirname(node) + delimiter + (env.PATH ?? "");
  env.NODE_OPTIONS = `--require=${JSON.stringify(join(HERE, "preload.cjs"))}`;
  env.DODICI_CONFORMANCE_SUITE = suite;
  if (module !== undefined) env.DODICI_CONFORMANCE_MODULE = module;
  if (fetch) env.DODICI_CONFORMANCE_FETCH = "1";
  env.DODICI_CONFORMANCE_RESULTS = results;
  env.DODICI_CONFORMANCE_MARKER = marker;

  return new Promise((resolve, reject) => {
    const child = spawn(node, [...args, join(suite, file)], {
      cwd: suite,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      // Its own group, so that what a test has spawned ends with it.
      detached: process.platform !== "win32",
    });
    let output = "";
    const keep = (chunk) => {
      output = (output + chunk).slice(-OUTPUT_TAIL);
    };
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    let timedOut = false;
    const giveUp = () => {
      timedOut = true;
      endGroup(child);
    };
    const timer = setTimeout(giveUp, FILE_MS);
    let quietSince;
    const look = setInterval(() => {
      if (readLines(results).length < count) return;
      quietSince ??= performance.now();
      if (performance.now() - quietSince > EXIT_MS) giveUp();
    }, LOOK_MS);
    const stop = () => endGroup(child);
    process.once("exit", stop);
    child.once("error", reject);
    // Not `close`: a grandchild that keeps the pipes open must not block us.
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      clearInterval(look);
      process.off("exit", stop);
      endGroup(child);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, signal, timedOut, output });
    });
  });
}

/** The environment without what would change how tests, proxies or Node behave. */
function cleanEnvironment() {
  const unwanted = /_proxy$|^NODE_OPTIONS$|^NODE_TEST|^NODE_EXTRA_CA_CERTS$|^FORCE_COLOR$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
}

function endGroup(child) {
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // All its processes have ended.
    if (error.code !== "ESRCH") throw error;
  }
}

function readLines(file) {
  let text;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  // The last line of a killed process may be incomplete.
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}
