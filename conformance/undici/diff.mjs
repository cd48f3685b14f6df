// `just undici-diff`: which exports, options and defaults of undici dodici lacks, for both majors.
//
// Everything that is lacking needs a reason in diff.json; without one, or with one that nothing needs,
// the run fails. Names of options are looked for in our sources, exports and defaults in a process.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readOptions } from "./diff/options.mjs";
import { findNode, HERE, PINS, pinFor, ROOT } from "./lib/pins.mjs";

const HELP = `Usage: just undici-diff [options]

  --latest      the newest undici of both majors, from npm, instead of those that the tests use
  --peer DIR    this undici instead (several are possible)
  --module PATH dodici's main file (default node/dist/index.js)
`;

const NODE = join(ROOT, "node");
const MAJORS = Object.keys(PINS).map(Number);

const { values: given } = parseArgs({
  options: {
    latest: { type: "boolean", default: false },
    peer: { type: "string", multiple: true },
    module: { type: "string", default: join(NODE, "dist", "index.js") },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (given.help) process.stdout.write(HELP);
else process.exitCode = main();

function main() {
  const installed = ["undici", "undici7"].map((name) => join(NODE, "node_modules", name));
  const peers = given.peer?.map((folder) => resolve(folder)) ?? (given.latest ? latest() : installed);
  const reasons = JSON.parse(readFileSync(join(HERE, "diff.json"), "utf8"));
  const needed = new Set();
  let unexplained = 0;
  for (const folder of peers) {
    const version = versionOf(folder);
    const lacking = compare(folder);
    for (const { name, what } of lacking) {
      needed.add(name);
      if (reasons[name] !== undefined) continue;
      unexplained++;
      console.log(`undici ${version}: ${name}: ${what}`);
    }
    const known = lacking.filter(({ name }) => reasons[name] !== undefined).length;
    console.log(`undici ${version}: ${lacking.length} differences, ${known} with a reason`);
  }
  const majors = peers.map((folder) => Number(versionOf(folder).split(".")[0]));
  const isAll = MAJORS.every((major) => majors.includes(major));
  const stale = isAll ? Object.keys(reasons).filter((name) => !needed.has(name)) : [];
  for (const name of stale) console.log(`nothing needs this reason: ${name}`);
  return unexplained + stale.length > 0 ? 1 : 0;
}

function versionOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

/** What `folder`'s undici has and ours lacks. @returns {{ name: string, what: string }[]} */
function compare(folder) {
  const { missing, defaults: ours } = ask(folder);
  const { options, defaults } = readOptions(folder);
  const known = knownNames();
  const documented = readFileSync(join(ROOT, "docs", "options.md"), "utf8");
  return [
    ...missing.map((name) => ({ name, what: "not exported" })),
    ...[...options]
      .filter((name) => !known.has(name.slice(name.indexOf(".") + 1)))
      .map((name) => ({ name, what: "no option of ours" })),
    ...[...options]
      .filter((name) => !documented.includes(`\`${name.slice(name.indexOf(".") + 1)}\``))
      .map((name) => ({ name, what: "not in docs/options.md" })),
    ...[...defaults]
      .filter(([name, value]) => ours[name.slice(name.indexOf(".") + 1)] !== value)
      .map(([name, value]) => {
        const mine = ours[name.slice(name.indexOf(".") + 1)];
        return { name: `${name} = ${value}`, what: `the default here is ${mine}` };
      }),
  ];
}

/** What only a process knows that has loaded both: `diff/exports.cjs`. */
function ask(folder) {
  const args = [join(HERE, "diff", "exports.cjs"), folder, resolve(given.module)];
  // Not every undici loads on every Node.
  const node = findNode(pinFor(versionOf(folder)).node);
  const { status, stdout, stderr } = spawnSync(node, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${folder} could not be compared:\n${stderr}`);
  return JSON.parse(stdout);
}

/** Every name in our sources outside of comments. */
function knownNames() {
  const source = join(NODE, "src");
  const texts = readdirSync(source, { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(source, name), "utf8"));
  const code = texts.join("\n").replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
  return new Set(code.match(/\b\w+\b/g));
}

/** The newest versions, installed from npm. */
function latest() {
  const folder = join(ROOT, "target", "undici-latest");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"private":true}\n');
  const packages = MAJORS.map((major) => `undici${major}@npm:undici@${major}`);
  const args = ["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", ...packages];
  const { status } = spawnSync("npm", args, {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  const folders = MAJORS.map((major) => join(folder, "node_modules", `undici${major}`));
  if (status !== 0 || !folders.every((one) => existsSync(one))) {
    throw new Error("the newest versions of undici could not be installed");
  }
  return folders;
}
