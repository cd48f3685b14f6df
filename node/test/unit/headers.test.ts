// Response heads and trailers, from the boundary's text to what handlers get.
import { describe, expect, it } from 'vitest';

import { parseFields } from '../../src/headers/fields';
import { lazyRawList, rawList } from '../../src/headers/raw-list';

const fieldList = (fields: [string, string][]) =>
  fields.map(([name, value]) => `${name}\n${value}\n`).join('');

describe('parsed headers', () => {
  it('have lower-case names and an array where a name repeats', () => {
    const text = fieldList([
      ['Content-Type', 'text/plain'],
      ['Set-Cookie', 'a'],
      ['SET-COOKIE', 'b'],
      ['set-cookie', 'c'],
    ]);
    expect(parseFields(text)).toEqual({
      'content-type': 'text/plain',
      'set-cookie': ['a', 'b', 'c'],
    });
  });

  it('store names of Object.prototype as own properties', () => {
    const headers = parseFields(
      fieldList([
        ['__proto__', 'x'],
        ['constructor', 'y'],
        ['__proto__', 'z'],
      ]),
    );
    expect(Object.keys(headers)).toEqual(['__proto__', 'constructor']);
    expect(Object.getOwnPropertyDescriptor(headers, '__proto__')!.value).toEqual(['x', 'z']);
    expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  });

  it('over HTTP/2 are joined where they repeat, as Node joins them', () => {
    const repeated = ['x-a', 'cookie', 'set-cookie', 'content-type', 'constructor'].flatMap(
      (name): [string, string][] => [
        [name, '1'],
        [name, '2'],
        [name, '3'],
      ],
    );
    expect(parseFields(fieldList(repeated), 0, true)).toEqual({
      'x-a': '1, 2, 3',
      cookie: '1; 2; 3',
      'set-cookie': ['1', '2', '3'],
      'content-type': '1',
      constructor: '1, 2, 3',
    });
  });

  it('keep empty values and values with colons', () => {
    expect(
      parseFields(
        fieldList([
          ['a', ''],
          ['b', 'c: d'],
        ]),
      ),
    ).toEqual({ a: '', b: 'c: d' });
  });

  it('are correct after more names than are interned', () => {
    for (let i = 0; i < 2000; i++) parseFields(`X-Name-${i}\nv\n`);
    expect(parseFields('X-Name-1999\nv\nX-Other\nw\n')).toEqual({
      'x-name-1999': 'v',
      'x-other': 'w',
    });
  });

  it('of names that are not interned have an array where one repeats', () => {
    for (let i = 0; i < 2000; i++) parseFields(`X-Name-${i}\nv\n`);
    expect(parseFields('X-Late\na\nx-late\nb\nX-Late\nc\n')).toEqual({ 'x-late': ['a', 'b', 'c'] });
  });

  it('do not depend on earlier heads', () => {
    const heads = [
      'A\n1\nB\n2\nC\n3\n',
      'A\n1\nC\n2\n',
      'B\n1\nA\n2\n',
      'A\n1\nA\n2\nB\n3\n',
      'AB\n1\nB\n2\n',
      'a\n1\nb\n2\nc\n3\nd\n4\n',
      '',
      'A\n1\nB\n2\nC\n3\n',
    ];
    for (const head of [...heads, ...heads.toReversed(), ...heads]) {
      const expected: Record<string, string | string[]> = {};
      const parts = head.split('\n');
      for (let i = 0; i + 1 < parts.length; i += 2) {
        const name = parts[i]!.toLowerCase();
        const known = expected[name];
        expected[name] = known === undefined ? parts[i + 1]! : [known, parts[i + 1]!].flat();
      }
      expect(parseFields(head), head).toEqual(expected);
    }
  });
});

describe('parsed headers of a repeated head', () => {
  it.each(['A\n1\nB\n2\n', '200\nA\n1\nA\n2\n', '__proto__\n1\nconstructor\n2\n'])(
    'are objects of their own: %j',
    (head) => {
      const start = head.startsWith('200') ? 4 : 0;
      const first = parseFields(head, start);
      const copies = [first, parseFields(head, start), parseFields(head, start)];
      for (const copy of copies) expect(copy).toEqual(first);
      for (const [i, copy] of copies.entries()) {
        for (const name of Object.keys(copy)) {
          const value = copy[name];
          if (Array.isArray(value)) value.push(`changed ${i}`);
          else Object.defineProperty(copy, name, { value: `changed ${i}`, enumerable: true });
        }
        copy['added'] = 'x';
      }
      const [again, pristine] = [parseFields(head, start), parseFields(`${head}C\n3\n`, start)];
      expect(pristine).toEqual({ ...again, c: '3' });
      expect(Object.getPrototypeOf(again)).toBe(Object.prototype);
    },
  );

  it('are not those of the same text with another start, or over another protocol', () => {
    const text = 'A\n1\nA\n2\n';
    for (let i = 0; i < 3; i++) {
      expect(parseFields(text)).toEqual({ a: ['1', '2'] });
      expect(parseFields(text, 4)).toEqual({ a: '2' });
      expect(parseFields(text, 0, true)).toEqual({ a: '1, 2' });
    }
  });
});

describe('raw headers', () => {
  const text = 'OK\nX-A\n1\nx-a\n\nX-B\n\u00e9\n';
  const names = (list: Buffer[]) => list.map((entry) => entry.toString('latin1'));

  it('are names and values as they were on the wire', () => {
    expect(names(rawList(text, 3, false))).toEqual(['X-A', '1', 'x-a', '', 'X-B', '\u00e9']);
  });

  it('have the names as properties over HTTP/2', () => {
    const list = rawList(text, 3, true);
    expect(list).toHaveLength(6);
    expect((list as unknown as Record<string, unknown>)['x-a']).toEqual(['1', '']);
  });

  it.each([false, true])('created on first access are the same list (HTTP/2: %s)', (isHttp2) => {
    const eager = rawList(text, 3, isHttp2);
    const lazy = () => lazyRawList(text, 3, isHttp2);
    expect(Array.isArray(lazy())).toBe(true);
    expect(lazy()).toEqual(eager);
    expect(lazy()).toHaveLength(6);
    expect(Object.keys(lazy())).toEqual(Object.keys(eager));
    expect(Object.getOwnPropertyDescriptors(lazy())).toEqual(
      Object.getOwnPropertyDescriptors(eager),
    );
    expect(names([...lazy()])).toEqual(names(eager));
    expect(5 in lazy()).toBe(true);
    expect(6 in lazy()).toBe(false);
    expect(JSON.stringify(lazy())).toBe(JSON.stringify(eager));
    expect(Object.isFrozen(Object.freeze(lazy()))).toBe(true);
  });

  it('created on first access can be changed', () => {
    const list = lazyRawList(text, 3, false);
    list.push(Buffer.from('X-C'), Buffer.from('2'));
    Reflect.deleteProperty(list, 0);
    list[1] = Buffer.from('3');
    expect(list).toHaveLength(8);
    expect(list[0]).toBeUndefined();
    expect(names(list.slice(1))).toEqual(['3', 'x-a', '', 'X-B', '\u00e9', 'X-C', '2']);
  });
});
