// The output: a progress line while files run, a table at the end.
import { CLASSES, COUNTED, directoryOf, isHttp2 } from "./cases.mjs";

const BAR = 30;

/** A progress bar with live counts on a terminal, and an occasional line elsewhere. */
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
function summarize(cases) {
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

/** Sums by directory and class, by class, over the counted classes, and of these by protocol. */
export function totals(files) {
  const all = files.flatMap(({ file, cases }) =>
    cases.map((one) => ({
      ...one,
      directory: directoryOf(file),
      isHttp2: isHttp2(file, one.name),
    })),
  );
  const counted = all.filter((one) => COUNTED.includes(one.class));
  const directories = [...new Set(all.map(({ directory }) => directory))].sort();
  const classes = (cases) =>
    Object.fromEntries(
      CLASSES.map((name) => [name, cases.filter((one) => one.class === name)])
        .filter(([, some]) => some.length > 0)
        .map(([name, some]) => [name, summarize(some)]),
    );
  return {
    counted: summarize(counted),
    notHttp2: summarize(counted.filter((one) => !one.isHttp2)),
    http2: summarize(counted.filter((one) => one.isHttp2)),
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
  return align(rows, 2);
}

/** The conformance figures: transport cases by protocol, in percent of what ran. */
export function figures({ counted, notHttp2, http2 }) {
  const row = (title, sums) => {
    const ran = ranOf(sums);
    return [
      title,
      ...[ran, sums.pass, sums.fail].map(String),
      percent(sums.pass, ran),
      String(sums.delegated),
      percent(sums.delegated, ran),
    ];
  };
  const rows = [
    ["transport cases", "ran", "pass", "fail", "", "delegated", ""],
    row("not HTTP/2", notHttp2),
    row("HTTP/2", http2),
    row("whole", counted),
  ];
  return align(rows, 1);
}

/** Cases with a result. */
export function ranOf({ cases, notRun, skip }) {
  return cases - notRun - skip;
}

/** With two digits; a dash if there are none. */
export function percent(part, whole) {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(2)} %`;
}

/** Aligned columns: the first `texts` to the left, numbers to the right. */
function align(rows, texts) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((cells) => (cells[at] ?? "").length)));
  return rows
    .map((cells) =>
      cells
        .map((cell, at) => (at < texts ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
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
