/**
 * Raw headers as handlers get them: a flat list of Buffers.
 *
 * What lives here: the list, and its lazy variant, which is built on first access. Called by the
 * controller. It must not know the request.
 */

import { parseFields, rawFields } from './fields';

/** Adds the names as properties to a list of fields, hidden from loops and comparisons. */
function nameFields(list: Buffer[], fields: object): void {
  for (const [name, value] of Object.entries(fields)) {
    if (name in list) continue;
    Object.defineProperty(list, name, {
      value: value as unknown,
      configurable: true,
      writable: true,
    });
  }
}

/**
 * Names and values of the fields in `text` from `start`. Over HTTP/2, where undici has an object of
 * names and values instead, the list has those as properties too.
 */
export function rawList(
  text: string,
  start: number,
  isHttp2: boolean,
  list: Buffer[] = [],
): Buffer[] {
  rawFields(text, start, list);
  if (isHttp2) nameFields(list, parseFields(text, start));
  return list;
}

/**
 * Like `rawList`, built on first access. For callers that read `rawHeaders` of every response but
 * rarely look inside: a Buffer per name and value costs more than everything else about a head.
 * Accessing this list costs more than a plain one.
 */
export function lazyRawList(text: string, start: number, isHttp2: boolean): Buffer[] {
  return new Proxy<Buffer[]>([], new FirstLook(text, start, isHttp2));
}

/** Fills the list, and then performs the operation on it. */
class FirstLook implements ProxyHandler<Buffer[]> {
  #text: string | null;
  readonly #start: number;
  readonly #isHttp2: boolean;

  constructor(text: string, start: number, isHttp2: boolean) {
    this.#text = text;
    this.#start = start;
    this.#isHttp2 = isHttp2;
  }

  #filled(list: Buffer[]): Buffer[] {
    const text = this.#text;
    this.#text = null;
    return text === null ? list : rawList(text, this.#start, this.#isHttp2, list);
  }

  get(list: Buffer[], key: string | symbol): unknown {
    return Reflect.get(this.#filled(list), key);
  }

  set(list: Buffer[], key: string | symbol, value: unknown): boolean {
    return Reflect.set(this.#filled(list), key, value);
  }

  has(list: Buffer[], key: string | symbol): boolean {
    return Reflect.has(this.#filled(list), key);
  }

  deleteProperty(list: Buffer[], key: string | symbol): boolean {
    return Reflect.deleteProperty(this.#filled(list), key);
  }

  ownKeys(list: Buffer[]): (string | symbol)[] {
    return Reflect.ownKeys(this.#filled(list));
  }

  getOwnPropertyDescriptor(list: Buffer[], key: string | symbol): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.#filled(list), key);
  }

  defineProperty(list: Buffer[], key: string | symbol, descriptor: PropertyDescriptor): boolean {
    return Reflect.defineProperty(this.#filled(list), key, descriptor);
  }

  preventExtensions(list: Buffer[]): boolean {
    return Reflect.preventExtensions(this.#filled(list));
  }
}
