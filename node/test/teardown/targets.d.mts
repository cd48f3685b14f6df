export interface Targets {
  readonly urls: { readonly origin: string; readonly deaf: string; readonly silent: string[] };
  connections(): Promise<number>;
  close(): Promise<void>;
}
export function openTargets(reached: (id: string) => void, silent: number): Promise<Targets>;
