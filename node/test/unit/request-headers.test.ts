// Header fields of requests, from what callers pass to lines.
import { describe, expect, it } from 'vitest';

import { addHeaders } from '../../src/headers/request-headers';

function linesOf(headers: unknown): string {
  const target = { host: null, contentLength: null, contentType: null, reset: null, lines: '' };
  addHeaders(target, headers);
  return target.lines;
}

describe('a name that was used before', () => {
  it.each([
    ['no value', null, ''],
    ['an empty one', '', ''],
    ['a number', 1, '1'],
    ['text', '1', '1'],
    ['other text', '2', '2'],
    ['a boolean', false, 'false'],
    ['text with obs-text', 'é', 'é'],
    ['a long one', 'x'.repeat(1000), 'x'.repeat(1000)],
  ])('has its own value: %s', (_, value, text) => {
    for (let i = 0; i < 2; i++) {
      expect(linesOf({ 'x-repeated': value })).toBe(`x-repeated: ${text}\r\n`);
      expect(linesOf({ 'X-Repeated': value })).toBe(`X-Repeated: ${text}\r\n`);
    }
    expect(linesOf({ 'x-repeated': [value, value] })).toBe(`x-repeated: ${text}\r\n`.repeat(2));
  });

  it('still has its values checked', () => {
    expect(linesOf({ 'x-checked': 'a' })).toBe('x-checked: a\r\n');
    for (const bad of ['a\r\n', 'a\0', 'Ā', {}, [{}]]) {
      expect(() => linesOf({ 'x-checked': bad })).toThrow('invalid x-checked header');
    }
    expect(linesOf({ 'x-checked': undefined })).toBe('');
    expect(linesOf(['x-checked', 'a', 'x-checked', 'a'])).toBe('x-checked: a\r\n'.repeat(2));
  });
});
