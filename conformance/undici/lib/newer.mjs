// A checkout of another version than the pin: which cases are new, which are gone, and which fail with
// our classes only.
//
// What lives here: the files of such a checkout, and the comparison with the pin's list and ledger. It
// must not know how files are run.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { directoryOf } from "./cases.mjs";
import { firstLine } from "./report.mjs";

/**
 * The pin's cases, without the files that the checkout does not have, and with those that are new in
 * the same folders, whose cases nobody knows yet.
 *
 * @param {Map<string, { name: string, class: string }[]>} known
 */
export function casesOf(suite, known) {
  const cases = new Map();
  for (const folder of new Set([...known.keys()].map(directoryOf))) {
    for (const name of readdirSync(join(suite, folder)).sort()) {
      const file = `${folder}/${name}`;
      if (/\.m?js$/.test(name)) cases.set(file, known.get(file) ?? []);
    }
  }
  return cases;
}

/** The result of a file: cases that the pin does not have are of the class `new`. */
export function withNewCases(judged) {
  // A process that died did not reach them; otherwise the checkout does not have them any more.
  const isGone = ({ outcome }) => outcome === "missing" && judged.end === undefined;
  return {
    ...judged,
    cases: [
      ...judged.cases.filter((one) => !isGone(one)),
      ...judged.unknown.map((one) => ({ ...one, class: "new" })),
    ],
    gone: judged.cases.filter(isGone).map(({ name }) => name),
    unknown: [],
  };
}

const hasFailed = ({ outcome, ledger }) =>
  (outcome === "fail" || outcome === "missing") && ledger === undefined;

/** Files with failures that the ledger does not explain. */
export function suspects(files) {
  return files
    .filter(({ cases, end }) => cases.some(hasFailed) || (cases.length === 0 && end !== undefined))
    .map(({ file }) => file);
}

/**
 * Prints what is new. @returns the exit code
 *
 * @param {ReturnType<typeof withNewCases>[]} files with our classes, joined with the ledger
 * @param {ReturnType<typeof withNewCases>[]} own the suspects, with undici's own
 */
export function showNewer(version, pin, files, own) {
  const passesWithOwn = (file, { name }) =>
    own
      .find((one) => one.file === file)
      ?.cases.some((one) => one.name === name && one.outcome === "pass") ?? false;
  const all = files.flatMap(({ file, cases }) => cases.map((one) => ({ file, ...one })));
  const fresh = all.filter((one) => one.class === "new");
  const failed = all.filter((one) => one.class !== "x" && hasFailed(one));
  const ours = failed.filter((one) => passesWithOwn(one.file, one));
  const died = own.filter(({ file, end }) => {
    const mine = files.find((one) => one.file === file);
    return mine.cases.length === 0 && end === undefined;
  });
  for (const one of ours) {
    const kind = one.class === "new" ? "new" : "fails since the pin";
    console.log(`${kind}: ${one.file}: ${one.name}\n    ${firstLine(one)}`);
  }
  for (const { file } of died) console.log(`new: ${file} reports no case with our classes`);
  for (const { file, gone } of files) {
    for (const name of gone) console.log(`gone: ${file}: ${name}`);
  }
  const count = (outcome, some) => some.filter((one) => one.outcome === outcome).length;
  console.log(
    `undici ${version} against the list of ${pin}: ${all.length} cases, ${count("pass", all)} pass; ${fresh.length} are new, of which ${count("pass", fresh)} pass; ${failed.length} fail without a reason in the ledger, ${ours.length} of them with our classes only`,
  );
  return ours.length + died.length > 0 ? 1 : 0;
}
