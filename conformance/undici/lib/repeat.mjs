// Joins several runs of the same files into one result.
//
// What lives here: which outcome of a case counts, which cases differed between runs, and which files
// are run again. It must not know how files are run, nor the ledger's contents.
import { isUnexplained } from "./judge.mjs";
import { firstLine } from "./report.mjs";

/** Outcomes from the worst to the best: a case passes if it passes in every run. */
const WORST_FIRST = ["missing", "fail", "notRun", "skip", "pass"];

const rank = ({ outcome }) => WORST_FIRST.indexOf(outcome);

/**
 * @param {ReturnType<typeof import('./judge.mjs').judgeFile>[][]} runs at least one; each holds the
 *   same files and cases in the same order
 * @returns the files, with the worst outcome of each case; one that differed has `outcomes`
 */
export function mergeRuns(runs) {
  return runs[0].map((first, at) => {
    const same = runs.map((files) => files[at]);
    const cases = first.cases.map((_, index) => {
      const all = same.map((file) => file.cases[index]);
      const worst = all.reduce((one, other) => (rank(other) < rank(one) ? other : one));
      const outcomes = all.map(({ outcome }) => outcome);
      return new Set(outcomes).size > 1 ? { ...worst, outcomes } : worst;
    });
    const unmarked = same.find(({ marker }) => marker.constructed + marker.dispatched === 0);
    return { ...(unmarked ?? first), cases };
  });
}

/** Prints what differed. @returns the cases that did and are not races in the ledger */
export function showDifferences(files, times) {
  const differed = files.flatMap(({ file, cases }) =>
    cases.filter(({ outcomes }) => outcomes !== undefined).map((one) => ({ file, ...one })),
  );
  for (const one of differed) {
    const why = one.ledger?.class === "race" ? "race" : "no race";
    console.log(`differs from run to run (${why}): ${one.file}: ${one.name}`);
    console.log(`    ${one.outcomes.join(", ")}: ${firstLine(one)}`);
  }
  const unstable = differed.filter(({ ledger }) => ledger?.class !== "race");
  console.log(
    `${times} runs: ${differed.length} cases differ, ${unstable.length} of them without a race in the ledger`,
  );
  return unstable;
}

/**
 * Files with an unexplained case that was ended because its time, or the file's, was over: other
 * load of the machine may be the cause.
 *
 * @param {ReturnType<typeof import('./judge.mjs').judgeFile>[]} files with their ledger applied
 */
export function outOfTime(files) {
  const ended = ({ error, reason }) =>
    error?.failure === "testTimeoutFailure" || reason === "did not exit";
  return files.filter(({ cases }) => cases.some((one) => isUnexplained(one) && ended(one)));
}
