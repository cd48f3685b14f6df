// `just soak`: invariants that must hold under any timing, checked with many repetitions. Without a
// name, hours of mixed traffic in minutes (soak/mixed.mjs); with one, a gate of soak/gates.mjs or a
// suite of soak/suites.mjs.
//
// The tests run the gates too, with few repetitions and --json.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ours, ROOT } from "./lib/paths.mjs";
import { gates } from "./soak/gates.mjs";
import { generator, serve } from "./soak/lib.mjs";
import { mixed, MIXED_HELP } from "./soak/mixed.mjs";
import { suites } from "./soak/suites.mjs";
import { commandLine } from "../scripts/command-line.mjs";

const HELP = `Usage: just soak [what] [options]

  (nothing)         mixed traffic with aborts and slow readers; see below
${Object.entries(gates)
  .map(
    ([name, { title, counts }]) =>
      `  ${name.padEnd(16)}  ${title} (${counts.full.toLocaleString("en")})`,
  )
  .join("\n")}
${Object.entries(suites)
  .map(([name, { title }]) => `  ${name.padEnd(16)}  ${title}`)
  .join("\n")}
  all               all of these in sequence

  --count N         repetitions of a gate, instead of the number above
  --short           as few repetitions as in the tests
  --seed N          random seed, to repeat a run
  --compare         repeat with undici's own classes, for comparison
  --json            print only a JSON object
  --ours PATH       test this module instead of node/dist

Mixed traffic:
${MIXED_HELP}`;

const { values, positionals } = commandLine(HELP, {
  allowPositionals: true,
  options: {
    count: { type: "string" },
    short: { type: "boolean", default: false },
    compare: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    seed: { type: "string", default: String(Date.now() % 1e9) },
    ours: { type: "string", default: ours() },
    minutes: { type: "string", default: "2" },
    concurrency: { type: "string", default: "64" },
    connections: { type: "string", default: "16" },
    growth: { type: "string", default: "32" },
  },
});
const known = ["mixed", ...Object.keys(gates), ...Object.keys(suites), "all"];
const [what = "mixed", ...rest] = positionals;
if (!known.includes(what) || rest.length > 0) {
  console.error(`soak: what is "${positionals.join(" ")}"? One of: ${known.join(", ")}`);
  process.exit(2);
}
if (!existsSync(values.ours)) {
  console.error(`soak: ${values.ours} is missing: run "just build"`);
  process.exit(2);
}
if (globalThis.gc === undefined) {
  console.error('soak: run node with --expose-gc, or use "just soak"');
  process.exit(2);
}

const require = createRequire(import.meta.url);
const names = what === "all" ? known.filter((name) => name !== "all") : [what];
let failed = false;
for (const name of names) {
  if (name === "mixed") failed = !(await mixed(numbers())) || failed;
  else if (name in suites) failed = !suites[name].run(values) || failed;
  else failed = !(await run(name)) || failed;
}
process.exit(failed ? 1 : 0);

function numbers() {
  const { minutes, concurrency, connections, growth, seed } = values;
  const given = { minutes, concurrency, connections, growth, seed };
  return {
    ours: values.ours,
    ...Object.fromEntries(Object.entries(given).map(([name, text]) => [name, Number(text)])),
  };
}

/** Runs one gate, and with --compare the same with undici. */
async function run(name) {
  const { title, counts } = gates[name];
  const count = Number(values.count ?? (values.short ? counts.short : counts.full));
  const seed = Number(values.seed);
  if (!values.json) console.log(`${name}: ${title}; ${count} times, seed ${seed}`);
  const { problems, figures } = await once(name, require(values.ours), count, seed);
  if (values.json) console.log(JSON.stringify({ name, count, seed, problems, figures }));
  else {
    console.log(`  ${describe(figures)}`);
    for (const problem of problems.slice(0, 20)) console.error(`  PROBLEM: ${problem}`);
    console.log(problems.length === 0 ? "  passed" : `  FAILED: ${problems.length} problems`);
  }
  if (values.compare) {
    const peer = createRequire(join(ROOT, "node", "package.json"))("undici");
    const theirs = await once(name, peer, count, seed);
    console.log(`  undici: ${describe(theirs.figures)}; ${theirs.problems.length} problems`);
    for (const problem of theirs.problems.slice(0, 5)) console.log(`    ${problem}`);
  }
  return problems.length === 0;
}

async function once(name, dodici, count, seed) {
  const server = await serve(fileURLToPath(new URL("./soak/server.mjs", import.meta.url)));
  const problems = [];
  try {
    const random = generator(seed);
    const given = { dodici, server, count, random, progress: progress(), problems };
    return { problems, figures: await gates[name].run(given) };
  } finally {
    server.stop();
  }
}

/** Figures in one line. @param {Record<string, number>} figures */
function describe(figures) {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** Reports progress every other second. */
function progress() {
  if (values.json) return () => {};
  let said = performance.now();
  return (done, all) => {
    if (performance.now() - said < 2000) return;
    said = performance.now();
    console.log(`  ${done} of ${all}`);
  };
}
