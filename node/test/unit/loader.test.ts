import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { addonPath, loadAddon } from '../../src/native/loader';
import { findMissingBytes } from '../../src/native/truncated';
import { LAYOUT_HASH } from '../../src/wire/generated';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dodici-loader-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function failure(path: string): Error & { code?: string } {
  try {
    loadAddon(path);
  } catch (error) {
    return error as Error;
  }
  throw new Error('it loaded');
}

const oneSentence = /^[^\n]+\.$/;

describe('the addon', () => {
  it('is searched for in this platform’s prebuilds, unless DODICI_ADDON names one', () => {
    expect(addonPath({})).toMatch(
      new RegExp(`prebuilds[\\\\/]${process.platform}-${process.arch}[\\\\/]dodici\\.node$`),
    );
    expect(addonPath({ DODICI_ADDON: '/x/y.node' })).toBe('/x/y.node');
  });

  it('that is missing fails with a one-line message', () => {
    const { code, message } = failure(join(folder, 'none.node'));
    expect(code).toBe('ERR_DODICI_ADDON');
    expect(message).toMatch(oneSentence);
    expect(message).toContain('does not exist');
  });

  it('of another layout fails with a one-line message', () => {
    const path = join(folder, 'stale.cjs');
    writeFileSync(path, 'exports.layoutHash = () => 1;');
    const { code, message } = failure(path);
    expect(code).toBe('ERR_DODICI_ADDON');
    expect(message).toMatch(oneSentence);
    expect(message).toContain(`its layout is 1, the package expects ${LAYOUT_HASH}`);
  });

  it('that is some other addon fails with a one-line message', () => {
    const path = join(folder, 'foreign.cjs');
    writeFileSync(path, '');
    expect(failure(path).message).toContain('its layout is unknown');
  });

  it.runIf(process.platform === 'linux')('that was cut off is one sentence, not a crash', () => {
    const whole = readFileSync(addonPath({}));
    const path = join(folder, 'cut.node');
    for (const kept of [whole.length - 1, whole.length >> 1, 4096]) {
      writeFileSync(path, whole.subarray(0, kept));
      const { code, message } = failure(path);
      expect(code).toBe('ERR_DODICI_ADDON');
      expect(message).toMatch(oneSentence);
      expect(message).toContain(`it has ${kept} of `);
    }
    expect(findMissingBytes(addonPath({}))).toBeNull();
  });

  it('that is not an addon fails with a one-line message', () => {
    const path = join(folder, 'garbage.node');
    writeFileSync(path, 'not a library');
    const { code, message } = failure(path);
    expect(code).toBe('ERR_DODICI_ADDON');
    expect(message).toMatch(oneSentence);
    expect(message).toContain(`could not load its native addon ${path} (`);
  });

  it.runIf(process.platform === 'linux').each([
    ['processor', 18, 22], // s390x, which has no package
    ['word size', 4, 1],
  ])('of another %s is said to be for another system', (_title, offset, value) => {
    const bytes = readFileSync(addonPath({}));
    bytes[offset] = value;
    const path = join(folder, 'other.node');
    writeFileSync(path, bytes);
    const { code, message } = failure(path);
    expect(code).toBe('ERR_DODICI_ADDON');
    expect(message).toMatch(oneSentence);
    expect(message).toContain('for another system, or damaged');
    expect(message).toContain('import undici');
  });

  it('that is a folder fails with a one-line message', () => {
    const { code, message } = failure(folder);
    expect(code).toBe('ERR_DODICI_ADDON');
    expect(message).toMatch(oneSentence);
    expect(message).toContain('Cannot find module');
  });

  it('of the right layout is loaded', () => {
    const path = join(folder, 'good.cjs');
    writeFileSync(path, `exports.layoutHash = () => ${LAYOUT_HASH};`);
    expect(loadAddon(path).layoutHash()).toBe(LAYOUT_HASH);
  });
});
