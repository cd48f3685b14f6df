// The parts of `just soak` that are whole suites of tests, run as the test command does not: on every
// Node, with every exit, under tools that look at memory. Each returns whether it passed.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../lib/paths.mjs";

const NODE = join(ROOT, "node");

/** Runs a program with inherited output. */
function passes(program, args, { cwd = ROOT, env = {} } = {}) {
  const { status, error, signal } = spawnSync(program, args, {
    cwd,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (error) console.error(`soak: ${program} did not start: ${error.message}`);
  if (signal) console.error(`soak: ${program} was ended by ${signal}`);
  return status === 0;
}

/** vitest with these arguments. */
function vitest(args, env) {
  const program = join(NODE, "node_modules", "vitest", "vitest.mjs");
  return passes(process.execPath, [program, "run", ...args], { cwd: NODE, env });
}

/** The teardown test with its full matrix; it starts the processes itself. */
const teardown = {
  title: "processes and workers that end in every phase of a request",
  run: ({ short }) =>
    vitest(["--project=e2e", "--disable-console-intercept=true", "test/e2e/teardown.test.ts"], {
      DODICI_TEARDOWN: short ? "short" : "soak",
    }),
};

const nodes = {
  title: "every test of the package on each Node and undici that it supports",
  run: ({ short }) =>
    passes(process.execPath, ["scripts/test-nodes.mjs", ...(short ? ["--short"] : [])], {
      cwd: NODE,
    }),
};

/** R21: the Rust half. C code is not instrumented, so a fault inside aws-lc is not detected. */
const asan = {
  title: "r21: the Rust tests under AddressSanitizer",
  run({ short }) {
    if (process.platform !== "linux" || process.arch !== "x64") {
      console.error("soak: asan is for Linux on x86-64");
      return false;
    }
    // The addon needs Node, which is not built with the sanitizer.
    const which = short
      ? ["--package", "dodici-wire", "--package", "dodici-pool"]
      : ["--workspace", "--exclude", "dodici-native"];
    const target = ["--target", "x86_64-unknown-linux-gnu", "--target-dir", "target/asan"];
    return passes("cargo", ["test", ...which, "--lib", "--tests", "--no-fail-fast", ...target], {
      env: {
        RUSTC_BOOTSTRAP: "1",
        RUSTFLAGS: "-Zsanitizer=address",
        // The engine's threads and caches live as long as the process.
        ASAN_OPTIONS: "detect_leaks=0",
      },
    });
  },
};

/** R21: the addon. glibc then checks and fills each freed block. */
const malloc = {
  title: "r21: the addon's tests under glibc's checking allocator",
  run({ short }) {
    const env = {
      LD_PRELOAD: "libc_malloc_debug.so.0",
      MALLOC_CHECK_: "3",
      MALLOC_PERTURB_: "165",
      GLIBC_TUNABLES: "glibc.malloc.check=3:glibc.malloc.perturb=165",
    };
    const probe = spawnSync(process.execPath, ["--eval", ""], {
      env: { ...process.env, ...env },
      encoding: "utf8",
    });
    if (process.platform !== "linux" || probe.status !== 0 || /preload/.test(probe.stderr)) {
      console.error("soak: malloc needs glibc 2.34 or newer, with libc_malloc_debug.so.0");
      return false;
    }
    const boundary = join(ROOT, "node", "native", "tests", "addon.test.mjs");
    return (
      passes(process.execPath, ["--test", boundary], { env }) &&
      // Tests that measure memory would measure the allocator.
      (short ||
        vitest(
          [
            "test/e2e/bodies",
            "test/e2e/boundary",
            "test/e2e/life",
            "test/e2e/reentrancy",
            "test/e2e/responses",
            "test/e2e/upgrades",
            "test/security",
          ],
          env,
        ))
    );
  },
};

/** All suites, by their names on the command line. */
export const suites = { teardown, nodes, asan, malloc };
