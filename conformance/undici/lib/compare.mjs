// Compares a run with our classes with one with undici's own.
//
// What lives here: which cases pass with undici's classes only. It must not know how files are run.
import { firstLine, percent } from "./report.mjs";

/**
 * @param {{ file: string, cases: object[] }[]} ours
 * @param {{ file: string, cases: object[] }[]} own the same files, with undici's classes
 * @param {string[]} classes cases of other classes are left out
 */
export function compareFiles(ours, own, classes) {
  const sums = { files: ours.length, cases: 0, ours: 0, own: 0, fetches: 0, fetchesByPeer: 0 };
  const lost = [];
  for (const [at, { file, cases }] of ours.entries()) {
    // Both come from the same list of cases, in its order.
    sums.fetches += ours[at].marker.fetches;
    sums.fetchesByPeer += ours[at].marker.fetchesByPeer;
    for (const [index, mine] of cases.entries()) {
      const theirs = own[at].cases[index];
      if (!classes.includes(mine.class)) continue;
      sums.cases++;
      if (mine.outcome === "pass") sums.ours++;
      if (theirs.outcome !== "pass") continue;
      sums.own++;
      if (mine.outcome !== "pass") lost.push({ file, ...mine });
    }
  }
  return { ...sums, lost };
}

/** Prints it. @returns the exit code */
export function showComparison({ files, cases, ours, own, lost }) {
  for (const one of lost) {
    console.log(`passes with undici's classes only: ${one.file}: ${one.name}`);
    console.log(`    ${one.outcome}: ${firstLine(one)}`);
  }
  console.log(
    `${files} files, ${cases} cases: ${ours} pass with our classes, ${own} with undici's own, ${lost.length} with those only`,
  );
  return lost.length > 0 ? 1 : 0;
}

/** Minimum share of the cases passing with undici's own fetch that must pass with ours. */
const LEAST = 0.99;

/**
 * Prints a run with our fetch. @returns the exit code
 *
 * @param {ReturnType<typeof compareFiles>} comparison
 * @param {{ file: string, case: string, reason: string }[]} ledger cases that may fail
 */
export function showFetch({ files, own, lost, fetches, fetchesByPeer }, ledger) {
  const isKnown = ({ file, name }) =>
    ledger.some((entry) => entry.file === file && entry.case === name);
  const unexplained = lost.filter((one) => !isKnown(one));
  for (const one of unexplained) {
    console.log(`passes with undici's fetch only: ${one.file}: ${one.name}`);
    console.log(`    ${one.outcome}: ${firstLine(one)}`);
  }
  const passed = own - lost.length;
  console.log(
    `${files} files: ${passed} of ${own} cases that pass with undici's fetch pass with ours (${percent(passed, own)}), ${unexplained.length} unexplained; undici's own fetch served ${fetchesByPeer} of ${fetches} fetches (${percent(fetchesByPeer, fetches)})`,
  );
  return unexplained.length > 0 || passed < LEAST * own ? 1 : 0;
}
