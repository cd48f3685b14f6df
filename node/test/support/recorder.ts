// A handler that records its callbacks.

export class Recorder {
  readonly events: unknown[][] = [];
  controller: any = null;
  /** Called with the name of each callback, to act from inside it. */
  during: (name: string, recorder: Recorder) => void = () => {};

  get names(): unknown[] {
    return this.events.map(([name]) => name);
  }

  last(name: string): unknown[] {
    return this.events.filter(([event]) => event === name).at(-1)!;
  }

  private note(name: string, ...values: unknown[]): void {
    this.events.push([name, ...values]);
    this.during(name, this);
  }

  onRequestStart(controller: unknown): void {
    this.controller = controller;
    this.note('start');
  }

  onRequestUpgrade(_controller: unknown, status: number, headers: object, socket: unknown): void {
    this.note('upgrade', status, headers, socket);
  }

  onResponseStart(_controller: unknown, status: number, headers: object, text?: string): void {
    this.note('head', status, headers, text);
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.note('data', chunk.toString('latin1'));
  }

  onResponseEnd(_controller: unknown, trailers: object): void {
    this.note('end', trailers);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.note('error', error);
  }
}
