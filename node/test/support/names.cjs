// Runs in a network of its own, where loopback has public addresses and names come from the server here:
// what `names.test.ts` expects, as one line of JSON. Arguments: dodici's file, undici's, a folder.

const dgram = require('node:dgram');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');

const [, , dodiciPath, undiciPath] = process.argv;
const dodici = require(dodiciPath);
const undici = require(undiciPath);

const PUBLIC = '93.184.216.34';
const PUBLIC_V6 = '2606:2800:21f::1';
const INWARD = '10.1.2.3';
const NAT64 = '64:ff9b::7f00:1';

/** Queries for IPv4 addresses, by name. */
const queries = {};
/** Addresses by name; a list of lists: one after the other; `null`: no answer. */
const names = {
  'public.test': [PUBLIC],
  'both.test': [INWARD, PUBLIC],
  'inward.test': [INWARD],
  'silent.test': null,
};
const rebinding = { 'rebinding.test': [[PUBLIC], [INWARD]] };

/** RFC 1035, as far as a stub resolver needs it. */
function answer(query) {
  let at = 12;
  const labels = [];
  while (query[at] !== 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  const question = query.subarray(12, at + 5);
  const isV4 = query.readUInt16BE(at + 1) === 1;
  const name = labels.join('.').toLowerCase();
  if (isV4) queries[name] = (queries[name] ?? 0) + 1;
  let addresses = names[name];
  if (name in rebinding) {
    const turns = rebinding[name];
    addresses = turns[Math.min(queries[name] ?? 1, turns.length) - 1];
  }
  if (addresses === null) return null;
  const records = (isV4 && addresses) || [];
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(addresses === undefined ? 0x8183 : 0x8180, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  const parts = records.map((address) =>
    Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]),
  );
  return Buffer.concat([head, question, ...parts]);
}

async function main() {
  const resolver = dgram.createSocket('udp4');
  resolver.on('message', (query, from) => {
    const reply = answer(query);
    if (reply !== null) resolver.send(reply, from.port, from.address);
  });
  resolver.bind(53, '127.0.0.1');
  await once(resolver, 'listening');

  /** Addresses at which connections arrived. */
  let reached = [];
  const server = http.createServer((_request, response) => response.end('reached'));
  server.on('connection', (socket) => reached.push(socket.localAddress.replace('::ffff:', '')));
  server.listen(0, '::');
  await once(server, 'listening');
  const { port } = server.address();

  // RFC 1928, for one client that sends each message in one piece.
  const socks = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]));
      socket.once('data', () => {
        const target = net.connect(port, '127.0.0.1', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          socket.pipe(target).pipe(socket);
        });
        target.on('error', () => socket.destroy());
        socket.on('close', () => target.destroy());
      });
    });
  });
  socks.listen(0, '::');
  await once(socks, 'listening');

  const agents = [];
  const agentOf = (options, Class = dodici.Agent) => {
    const agent = new Class({ pipelining: 0, ...options });
    agents.push(agent);
    return agent;
  };
  const guarded = { connect: { allow: 'public' } };
  const get = async (dispatcher, host) => {
    try {
      const { body } = await dodici.request(`http://${host}:${port}/`, { dispatcher });
      return await body.text();
    } catch (error) {
      return error.code;
    }
  };
  const several = async (dispatcher, ...hosts) => {
    reached = [];
    const outcomes = [];
    for (const host of hosts) outcomes.push(await get(dispatcher, host));
    return { outcomes, reached: [...reached] };
  };
  /** Queries for a name during requests for it. */
  const counted = async (name, ...steps) => {
    const before = queries[name] ?? 0;
    const outcomes = [];
    for (const step of steps) outcomes.push(await step());
    return { outcomes, queries: (queries[name] ?? 0) - before };
  };

  const result = {};
  const guard = agentOf(guarded);
  result.public = await several(
    guard,
    PUBLIC,
    `[${PUBLIC_V6}]`,
    'public.test',
    `[::ffff:${PUBLIC}]`,
  );
  result.inward = await several(guard, INWARD, `[${NAT64}]`, 'inward.test', '127.0.0.1');
  result.unguarded = await several(agentOf({}), INWARD, `[${NAT64}]`, 'inward.test');
  result.both = await several(guard, 'both.test');
  result.rebinding = await several(guard, 'rebinding.test', 'rebinding.test');

  const cached = agentOf({ dns: { ttl: 3_600_000, negativeTtl: 3_600_000 } });
  const other = agentOf({ dns: { ttl: 3_600_000 } });
  const ask = (agent, name) => () => get(agent, name);
  dodici.clearDnsCache();
  result.cached = await counted(
    'public.test',
    ask(cached, 'public.test'),
    ask(cached, 'public.test'),
    ask(other, 'PUBLIC.test'),
  );
  result.cleared = await counted('public.test', dodici.clearDnsCache, ask(cached, 'public.test'));
  result.uncached = await counted(
    'public.test',
    ask(agentOf({}), 'public.test'),
    ask(agentOf({}), 'public.test'),
  );
  const byOrigin = { 'public.test:*': { dns: { ttl: 3_600_000 } } };
  dodici.clearDnsCache();
  const ruled = agentOf({ origins: byOrigin });
  result.byOrigin = await counted(
    'public.test',
    ask(ruled, 'public.test'),
    ask(ruled, 'public.test'),
  );
  result.otherOrigin = await counted('both.test', ask(ruled, 'both.test'), ask(ruled, 'both.test'));
  // A proxy's name: by two agents, each with a connection of its own.
  const uri = `socks5://public.test:${socks.address().port}`;
  const throughSocks = (dns) =>
    [new dodici.Socks5ProxyAgent(uri, { dns }), new dodici.ProxyAgent({ uri, dns })].map(
      (agent) => {
        agents.push(agent);
        return ask(agent, 'other.test');
      },
    );
  dodici.clearDnsCache();
  result.socks = await counted('public.test', ...throughSocks({ ttl: 3_600_000 }));
  result.uncachedSocks = await counted('public.test', ...throughSocks(null));
  const undiciAgent = agentOf({ dns: { ttl: 3_600_000 } }, undici.Agent);
  result.undici = await counted(
    'public.test',
    ask(undiciAgent, 'public.test'),
    ask(undiciAgent, 'public.test'),
  );
  result.negative = await counted(
    'missing.test',
    ask(cached, 'missing.test'),
    ask(cached, 'missing.test'),
    ask(other, 'missing.test'),
  );
  // Found by an agent without a rule, and kept: the rule is asked all the same.
  await get(cached, 'inward.test');
  const both = agentOf({ ...guarded, dns: { ttl: 3_600_000 } });
  result.guardedCache = await counted('inward.test', ask(both, 'inward.test'));
  const impatient = agentOf({ dns: {}, connect: { timeout: 200 } });
  result.silent = await get(impatient, 'silent.test');

  // A lookup of the program's own is asked each time.
  let asked = 0;
  const lookup = (_name, options, done) => {
    asked++;
    if (options.all) done(null, [{ address: PUBLIC, family: 4 }]);
    else done(null, PUBLIC, 4);
  };
  const own = agentOf({ dns: { ttl: 3_600_000 }, connect: { lookup } });
  await get(own, 'public.test');
  await get(own, 'public.test');
  result.ownLookups = asked;

  await Promise.all(agents.map((agent) => agent.destroy()));
  resolver.close();
  socks.close();
  server.closeAllConnections();
  server.close();
  console.log(JSON.stringify(result));
}

main();
