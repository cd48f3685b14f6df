/**
 * The packages that have the addon: one for each platform, each with one file.
 *
 * What lives here: their names, and which of them suit this process. The list itself is `platforms.json`,
 * which `scripts/pack.mjs` and the release workflow read, too. It must not know where packages are.
 */

import platforms from './platforms.json';

export type Libc = 'glibc' | 'musl';

/** A platform, as `process.platform` and `process.arch` name it. */
export interface Platform {
  readonly name: string;
  readonly os: string;
  readonly cpu: string;
  readonly libc?: string;
}

/** Every platform that has a package. */
export const PLATFORMS: readonly Platform[] = platforms;

/** Name of a platform's package. */
export function packageOf({ name }: Platform): string {
  return `@dodici/${name}`;
}

/** Platforms of this operating system and processor: two where there are two C libraries. */
export function platformsOf(os: string, cpu: string): Platform[] {
  return PLATFORMS.filter((platform) => platform.os === os && platform.cpu === cpu);
}

/** The C library of this process, if it says. The report takes milliseconds: only ask where it matters. */
export function libcOfProcess(): Libc | undefined {
  if (process.platform !== 'linux') return undefined;
  // Bun and Deno may have none. The types lack `excludeNetwork`.
  const report = process.report as
    (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (report === undefined) return undefined;
  // Otherwise Node looks up the names of all peers that it is connected to.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}
