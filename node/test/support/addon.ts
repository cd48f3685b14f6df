// Installs the scripted addon before the package loads. Import this first.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export interface SubmittedRecord {
  kind: string;
  flags: number;
  aux: number;
  slot: number;
  generation: number;
  payload: Buffer;
  thread: number;
  pool: number;
  headersTimeout: number;
  bodyTimeout: number;
  bodyLength: number;
  head: string;
  body: Buffer;
}

export type Completed = object;
export type FieldPairs = [string, string][];

export interface Control {
  submitted: SubmittedRecord[];
  submitCalls: number;
  threads: number;
  roots: Buffer | null;
  readonly request: SubmittedRecord;
  reset(): void;
  of(kind: string): SubmittedRecord[];
  deliver(...records: Completed[]): void;
  head(request: SubmittedRecord, status?: number, fields?: FieldPairs, reason?: string): Completed;
  informational(request: SubmittedRecord, status: number, fields?: FieldPairs): Completed;
  upgrade(request: SubmittedRecord, status?: number, fields?: FieldPairs): Completed;
  data(request: SubmittedRecord, payload: string | Uint8Array): Completed;
  largeData(request: SubmittedRecord, chunk: Buffer): Completed;
  end(request: SubmittedRecord, trailers?: FieldPairs): Completed;
  error(request: SubmittedRecord, fields: [string, unknown][]): Completed;
  pull(request: SubmittedRecord, bytes: number): Completed;
  assigned(request: SubmittedRecord, connection?: number): Completed;
  connected(pool: number, connection?: number, fields?: [string, unknown][]): Completed;
  disconnected(pool: number, connection?: number, reason?: number): Completed;
  connectFailed(pool: number, fields: [string, unknown][]): Completed;
  connectGivenUp(pool: number): Completed;
  poolClosed(pool: number): Completed;
}

const path = fileURLToPath(new URL('./scripted-addon.cjs', import.meta.url));
process.env['DODICI_ADDON'] = path;

const addon = createRequire(import.meta.url)(path) as {
  control: Control;
  encode(record: object): Buffer;
};

export const control = addon.control;
export const encode = addon.encode;

/** Lets microtasks run, so that what was submitted has been flushed. */
export async function flushed(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

/** Lets the event loop turn: streams, `setImmediate`, microtasks. */
export async function turned(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
