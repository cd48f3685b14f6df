// Gives an old Node the peer that it can run: undici 8 needs Node 22.19, so before that `undici`
// means the development dependency `undici7`. In a user's project npm decides this at install.
//
// Preloaded (`node --require ./scripts/peer.cjs`) by the demo and the soak test, which run in this
// repository, where both are installed.
'use strict';

const [major, minor] = process.versions.node.split('.').map(Number);
const old = major < 22 || (major === 22 && minor < 19);
process.env.DODICI_TEST_PEER ??= old ? '7' : '8';
require('../node/scripts/peer-hook.cjs');
