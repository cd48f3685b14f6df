// The baseline: the results of a published run, without its single rounds. publish.mjs writes it,
// compare.mjs reads it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOADS } from '../loads.mjs';
import { BENCH, RESULTS } from './paths.mjs';

/** Its file. */
export const BASELINE = join(BENCH, 'baseline.json');
/** The report of `just bench`. */
export const REPORT = join(RESULTS, 'bench.json');

/** @param {string} file */
export const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

/**
 * Copies a report's rows into the baseline; rows that it lacks stay as they are.
 *
 * @param {object} report
 * @param {object} [old] the baseline so far
 */
export function merged(report, old = { rows: [] }) {
  const byId = new Map([...old.rows, ...report.rows.map(slim)].map((row) => [row.id, row]));
  const rows = LOADS.flatMap(({ id }) => byId.get(id) ?? []);
  const { taken, machine, node, versions, rounds, seconds } = report;
  return { taken, machine, node, versions, rounds, seconds, rows };
}

/** @param {object} baseline */
export function write(baseline) {
  writeFileSync(BASELINE, `${JSON.stringify(baseline, undefined, 2)}\n`);
}

/** A row with medians only, rounded to significant digits. */
function slim({ id, group, title, figures, clients, ratios, verdicts }) {
  return {
    ...{ id, group, title, figures },
    clients: Object.fromEntries(
      Object.entries(clients).map(([name, { median }]) => [
        name,
        { median: Object.fromEntries(figures.map((key) => [key, rounded(median[key])])) },
      ]),
    ),
    ratios: Object.fromEntries(figures.map((key) => [key, rounded(ratios[key])])),
    verdicts: verdicts.map((verdict) => ({ ...verdict, measured: rounded(verdict.measured) })),
  };
}

function rounded(value) {
  return value === undefined ? undefined : Number(value.toPrecision(5));
}
