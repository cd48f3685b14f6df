// Prints what CHANGELOG.md says of a version, for the draft of a release: `node scripts/release-notes.mjs
// v1.2.3`. It fails if the packages have another version, or if the changelog has no such section.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const [tag = ''] = process.argv.slice(2);
const wanted = tag.replace(/^v/, '');
const { version } = JSON.parse(readFileSync(join(ROOT, 'node', 'package.json'), 'utf8'));
if (wanted !== version) fail(`the tag is "${tag}", and the packages have version ${version}`);
const sections = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').split(/^## /m);
const notes = sections.find((section) => /^\[?([^\s\]]+)/.exec(section)?.[1] === version);
if (notes === undefined) fail(`CHANGELOG.md has no section "## ${version}"`);
console.log(notes.slice(notes.indexOf('\n')).trim());

function fail(message) {
  console.error(`release-notes: ${message}`);
  process.exit(1);
}
