// The two versions of undici whose suites are run, and the Node for each.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** conformance/undici. */
export const HERE = fileURLToPath(new URL("..", import.meta.url));

/** By undici's major. A pin's Node major is the one that the baseline was taken on. */
export const PINS = {
  8: { version: "8.10.0", node: 24 },
  7: { version: "7.29.0", node: 20 },
};

/** undici's test certificates are created with this Node: newer Nodes reject keys of older ones. */
export const CERTIFICATE_NODE = 24;

/**
 * Path of a Node of this major: the running one, or the npm package `node`, which is installed
 * where the tests of the package have theirs.
 */
export function findNode(major) {
  if (Number(process.versions.node.split(".")[0]) === major) return process.execPath;
  const folder = join(ROOT, "node", ".nodes", String(major));
  const executable = process.platform === "win32" ? "node.exe" : "node";
  const node = join(folder, "node_modules", "node", "bin", executable);
  if (existsSync(node)) return node;
  console.log(`installing Node ${major}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"private":true,"allowScripts":{"node":true}}\n');
  const args = ["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts=false"];
  const { status } = spawnSync("npm", [...args, `node@${major}`], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0 || !existsSync(node)) {
    throw new Error(`Node ${major} could not be installed: name one with --node PATH`);
  }
  return node;
}

/** The pin of a version's major; of a newer major, the newest pin. */
export function pinFor(version) {
  return PINS[version.split(".")[0]] ?? Object.values(PINS).at(-1);
}

/**
 * Checks that `suite` is a checkout of undici, ready to run.
 *
 * @returns its version
 * @throws Error that says what to do
 */
export function checkSuite(suite) {
  const manifest = join(suite, "package.json");
  if (!existsSync(join(suite, "test")) || !existsSync(manifest)) {
    const { version } = PINS[8];
    throw new Error(
      `${suite} is no checkout of undici: git clone --depth 1 --branch v${version} https://github.com/nodejs/undici ${suite}`,
    );
  }
  if (!existsSync(join(suite, "node_modules", "@metcoder95", "https-pem"))) {
    throw new Error(`${suite} lacks its packages: run "npm install --ignore-scripts" there`);
  }
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}

/** Creates the suite's certificates, unless they exist. */
export function makeCertificates(suite, explicitNode) {
  if (existsSync(join(suite, "node_modules", "@metcoder95", "https-pem", "cert.pem"))) return;
  const { status, stderr } = spawnSync(
    explicitNode ?? findNode(CERTIFICATE_NODE),
    [join("scripts", "generate-pem.js")],
    { cwd: suite, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`the suite's certificates could not be created: ${stderr}`);
}
