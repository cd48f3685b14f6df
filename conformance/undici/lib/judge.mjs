// Compares the results of a file's process with the cases of the file, and with the ledger.
//
// Outcomes of a case: pass, fail, skip (by its own choice), missing (expected, but not reported: the
// process died or was ended before), notRun (left out by the user, or the file cannot run).

/**
 * @param {{ name: string, class: string }[]} expected
 * @param {Awaited<ReturnType<import('./run-file.mjs').runFile>>} run
 * @param {(name: string) => boolean} isChosen
 */
export function judgeFile(expected, run, isChosen) {
  const leaves = findLeaves(run.results);
  const reported = new Map();
  for (const result of leaves) {
    const same = reported.get(result.name) ?? [];
    same.push(result);
    reported.set(result.name, same);
  }
  const delegatedAt = delegations(run.marker, leaves);
  const cases = expected.map(({ name, class: kind }) => {
    if (!isChosen(name)) return { name, class: kind, outcome: "notRun" };
    const result = reported.get(name)?.shift();
    if (result === undefined) return { name, class: kind, outcome: "missing", reason: death(run) };
    return {
      name,
      class: kind,
      outcome: result.outcome,
      milliseconds: result.milliseconds,
      isDelegated: delegatedAt.has(result),
      error: result.error,
    };
  });
  const unknown = [...reported.values()].flat().filter(({ name }) => isChosen(name));
  return {
    file: run.file,
    milliseconds: run.milliseconds,
    marker: countMarker(run.marker),
    delegatedElsewhere: delegatedAt.unattributed,
    end: death(run),
    output: run.output,
    cases,
    unknown,
  };
}

/**
 * The cases among the results: those that are not suites and have no subtests. A parent's result
 * follows those of its children. A parent that fails by itself counts as a case, although unexpected.
 */
function findLeaves(results) {
  return results.filter((result, at) => {
    if (result.isSuite || !(results[at - 1]?.nesting > result.nesting)) return !result.isSuite;
    return result.outcome === "fail" && result.error.failure !== "subtestsFailed";
  });
}

/** How the process ended, if not normally. */
function death({ code, signal, timedOut }) {
  if (timedOut) return "did not exit";
  if (signal !== null) return `ended by ${signal}`;
  return code === 0 ? undefined : `exit code ${code}`;
}

function countMarker(lines) {
  const sum = { constructed: 0, dispatched: 0, fetches: 0, fetchesByPeer: 0 };
  for (const line of lines) for (const name of Object.keys(sum)) sum[name] += line[name] ?? 0;
  return sum;
}

/** The results during which undici's own Client was created. */
function delegations(marker, leaves) {
  const found = new Set();
  found.unattributed = 0;
  for (const { delegated, lines } of marker) {
    if (delegated === undefined) continue;
    const outermost = lines?.at(-1);
    const before = leaves.filter(({ line }) => line > 0 && line <= outermost);
    const start = Math.max(...before.map(({ line }) => line));
    const owners = before.filter(({ line }) => line === start);
    if (owners.length === 0) found.unattributed++;
    for (const owner of owners) found.add(owner);
  }
  return found;
}

/**
 * Joins results with the ledger.
 *
 * @param {ReturnType<typeof judgeFile>[]} files
 * @param {{ file: string, case: string, class: string, reason: string }[]} ledger
 */
export function applyLedger(files, ledger) {
  const byKey = new Map(ledger.map((entry) => [`${entry.file}\n${entry.case}`, entry]));
  const used = new Set();
  const needed = new Set();
  // Cases of one file may share a name, and an entry: it is stale when none of them needs it.
  const unneeded = new Set();
  for (const { file, cases } of files) {
    for (const one of cases) {
      const entry = byKey.get(`${file}\n${one.name}`);
      if (entry === undefined) continue;
      used.add(entry);
      const isNeeded =
        entry.class === "delegated"
          ? one.isDelegated
          : one.outcome === "fail" || one.outcome === "missing";
      // A race: such a case passes sometimes.
      if (isNeeded || entry.class === "race") {
        one.ledger = entry;
        needed.add(entry);
      } else if (one.outcome === "pass" || one.outcome === "skip") unneeded.add(entry);
    }
  }
  const stale = [...unneeded].filter((entry) => !needed.has(entry));
  const known = new Set(files.map(({ file }) => file));
  // An entry for a case that no longer exists explains nothing.
  stale.push(...ledger.filter((entry) => !used.has(entry) && known.has(entry.file)));
  return stale;
}

/** Whether a case needs an explanation and has none. */
export function isUnexplained({ class: kind, outcome, ledger, isDelegated }) {
  if (kind === "x") return false;
  if (outcome === "fail" || outcome === "missing") return ledger === undefined;
  return isDelegated === true && outcome === "pass" && ledger === undefined;
}
