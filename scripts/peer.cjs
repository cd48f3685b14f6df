// Gives an old Node the peer that it can run: undici 8 needs Node 22.19, so before that `undici`
// means the development dependency `undici7`. In a user's project npm decides this at install.
//
// Preloaded (`node --require ./scripts/peer.cjs`) by the demo and the README check, which run in
// this repository, where both are installed.
'use strict';
const Module = require('node:module');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (request, ...rest) {
    const own = request === 'undici' || request.startsWith('undici/');
    return resolve.call(this, own ? request.replace('undici', 'undici7') : request, ...rest);
  };
}
