// How often a client may ask: requests and messages, by connection, by route and by address; and whose request it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessLog } from './lib/access_log.mjs';
import { Conversation } from './lib/http_client.mjs';
import { demoConfig, eventually, makeDirectory, startServer } from './lib/server.mjs';
import { openWebSocket, ping, text } from './lib/websocket_client.mjs';

// So rare that nothing comes back while a test runs.
const rarely = (burst) => `1/m burst ${burst}`;

function withLimits(limits, change = () => {}) {
  return startServer({
    config: demoConfig((config) => {
      config.workers = 2;
      config.limits = { ...config.limits, ...limits };
      change(config);
    }),
  });
}

async function statuses(conversation, count, fields = '') {
  const result = [];
  for (let i = 0; i < count; ++i) result.push((await conversation.get('/hello', fields)).status);
  return result;
}

test('requests above the rate of their connection get 429, and the connection stays', async () => {
  const server = await withLimits({ request_rate: rarely(3) });
  const connection = new Conversation(server.port);
  assert.deepEqual(await statuses(connection, 3), [200, 200, 200]);
  const refused = await connection.get();
  assert.equal(refused.status, 429);
  assert.match(refused.headers['retry-after'], /^(59|60)$/);
  assert.equal(refused.headers.connection, undefined);
  assert.deepEqual(await statuses(connection, 2), [429, 429]);
  // Another connection has its own.
  const other = new Conversation(server.port);
  assert.deepEqual(await statuses(other, 4), [200, 200, 200, 429]);
  const counters = await server.counters();
  assert.equal(counters.request_rate_limited, 4);
  assert.equal(counters.http_refused_429, 4);
  assert.equal(counters.address_request_rate_limited, 0);
  connection.end();
  other.end();
  await server.stop();
});

test('who waits as long as Retry-After says is served', async () => {
  const server = await withLimits({ request_rate: '1/s burst 1' });
  const connection = new Conversation(server.port);
  assert.deepEqual(await statuses(connection, 1), [200]);
  const { status, headers } = await connection.get();
  assert.equal(status, 429);
  assert.equal(headers['retry-after'], '1');
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(headers['retry-after'])));
  assert.deepEqual(await statuses(connection, 1), [200]);
  connection.end();
  await server.stop();
});

test('a refused request with content ends its connection, without asking for the content', async () => {
  const server = await withLimits({ request_rate: rarely(1) });
  const connection = new Conversation(server.port);
  assert.deepEqual(await statuses(connection, 1), [200]);
  const refused = await connection.ask(
      'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.connection, 'close');
  await connection.closed;
  await server.stop();
});

test('a connection that hammers is closed', async () => {
  const server = await withLimits({ request_rate: rarely(2) });
  const connection = new Conversation(server.port);
  connection.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200));
  await connection.closed;
  const answered = connection.bytes.toString('latin1').match(/HTTP\/1\.1 \d+/g);
  assert.equal(answered.filter((line) => line.endsWith('200')).length, 2);
  // Ten bursts, and the one that was too many.
  assert.equal(answered.filter((line) => line.endsWith('429')).length, 21);
  await server.assertCounted({ closed_limit: 1 });
  await server.stop();
});

test('a route may have a rate of its own', async () => {
  const server = await withLimits({}, (config) => {
    config.routes.push({ path: '/login', type: 'text', body: 'in', limits: { request_rate: rarely(1) } });
  });
  const connection = new Conversation(server.port);
  assert.equal((await connection.get('/login')).status, 200);
  assert.equal((await connection.get('/login')).status, 429);
  assert.deepEqual(await statuses(connection, 5), [200, 200, 200, 200, 200]);
  assert.equal((await connection.get('/login')).status, 429);
  connection.end();
  await server.stop();
});

test('more messages than their rate end a WebSocket with 1008', async () => {
  const server = await withLimits({ message_rate: rarely(5) });
  const { peer } = await openWebSocket(server.port);
  peer.send(...Array.from({ length: 20 }, () => text('m')));
  const events = await peer.waitForEnd();
  assert.deepEqual(events.slice(0, 5), Array(5).fill(['text', 'm']));
  assert.deepEqual(events.slice(5), [['close', 1008, 'message rate'], ['end']]);
  assert.equal((await server.counters()).message_rate_limited, 1);
  await server.stop();
});

test('a flood of pings ends like a flood of messages', async () => {
  const server = await withLimits({ message_rate: rarely(5) });
  const { peer } = await openWebSocket(server.port);
  peer.send(...Array.from({ length: 1000 }, () => ping('p')));
  const events = await peer.waitForEnd();
  assert.equal(events.filter(([kind]) => kind === 'pong').length, 5);
  assert.deepEqual(events.at(-2), ['close', 1008, 'message rate']);
  await server.stop();
});

test('the rate of an address is shared by its connections, over all workers', async () => {
  const server = await withLimits({ address: { request_rate: rarely(6), message_rate: rarely(4), exempt: ['127.0.0.3'] } });
  const results = [];
  for (let i = 0; i < 10; ++i) {
    const connection = new Conversation(server.port);
    results.push((await connection.get()).status);
    connection.end();
  }
  assert.deepEqual(results, [...Array(6).fill(200), ...Array(4).fill(429)]);
  const neighbour = new Conversation(server.port, { localAddress: '127.0.0.2' });
  assert.deepEqual(await statuses(neighbour, 7), [...Array(6).fill(200), 429]);
  const exempt = new Conversation(server.port, { localAddress: '127.0.0.3' });
  assert.deepEqual(await statuses(exempt, 20), Array(20).fill(200));
  const counters = await server.counters();
  assert.equal(counters.address_request_rate_limited, 5);
  assert.equal(counters.request_rate_limited, 0);
  neighbour.end();
  exempt.end();
  await server.stop();
});

