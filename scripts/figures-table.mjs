// The figures that tests of a long run have written (testkit's `figures`), as a table. soak-h2.mjs and
// soak-h3.mjs print it.
import { readFileSync } from 'node:fs';

/** One block for each subject, its figures below each other. @param {string} file */
export function figuresTable(file) {
  const rows = read(file);
  const width = Math.max(0, ...rows.map(([, what]) => what.length));
  let text = '';
  let last;
  for (const [subject, what, value] of rows) {
    if (subject !== last) text += `\n${subject}\n`;
    last = subject;
    text += `  ${what.padEnd(width)}  ${value}\n`;
  }
  return text;
}

function read(file) {
  try {
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    return lines.map((line) => line.split('\t'));
  } catch {
    // No test has measured anything.
    return [];
  }
}
