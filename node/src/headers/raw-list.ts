/**
 * Raw headers as handlers get them: a flat list of Buffers.
 *
 * What lives here: the list, and the one that is made only when something of it is looked at. Called
 * by the controller. It must not know the request.
 */

import { parseFields, rawFields } from './fields';

/** Gives a list of fields the names as properties, which neither loops nor comparisons see. */
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
 * Names and values of the fields in `text` from `start` on. Over HTTP/2, where undici has an object
 * of names and values instead, the list has those as well.
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
 * As `rawList`, made when it is first looked into. For those who read `rawHeaders` of every response
 * and look into few: a Buffer for each name and value costs more than all else about a head. Looking
 * into this one costs more than into a plain list.
 */
export function lazyRawList(text: string, start: number, isHttp2: boolean): Buffer[] {
  return new Proxy<Buffer[]>([], new FirstLook(text, start, isHttp2));
}

/** Fills the list, and does with it what was to be done. */
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
