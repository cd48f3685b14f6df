// What the user sees: a progress line while files run, a table at the end.
import { CLASSES, COUNTED, directoryOf } from "./cases.mjs";

const BAR = 30;

/** A progress bar with live counts on a terminal, and a line now and then elsewhere. */
export class Progress {
  #total;
  #done = 0;
  #pass = 0;
  #fail = 0;
  #lastTenth = 0;
  #isLive = process.stderr.isTTY === true;

  constructor(total) {
    this.#total = total;
  }

  /** @param {string} file */
  start(file) {
    if (this.#isLive) this.#draw(file);
  }

  /** @param {{ file: string, cases: { outcome: string, ledger?: object }[] }} judged */
  finish({ file, cases }) {
    this.#done++;
    const failed = cases.filter(({ outcome }) => outcome === "fail" || outcome === "missing");
    this.#pass += cases.filter(({ outcome }) => outcome === "pass").length;
    this.#fail += failed.length;
    if (this.#isLive) {
      this.#draw(file);
      return;
    }
    const tenth = Math.floor((this.#done * 10) / this.#total);
    if (tenth === this.#lastTenth) return;
    this.#lastTenth = tenth;
    process.stderr.write(`${this.#counts()}\n`);
  }

  end() {
    if (this.#isLive) process.stderr.write("\r\x1b[K");
  }

  #counts() {
    return `${this.#done}/${this.#total} files  ${this.#pass} passed  ${this.#fail} failed`;
  }

  #draw(file) {
    const filled = Math.round((BAR * this.#done) / this.#total);
    const bar = "█".repeat(filled) + "░".repeat(BAR - filled);
    const width = process.stderr.columns ?? 80;
    const line = `${bar} ${this.#counts()}  ${file}`;
    process.stderr.write(`\r\x1b[K${line.slice(0, width - 1)}`);
  }
}

/** Counts of cases, as the table and the JSON report show them. */
export function summarize(cases) {
  const count = (outcome) => cases.filter((one) => one.outcome === outcome).length;
  return {
    cases: cases.length,
    pass: count("pass"),
    fail: count("fail") + count("missing"),
    skip: count("skip"),
    notRun: count("notRun"),
    delegated: cases.filter((one) => one.isDelegated && one.outcome === "pass").length,
    ledger: cases.filter((one) => one.ledger !== undefined).length,
  };
}

/** Sums by directory and class, by class, and over the counted classes. */
export function totals(files) {
  const all = files.flatMap(({ file, cases }) =>
    cases.map((one) => ({ ...one, directory: directoryOf(file) })),
  );
  const directories = [...new Set(all.map(({ directory }) => directory))].sort();
  const classes = (cases) =>
    Object.fromEntries(
      CLASSES.map((name) => [name, cases.filter((one) => one.class === name)])
        .filter(([, some]) => some.length > 0)
        .map(([name, some]) => [name, summarize(some)]),
    );
  return {
    counted: summarize(all.filter((one) => COUNTED.includes(one.class))),
    classes: classes(all),
    directories: Object.fromEntries(
      directories.map((name) => [name, classes(all.filter((one) => one.directory === name))]),
    ),
  };
}

/** The table at the end. */
export function table({ counted, classes, directories }) {
  const head = ["", "class", "cases", "pass", "fail", "skip", "not run", "delegated", "ledger"];
  const row = (title, name, sums) => [
    title,
    name,
    ...[sums.cases, sums.pass, sums.fail, sums.skip, sums.notRun, sums.delegated, sums.ledger].map(
      (number) => (number === 0 ? "·" : String(number)),
    ),
  ];
  const rows = [head];
  for (const [directory, byClass] of Object.entries(directories)) {
    let title = directory;
    for (const [name, sums] of Object.entries(byClass)) {
      rows.push(row(title, name, sums));
      title = "";
    }
  }
  rows.push([]);
  let title = "all";
  for (const [name, sums] of Object.entries(classes)) {
    rows.push(row(title, name, sums));
    title = "";
  }
  rows.push(row("transport", COUNTED.join("+"), counted));
  const widths = head.map((_, at) => Math.max(...rows.map((cells) => (cells[at] ?? "").length)));
  return rows
    .map((cells) =>
      cells
        .map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** One line that says why a case failed. */
export function firstLine({ outcome, reason, error }) {
  if (outcome === "missing") return `not reported (${reason ?? "the process ended before"})`;
  if (error === undefined) return "";
  const text = (error.message ?? "").replaceAll(/\x1b\[[0-9;]*m/g, "").trim();
  const lines = text.split("\n").map((line) => line.trim());
  const name = error.name === undefined || text.startsWith(error.name) ? "" : `${error.name}: `;
  const code = error.code === undefined || text.includes(error.code) ? "" : ` [${error.code}]`;
  return `${name}${lines.filter(Boolean).slice(0, 4).join(" ")}${code}`.slice(0, 300);
}
