// The PROXY protocol: whose connection it is, said by curl, by HAProxy, and by hand where a good proxy would not.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { AccessLog } from './lib/access_log.mjs';
import { Haproxy, haproxyMissing } from './lib/haproxy.mjs';
import { Conversation, RawConnection } from './lib/http_client.mjs';
import { demoConfig, eventually, makeDirectory, patience, startServer } from './lib/server.mjs';
import { openWebSocket, text } from './lib/websocket_client.mjs';

async function startBehindProxy(change = () => {}) {
  const directory = makeDirectory();
  const log = new AccessLog(directory);
  const server = await startServer({
    directory,
    config: demoConfig((config) => {
      config.workers = 2;
      config.listeners[0] = { ...config.listeners[0], proxy_protocol: true, trusted_proxies: ['127.0.0.1'] };
      config.logging = { access_log: log.file };
      change(config);
    }),
  });
  return { server, log };
}

const v1 = (client, port = 4711) => `PROXY TCP${client.includes(':') ? 6 : 4} ${client} ${client} ${port} 443\r\n`;
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
function v2(command, family, block) {
  const head = Buffer.from([0x20 | command, family, block.length >> 8, block.length & 0xff]);
  return Buffer.concat([signature, head, block]);
}
const v2ipv4 = (client, extensions = Buffer.alloc(0)) =>
  v2(1, 0x11, Buffer.concat([Buffer.from([...client.split('.').map(Number), 127, 0, 0, 1, 0x12, 0x67, 1, 187]), extensions]));

test('a header of either version names the client', async () => {
  const { server, log } = await startBehindProxy();
  const headers = {
    '203.0.113.1': v1('203.0.113.1'),
    '2001:db8::1': v1('2001:db8::1'),
    '203.0.113.2': v2ipv4('203.0.113.2'),
    '203.0.113.3': v2ipv4('203.0.113.3', Buffer.from([4, 0, 2, 0, 0])),
    '127.0.0.1': v2(0, 0, Buffer.alloc(0)),
  };
  for (const [client, first] of Object.entries(headers)) {
    const proxy = new Conversation(server.port, { first });
    const target = `/hello?${encodeURIComponent(client)}`;
    assert.equal((await proxy.get(target)).body.toString(), 'Hello, World!');
    assert.equal(await log.clientOf(target), client);
    proxy.end();
  }
  const counters = await server.counters();
  assert.equal(counters.refused_proxy_header, 0);
  assert.equal(counters.refused_proxy_untrusted, 0);
  await server.stop();
});

test('curl speaks it', async () => {
  const { server, log } = await startBehindProxy();
  const status = await new Promise((resolve, reject) => {
    execFile('curl', ['-sS', '--max-time', String(patience / 1000), '--haproxy-protocol', '-o', '/dev/null', '-w',
      '%{http_code}', `${server.url}/hello?curl`], (error, stdout, stderr) => (error ? reject(new Error(stderr)) : resolve(stdout)));
  });
  assert.equal(status, '200');
  assert.equal(await log.clientOf('/hello?curl'), '127.0.0.1');
  await server.stop();
});

test('what begins with no header, or a wrong one, is closed without an answer', async () => {
  const { server } = await startBehindProxy();
  const request = 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
  const wrong = [request, v1('203.0.113.256') + request, v2(2, 0x11, Buffer.alloc(12)), v2(1, 0x12, Buffer.alloc(12)),
    v2ipv4('203.0.113.1', Buffer.from([3, 0, 4, 1, 2, 3, 4])), `PROXY UNKNOWN ${'x'.repeat(200)}`];
  for (const bytes of wrong) {
    const connection = new RawConnection(server.port);
    connection.write(bytes);
    await connection.closed;
    assert.equal(connection.bytes.length, 0);
    assert.notEqual(connection.failure, 'hangs');
  }
  await server.assertCounted({ refused_proxy_header: wrong.length, closed_protocol_error: wrong.length });
  await eventually(() => /connection of 127\.0\.0\.1:\d+ refused: begins with no PROXY protocol header/.test(server.output),
                   'the log says why');
  await server.stop();
});

test('a header of somebody who is not trusted is not even read', async () => {
  const { server } = await startBehindProxy();
  const stranger = new RawConnection(server.port, '127.0.0.1', { localAddress: '127.0.0.2' });
  stranger.write(`${v1('203.0.113.1')}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n`);
  await stranger.closed;
  assert.equal(stranger.bytes.length, 0);
  const counters = await server.counters();
  assert.equal(counters.refused_proxy_untrusted, 1);
  assert.equal(counters.refused_proxy_header, 0);
  assert.equal(counters.connections_accepted, 0);
  assert.equal(counters.bytes_received, 0);
  await server.stop();
});

