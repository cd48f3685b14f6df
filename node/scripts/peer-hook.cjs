// Preload (`node --require`) that makes every `require('undici')` load the peer under test.
//
// DODICI_TEST_PEER=7 or 8 names it; both are installed, as `undici7` and `undici`. NODE_OPTIONS
// carries the preload into workers and child processes.
'use strict';

const Module = require('node:module');

const installed = { 7: 'undici7', 8: 'undici' };
const peer = installed[process.env.DODICI_TEST_PEER ?? '8'];
if (peer === undefined) throw new Error('DODICI_TEST_PEER must be 7 or 8');

if (peer !== 'undici') {
  const fromHere = Module.createRequire(__filename);
  const resolveFilename = Module._resolveFilename;
  Module._resolveFilename = function (request, ...rest) {
    if (request === 'undici' || request.startsWith('undici/')) {
      return fromHere.resolve(peer + request.slice('undici'.length));
    }
    return resolveFilename.call(this, request, ...rest);
  };
}
