// A registry on this machine with nothing but what is published into it. run.mjs starts it.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { runServer } from 'verdaccio';

/** A registry whose packages are in `folder`. */
export async function startRegistry(folder) {
  const application = await runServer({
    self_path: join(folder, 'config.yaml'),
    storage: join(folder, 'storage'),
    // No uplink: what is not here is nowhere.
    uplinks: {},
    auth: { htpasswd: { file: join(folder, 'htpasswd') } },
    packages: { '**': { access: '$all', publish: '$authenticated' } },
    max_body_size: '64mb',
    web: { enable: false },
    log: { type: 'file', path: join(folder, 'log'), level: 'warn' },
  });
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  const url = `http://127.0.0.1:${application.address().port}`;
  const name = 'rehearsal';
  const user = await put(`${url}/-/user/org.couchdb.user:${name}`, {
    name,
    password: 'dodici-dodici',
  });
  return {
    url,
    /** Publishes a tarball; `manifest` is its package.json. */
    publish: (tarball, manifest, tag = 'latest') =>
      put(
        `${url}/${manifest.name.replace('/', '%2f')}`,
        description(url, tarball, manifest, tag),
        user.token,
      ),
    close() {
      application.close();
      application.closeAllConnections();
    },
  };
}

/** What `npm publish` sends. */
function description(url, tarball, manifest, tag) {
  const { name, version } = manifest;
  const data = readFileSync(tarball);
  const file = `${name}-${version}.tgz`;
  const dist = {
    integrity: `sha512-${createHash('sha512').update(data).digest('base64')}`,
    shasum: createHash('sha1').update(data).digest('hex'),
    tarball: `${url}/${name}/-/${basename(file)}`,
  };
  return {
    _id: name,
    name,
    'dist-tags': { [tag]: version },
    versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
    _attachments: {
      [file]: {
        content_type: 'application/octet-stream',
        data: data.toString('base64'),
        length: data.length,
      },
    },
  };
}

async function put(url, body, token) {
  const response = await fetch(url, {
    method: 'PUT',
    headers: {
      'content-type': 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`PUT ${url}: ${response.status} ${await response.text()}`);
  return response.json();
}