test('messages of an address are counted over its WebSockets', async () => {
  const server = await withLimits({ address: { message_rate: rarely(4) } });
  const first = (await openWebSocket(server.port)).peer;
  first.send(text('1'), text('2'), text('3'));
  await first.waitFor(3);
  const second = (await openWebSocket(server.port)).peer;
  second.send(text('4'), text('5'));
  const events = await second.waitForEnd();
  assert.deepEqual(events, [['text', '4'], ['close', 1008, 'message rate'], ['end']]);
  assert.equal((await server.counters()).address_message_rate_limited, 1);
  first.destroy();
  await server.stop();
});

// Through a proxy: 127.0.0.1 is one here, 127.0.0.2 is nobody.
function behindProxies(source, limits = {}) {
  const directory = makeDirectory();
  const log = new AccessLog(directory);
  return startServer({
    directory,
    config: demoConfig((config) => {
      config.workers = 2;
      config.client_address = source;
      config.trusted_proxies = ['127.0.0.1/32', '10.0.0.0/8'];
      config.logging = { access_log: log.file };
      config.limits = { ...config.limits, ...limits };
    }),
  }).then((server) => ({ server, log }));
}

test('the access log shows whom a trusted proxy names by X-Forwarded-For', async () => {
  const { server, log } = await behindProxies('x-forwarded-for');
  const proxy = new Conversation(server.port);
  await proxy.get('/hello?1', 'X-Forwarded-For: 198.51.100.66, 203.0.113.7\r\nX-Forwarded-For: 10.1.1.1\r\n');
  await proxy.get('/hello?2', 'X-Forwarded-For: 2001:db8::7\r\n');
  await proxy.get('/hello?3', 'X-Forwarded-For: 203.0.113.7, nonsense\r\n');
  await proxy.get('/hello?4');
  const stranger = new Conversation(server.port, { localAddress: '127.0.0.2' });
  await stranger.get('/hello?5', 'X-Forwarded-For: 203.0.113.7\r\n');
  assert.equal(await log.clientOf('/hello?1'), '203.0.113.7');
  assert.equal(await log.clientOf('/hello?2'), '2001:db8::7');
  assert.equal(await log.clientOf('/hello?3'), '127.0.0.1');
  assert.equal(await log.clientOf('/hello?4'), '127.0.0.1');
  assert.equal(await log.clientOf('/hello?5'), '127.0.0.2');
  proxy.end();
  stranger.end();
  await server.stop();
});

test('the access log shows whom a trusted proxy names by Forwarded', async () => {
  const { server, log } = await behindProxies('forwarded');
  const proxy = new Conversation(server.port);
  await proxy.get('/hello?1', 'Forwarded: for="[2001:db8::9]:4711";proto=https\r\nX-Forwarded-For: 203.0.113.66\r\n');
  await proxy.get('/hello?2', 'Forwarded: for=203.0.113.66, for=203.0.113.8;by=_edge, for=10.9.9.9\r\n');
  await proxy.get('/hello?3', 'Forwarded: for=203.0.113.66, for=unknown\r\n');
  assert.equal(await log.clientOf('/hello?1'), '2001:db8::9');
  assert.equal(await log.clientOf('/hello?2'), '203.0.113.8');
  assert.equal(await log.clientOf('/hello?3'), '127.0.0.1');
  proxy.end();
  await server.stop();
});

test('a refused WebSocket is logged under its client', async () => {
  const { server } = await behindProxies('x-forwarded-for');
  const { status } = await openWebSocket(server.port, {
    headers: { Origin: 'https://evil.example', 'X-Forwarded-For': '203.0.113.44' },
  });
  assert.equal(status, 403);
  await eventually(() => /WebSocket handshake of 203\.0\.113\.44:0 refused with 403/.test(server.output),
                   'the log names the client');
  await server.stop();
});

test('limits by address count whom a trusted proxy names', async () => {
  const { server } = await behindProxies('x-forwarded-for', { address: { request_rate: rarely(4), connections_max: 2 } });
  const proxy = new Conversation(server.port);
  const from = (client) => `X-Forwarded-For: ${client}\r\n`;
  assert.deepEqual(await statuses(proxy, 5, from('203.0.113.1')), [200, 200, 200, 200, 429]);
  assert.deepEqual(await statuses(proxy, 1, from('203.0.113.2')), [200]);
  // A stranger's field is ignored: it is counted by its own address, whatever it says.
  const stranger = new Conversation(server.port, { localAddress: '127.0.0.2' });
  const claims = [];
  for (let i = 0; i < 5; ++i) claims.push((await stranger.get('/hello', from(`198.51.100.${i}`))).status);
  assert.deepEqual(claims, [200, 200, 200, 200, 429]);
  // A WebSocket belongs to its client: it counts as a connection of that address, no longer of the proxy's.
  proxy.end();
  stranger.end();
  const sockets = [];
  for (const client of ['203.0.113.3', '203.0.113.3', '203.0.113.4']) {
    const opened = await openWebSocket(server.port, { headers: { 'X-Forwarded-For': client } });
    assert.equal(opened.status, 101);
    sockets.push(opened.peer);
  }
  const refused = await openWebSocket(server.port, { headers: { 'X-Forwarded-For': '203.0.113.3' } });
  assert.equal(refused.status, 429);
  assert.equal((await server.counters()).refused_address_max, 1);
  for (const socket of sockets) socket.destroy();
  await server.stop();
});
