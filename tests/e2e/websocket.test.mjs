// WebSocket with a client that many programs use (npm: ws), and the opening handshake by hand.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { exchange } from './lib/http_client.mjs';
import { startServer, within } from './lib/server.mjs';
import { acceptOf, close, handshakeRequest, openWebSocket, text } from './lib/websocket_client.mjs';

const { WebSocket } = await import('ws');
const server = await startServer();
const url = `ws://127.0.0.1:${server.port}/ws`;
const origin = `http://127.0.0.1:${server.port}`;

async function connect(options = {}) {
  const socket = new WebSocket(url, { origin, perMessageDeflate: false, ...options });
  await within(once(socket, 'open'), 'open WebSocket');
  return socket;
}

async function echoOf(socket, data, options) {
  const answer = once(socket, 'message');
  socket.send(data, options);
  const [message, isBinary] = await within(answer, 'echo');
  return { message, isBinary };
}

async function closeOf(socket, ...how) {
  const closed = once(socket, 'close');
  socket.close(...how);
  const [code, reason] = await within(closed, 'close');
  return { code, reason: reason.toString() };
}

test('text comes back as text', async () => {
  const socket = await connect();
  const { message, isBinary } = await echoOf(socket, 'Hello, κόσμε 😀');
  assert.equal(isBinary, false);
  assert.equal(message.toString(), 'Hello, κόσμε 😀');
  assert.equal((await closeOf(socket, 1000, 'bye')).code, 1000);
});
test('binary comes back as binary', async () => {
  const socket = await connect();
  const data = Buffer.from([0, 1, 2, 253, 254, 255]);
  const { message, isBinary } = await echoOf(socket, data);
  assert.equal(isBinary, true);
  assert.deepEqual(message, data);
  await closeOf(socket);
});
test('fragments come back as one message', async () => {
  const socket = await connect();
  const answer = once(socket, 'message');
  socket.send('one ', { fin: false });
  socket.send('two ', { fin: false });
  socket.send('three', { fin: true });
  assert.equal((await within(answer, 'echo'))[0].toString(), 'one two three');
  await closeOf(socket);
});
test('16 MiB come back', async () => {
  const socket = await connect({ maxPayload: 32 << 20 });
  const data = Buffer.alloc(16 << 20, 'abcdefg');
  const { message } = await echoOf(socket, data);
  assert.ok(data.equals(message));
  await closeOf(socket);
});
test('a ping is answered with its payload', async () => {
  const socket = await connect();
  const pong = once(socket, 'pong');
  socket.ping('are you there');
  assert.equal((await within(pong, 'pong'))[0].toString(), 'are you there');
  await closeOf(socket);
});
for (const code of [1000, 1001, 3000, 4999]) {
  test(`the close status ${code} comes back`, async () => {
    const socket = await connect();
    assert.equal((await closeOf(socket, code)).code, code);
  });
}
test('an offer of permessage-deflate is declined and the connection works', async () => {
  const socket = await connect({ perMessageDeflate: true });
  assert.equal(socket.extensions, '');
  assert.equal((await echoOf(socket, 'plain'.repeat(1000))).message.length, 5000);
  await closeOf(socket);
});
test('a hundred connections at the same time each get their own echoes', async () => {
  const sockets = await Promise.all(Array.from({ length: 100 }, () => connect()));
  await Promise.all(sockets.map(async (socket, i) => {
    for (let j = 0; j < 20; ++j) {
      assert.equal((await echoOf(socket, `${i}/${j}`)).message.toString(), `${i}/${j}`);
    }
    await closeOf(socket);
  }));
});

// --- The opening handshake (RFC 6455 section 4.2) -------------------------------------------------------------------------

