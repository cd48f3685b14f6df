/**
 * Why there is no addon, or why it does not load, for somebody who has installed the package.
 *
 * What lives here: words. Each message is one sentence that says what is wrong and what to do; the loader
 * calls these functions with what it has found. It must not look for anything itself.
 */

import { type Libc, packageOf, type Platform, PLATFORMS, platformsOf } from './platform';

/** What the loader knows when it has found no addon. */
export interface Surroundings {
  readonly os: string;
  readonly cpu: string;
  readonly libc: Libc | undefined;
  /** Platforms whose packages are installed: none of them is this one. */
  readonly installed: readonly Platform[];
  /** The file of this code, if it is known. */
  readonly file: string | undefined;
  /** Whether that file is a bundle of somebody else's making. */
  readonly bundled: boolean;
  /** The executable that this code is a part of, and what has made it. */
  readonly executable?: { readonly path: string; readonly by: 'node' | 'pkg' };
  readonly electron: boolean;
  readonly pnp: boolean;
}

const MEANWHILE = 'until then, import undici, which has the same API';
const AGAIN = 'delete node_modules and install again on this system';
const OTHER_LIBC = `it is for another C library (glibc or musl) than this Node's: ${AGAIN}`;

/** The message if no addon was found. */
export function whyMissing(found: Surroundings): string {
  const { os, cpu, libc } = found;
  const candidates = platformsOf(os, cpu);
  const platform = candidates.find((one) => one.libc === libc) ?? candidates[0];
  if (platform === undefined || (libc !== undefined && platform.libc !== libc)) {
    const name = [os, cpu, ...(libc === 'musl' ? ['musl'] : [])].join('-');
    const names = PLATFORMS.map((one) => one.name).join(', ');
    return `dodici has no native addon for ${name}: there are packages for ${names}; import undici instead, which has the same API.`;
  }
  return `dodici has no native addon for ${platform.name}: ${cure(found, packageOf(platform))}; ${MEANWHILE}.`;
}

function cure(
  { installed, file, bundled, executable, electron, pnp }: Surroundings,
  name: string,
): string {
  if (executable?.by === 'node') {
    return `put the file dodici.node of the package ${name} beside the executable ${executable.path}`;
  }
  if (executable?.by === 'pkg') {
    return `add node_modules/${name}/dodici.node to the "assets" of pkg, or put that file beside the executable ${executable.path}`;
  }
  if (electron && file?.includes('.asar')) {
    return `the package ${name} is not in the app: install it for the app's platform, and unpack it with "asarUnpack": "**/node_modules/@dodici/**"`;
  }
  if (bundled) {
    const where = file === undefined ? 'a bundle' : `the bundle ${file}`;
    return `dodici is part of ${where}, which does not find the package ${name}: mark dodici and undici as external in the bundler, or copy node_modules/${name} to a folder node_modules beside the bundle`;
  }
  if (pnp) {
    return `Yarn has not installed the package ${name}: run "yarn install" on this system, or name it in "supportedArchitectures" of .yarnrc.yml`;
  }
  const [other] = installed;
  if (other !== undefined) {
    return `the installed package ${packageOf(other)} is for another system: ${AGAIN}, in a container rather than outside of it`;
  }
  return `the optional package ${name} is not installed: install again without --omit=optional or --no-optional, and if the lock file is from another system, delete it and node_modules first`;
}

/**
 * What the system's loader says, and what that means. Of a file for another processor, glibc says that it
 * does not exist, musl that its format is wrong.
 */
const LOAD_FAILURES: readonly (readonly [RegExp, string])[] = [
  [/`?GLIBC_[\d.]+'? not found/, 'dodici needs glibc 2.28 or newer'],
  [
    /libc\.musl|ld-musl|ld-linux|libc\.so\.6|symbol not found|Error relocating/,
    OTHER_LIBC,
  ],
  [
    /^cannot open shared object|Exec format|ELF |file too short|wrong architecture|incompatible architecture|mach-o|not a valid Win32/i,
    `it is for another system, or damaged: ${AGAIN}`,
  ],
];

/**
 * The message if the addon at `path` does not load; `reason` is the first line of Node's. `otherLibc`: its
 * package is for another C library.
 */
export function whyNotLoaded(path: string, reason: string, otherLibc = false): string {
  const cure =
    /\.asar[\\/]/.test(path) && process.versions['electron'] !== undefined
      ? 'unpack it with "asarUnpack": "**/node_modules/@dodici/**"'
      : otherLibc
        ? OTHER_LIBC
        : LOAD_FAILURES.find(([pattern]) => pattern.test(reason))?.[1];
  return `dodici could not load its native addon ${path} (${reason}): ${cure ?? AGAIN}; ${MEANWHILE}.`;
}