test('a header that does not come is waited for no longer than the handshake timeout', async () => {
  const { server } = await startBehindProxy((config) => {
    config.timeouts = { ...config.timeouts, handshake: '300ms' };
  });
  const begun = Date.now();
  const connection = new RawConnection(server.port);
  connection.write('PROXY TCP4 203.0.113.1');
  await connection.closed;
  assert.ok(Date.now() - begun >= 290, `${Date.now() - begun} ms`);
  assert.equal(connection.bytes.length, 0);
  await server.assertCounted({ closed_handshake_timeout: 1 });
  await server.stop();
});

test('limits by address count the client, not the proxy', async () => {
  const { server } = await startBehindProxy((config) => {
    config.limits = { ...config.limits, address: { connections_max: 2, request_rate: '1/m burst 3' } };
  });
  const connect = (client) => new Conversation(server.port, { first: v1(client) });
  const first = connect('203.0.113.1');
  const second = connect('203.0.113.1');
  assert.equal((await first.get()).status, 200);
  assert.equal((await second.get()).status, 200);
  // Both its connections are open: the third is refused, those of others are not.
  const third = connect('203.0.113.1');
  assert.equal((await third.get()).status, 503);
  await third.closed;
  const other = connect('203.0.113.2');
  assert.equal((await other.get()).status, 200);
  // Three requests of one client, whichever worker and connection they come through.
  assert.equal((await first.get()).status, 200);
  assert.equal((await second.get()).status, 429);
  assert.equal((await other.get()).status, 200);
  await server.assertCounted({ refused_address_max: 1, closed_refused: 1, address_request_rate_limited: 1 });
  for (const each of [first, second, other]) each.end();
  await server.stop();
});

for (const [name, options] of Object.entries({
  'send-proxy': { server: 'send-proxy', worksFor: 'tcp' },
  'send-proxy-v2': { server: 'send-proxy-v2 proxy-v2-options crc32c,unique-id', worksFor: 'tcp' },
  'send-proxy-v2 in http mode': { server: 'send-proxy-v2', mode: 'http' },
})) {
  test(`HAProxy with ${name}`, { skip: haproxyMissing }, async () => {
    const { server, log } = await startBehindProxy();
    const proxy = await Haproxy.start(server.port, options);
    // A client whose address is not the proxy's own.
    const client = new Conversation(proxy.port, { localAddress: '127.0.0.9' });
    assert.equal((await client.get('/hello?haproxy')).status, 200);
    assert.equal((await client.get('/json')).status, 200);
    assert.equal(await log.clientOf('/hello?haproxy'), '127.0.0.9');
    client.end();
    const { status, peer } = await openWebSocket(proxy.port);
    assert.equal(status, 101);
    peer.send(text('through'));
    assert.deepEqual((await peer.waitFor(1))[0], ['text', 'through']);
    peer.destroy();
    assert.equal((await server.counters()).refused_proxy_header, 0);
    await proxy.stop();
    await server.stop();
  });
}

test('health checks of HAProxy speak for nobody and are no error', { skip: haproxyMissing }, async () => {
  const { server } = await startBehindProxy();
  const proxy = await Haproxy.start(server.port, {
    mode: 'http',
    server: 'send-proxy-v2 check check-send-proxy inter 50ms',
    more: ['option forwardfor'],
  });
  await eventually(async () => (await server.counters()).connections_closed >= 3, 'health checks come and go');
  const counters = await server.counters();
  assert.equal(counters.refused_proxy_header + counters.refused_proxy_untrusted, 0);
  const client = new Conversation(proxy.port);
  assert.equal((await client.get()).status, 200);
  client.end();
  await proxy.stop();
  await server.stop();
});

test('X-Forwarded-For of HAProxy names the client', { skip: haproxyMissing }, async () => {
  const directory = makeDirectory();
  const log = new AccessLog(directory);
  const server = await startServer({
    directory,
    config: demoConfig((config) => {
      config.client_address = 'x-forwarded-for';
      config.trusted_proxies = ['127.0.0.1'];
      config.logging = { access_log: log.file };
    }),
  });
  const proxy = await Haproxy.start(server.port, { mode: 'http', more: ['option forwardfor'] });
  const client = new Conversation(proxy.port, { localAddress: '127.0.0.9' });
  // What the client says of itself stands in front of what the proxy adds.
  assert.equal((await client.get('/hello?xff', 'X-Forwarded-For: 203.0.113.66\r\n')).status, 200);
  assert.equal(await log.clientOf('/hello?xff'), '127.0.0.9');
  client.end();
  await proxy.stop();
  await server.stop();
});
