/**
 * The addon's interface in TypeScript.
 *
 * What lives here: types only. `loader.ts` provides the real one, tests provide a scripted one.
 * Meaning of each function: `node/native/src/exports.rs`.
 */

declare const environment: unique symbol;

/** The number of one environment of the addon. */
export type NativeEnvironment = number & { readonly [environment]: never };

/** Called on the JS thread for each doorbell. `overflow` replaces the inbound buffer for one batch. */
type OnBatch = (
  length: number,
  slabs: Buffer[] | undefined | null,
  overflow?: Buffer | null,
) => void;

/** Exports of the `.node` file. */
export interface NativeAddon {
  layoutHash(): number;
  version(): string;
  open(inbound: Buffer, onBatch: OnBatch, ioThreads: number): NativeEnvironment;
  threads(environment: NativeEnvironment): number;
  /** `page`: the number of the page that `buffer` is, which is lent until `page()` returns it again. */
  submit(
    environment: NativeEnvironment,
    thread: number,
    buffer: Buffer,
    length: number,
    page?: number,
  ): void;
  /** Memory for a large flush: an existing page, a new one, or none. */
  page(environment: NativeEnvironment): number | Buffer | undefined;
  /** Validates a pool's options; returns an error payload if they are invalid. */
  checkOptions(options: Uint8Array, length: number): Buffer | undefined;
  isPublic(address: string): boolean;
  clearDnsCache(): void;
  setRoots(environment: NativeEnvironment, pem: Buffer): void;
  counters(environment: NativeEnvironment): Float64Array;
  /** Milliseconds since the environment's epoch. */
  clock(environment: NativeEnvironment): number;
  close(environment: NativeEnvironment): void;
}