test('the answer says 101, Upgrade and Connection, and nothing that was not asked for', async () => {
  const { headers, peer } = await openWebSocket(server.port);
  peer.destroy();
  assert.match(headers.upgrade, /^websocket$/i);
  assert.match(headers.connection, /^upgrade$/i);
  assert.equal(headers['sec-websocket-extensions'], undefined);
  assert.equal(headers['sec-websocket-protocol'], undefined);
  assert.equal(headers['content-length'], undefined);
});
test('the accept key is that of section 1.3', () => {
  assert.equal(acceptOf('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});
for (const [name, options] of [
  ['Upgrade in capitals', { headers: { Upgrade: 'WebSocket' } }],
  ['Connection as a list', { headers: { Connection: 'keep-alive, Upgrade' } }],
  ['Connection in lower case', { headers: { Connection: 'upgrade' } }],
  ['Upgrade as a list', { headers: { Upgrade: 'tea/1, websocket' } }],
]) {
  test(`accepted: ${name}`, async () => {
    const { status, peer } = await openWebSocket(server.port, options);
    assert.equal(status, 101);
    peer.send(text('x'));
    assert.deepEqual((await peer.waitFor(1))[0], ['text', 'x']);
    peer.send(close(1000));
    await peer.waitForEnd();
  });
}

async function refusal({ version = 'HTTP/1.1', method = 'GET', change = {}, omit = [], tail = '' }) {
  const { bytes } = handshakeRequest({ host: `127.0.0.1:${server.port}`, headers: { Origin: origin, ...change }, omit });
  const request = bytes.toString('latin1').replace('GET ', `${method} `).replace('HTTP/1.1', version) + tail;
  const responses = await exchange(server.port, request.replace(/Connection: Upgrade/, 'Connection: Upgrade, close'));
  assert.equal(responses.length, 1);
  return responses[0];
}
for (const [name, statuses, options] of [
  ['a version before 13', [426], { change: { 'Sec-WebSocket-Version': '8' } }],
  ['a version behind 13', [426], { change: { 'Sec-WebSocket-Version': '14' } }],
  ['a version that is no number', [400, 426], { change: { 'Sec-WebSocket-Version': 'x' } }],
  ['no version', [400, 426], { omit: ['Sec-WebSocket-Version'] }],
  ['no key', [400], { omit: ['Sec-WebSocket-Key'] }],
  ['an empty key', [400], { change: { 'Sec-WebSocket-Key': '' } }],
  ['a key of 15 bytes', [400], { change: { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') } }],
  ['a key of 17 bytes', [400], { change: { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') } }],
  ['a key that is no base64', [400], { change: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } }],
  ['a key without padding', [400], { change: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' } }],
  ['two keys', [400], { change: { 'Sec-WebSocket-Key': `${'dGhlIHNhbXBsZSBub25jZQ=='}\r\nSec-WebSocket-Key: ${'dGhlIHNhbXBsZSBub25jZQ=='}` } }],
  ['no Upgrade', [400, 426], { omit: ['Upgrade'] }],
  ['another Upgrade', [400, 426], { change: { Upgrade: 'websockets' } }],
  ['a Connection without Upgrade', [400, 426], { change: { Connection: 'keep-alive, close' } }],
  ['POST', [400, 405], { method: 'POST' }],
  ['HEAD', [400, 405], { method: 'HEAD' }],
  ['HTTP/1.0', [400, 426, 505], { version: 'HTTP/1.0' }],
  ['a body', [400], { change: { 'Content-Length': '5' }, tail: 'hello' }],
]) {
  test(`refused: ${name}`, async () => {
    const answer = await refusal(options).catch((error) => {
      // A HEAD's answer announces a body that does not follow; the strict parser says so.
      if (options.method === 'HEAD' && /incomplete/.test(error.message)) return null;
      throw error;
    });
    if (!answer) return;
    assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.body}`);
    if (answer.status === 426) {
      // RFC 9110 section 15.5.22 wants Upgrade; RFC 6455 section 4.2.2 the versions, when it is about them.
      if (/version/.test(name)) assert.match(answer.headers['sec-websocket-version'] ?? '', /\b13\b/);
      assert.match(answer.headers.upgrade ?? '', /websocket/i);
    }
  });
}
test('a plain GET of the WebSocket path is refused and the connection goes on', async () => {
  const plain = 'GET /ws HTTP/1.1\r\nHost: a\r\n\r\n';
  const answers = await exchange(server.port, `${plain}GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  assert.ok([400, 426].includes(answers[0].status), String(answers[0].status));
  assert.equal(answers[1]?.status ?? 200, 200);
});
test('frames behind the handshake in the same segment are answered', async () => {
  const { peer } = await openWebSocket(server.port, { behind: Buffer.concat([text('early'), text('bird')]) });
  assert.deepEqual((await peer.waitFor(2)).slice(0, 2), [['text', 'early'], ['text', 'bird']]);
  peer.send(close(1000));
  await peer.waitForEnd();
});
test('a stopping server says 1001 to its WebSockets and ends cleanly', async () => {
  const socket = await connect();
  const closed = once(socket, 'close');
  const [stopped, [code]] = await Promise.all([server.stop(), within(closed, 'close')]);
  assert.equal(stopped, undefined);
  assert.equal(code, 1001);
});
