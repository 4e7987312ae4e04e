// Full send queues and full memory: what becomes of messages for a peer that does not read them, and that a worker's
// memory stays under its limit whatever slow peers make it hold.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { demoConfig, eventually, sanitized, startServer } from './lib/server.mjs';
import { openWebSocket, text } from './lib/websocket_client.mjs';

const KiB = 1024;
const MiB = 1024 * KiB;

// The stock echo takes no message while its queue is above the high watermark, so the policy decides only where that is
// the bound itself.
function echoWithPolicy(policy) {
  return demoConfig((config) => {
    config.workers = 1;
    config.limits = { ...config.limits, send_queue_bytes_max: '256KiB', send_queue_bytes_high: '256KiB',
                      send_queue_bytes_low: '64KiB', message_bytes_max: '128KiB' };
    const route = config.routes.find(({ type }) => type === 'websocket-echo');
    route.limits = { message_bytes_max: '128KiB', send_queue_policy: policy };
  });
}

const numbered = (number) => text(`${number}:`.padEnd(40_000, String.fromCharCode(97 + (number % 26))));
const numberOf = (message) => {
  const number = Number(message.slice(0, message.indexOf(':')));
  assert.equal(message, `${number}:`.padEnd(40_000, String.fromCharCode(97 + (number % 26))), 'a message that was cut');
  return number;
};

// Sends messages and reads nothing until `enough(counters)`; then reads. Resolves to {sent, peer, counters}.
async function flood(server, enough) {
  const { peer } = await openWebSocket(server.port);
  peer.socket.pause();
  let sent = 0;
  const counters = await eventually(async () => {
    // What the kernel does not take stays in node, so it is bounded here.
    while (peer.socket.writableLength < MiB && sent < 5000 && !peer.finished) peer.send(numbered(sent++));
    const now = await server.counters();
    return enough(now, sent) ? now : null;
  }, 'the queue is full');
  return { peer, sent, counters };
}

// Reads until every message has come or is counted as dropped. Resolves to the numbers of those that came.
async function readAll(server, peer, sent) {
  peer.socket.resume();
  await eventually(async () => {
    const { send_dropped_newest, send_dropped_oldest } = await server.counters();
    return peer.events.length + send_dropped_newest + send_dropped_oldest >= sent;
  }, 'every message has come or was dropped');
  return peer.events.map(([kind, message]) => {
    assert.equal(kind, 'text');
    return numberOf(message);
  });
}

function assertInOrder(numbers) {
  for (let i = 1; i < numbers.length; ++i) assert.ok(numbers[i] > numbers[i - 1], `${numbers[i]} after ${numbers[i - 1]}`);
}

test('policy drop-newest: messages that do not fit are dropped, the others come whole and in order', async (t) => {
  const server = await startServer({ config: echoWithPolicy('drop-newest') });
  const { peer, sent } = await flood(server, (now) => now.send_dropped_newest >= 50);
  const numbers = await readAll(server, peer, sent);
  const { send_dropped_newest: dropped, send_dropped_oldest } = await server.counters();
  t.diagnostic(`${sent} sent, ${dropped} dropped, ${numbers.length} received`);
  assertInOrder(numbers);
  assert.equal(numbers.length + dropped, sent);
  assert.equal(send_dropped_oldest, 0);
  peer.destroy();
  await server.stop();
});

test('policy drop-oldest: the newest message always comes, in place of older ones', async (t) => {
  const server = await startServer({ config: echoWithPolicy('drop-oldest') });
  const { peer, sent } = await flood(server, (now) => now.send_dropped_oldest >= 50);
  const numbers = await readAll(server, peer, sent);
  const { send_dropped_oldest: dropped, send_dropped_newest } = await server.counters();
  t.diagnostic(`${sent} sent, ${dropped} dropped, ${numbers.length} received`);
  assertInOrder(numbers);
  assert.equal(numbers.length + dropped, sent);
  assert.equal(numbers.at(-1), sent - 1);
  assert.equal(send_dropped_newest, 0);
  peer.destroy();
  await server.stop();
});

for (const policy of ['refuse', 'close']) {
  test(`policy ${policy}: the peer is told 1008 behind what was queued`, async () => {
    const server = await startServer({ config: echoWithPolicy(policy) });
    const { peer } = await flood(server, (now) => now.send_refused > 0);
    peer.socket.resume();
    const events = await peer.waitForEnd();
    const close = events.find(([kind]) => kind === 'close');
    assert.equal(close?.[1], 1008);
    assertInOrder(events.filter(([kind]) => kind === 'text').map(([, message]) => numberOf(message)));
    if (policy === 'close') {
      await eventually(async () => (await server.counters()).closed_send_queue_full === 1, 'closed_send_queue_full');
    }
    await server.stop();
  });
}

// -- The worker's memory.

const soft = 32 * MiB;
const hard = 64 * MiB;
// What a worker needs besides: the allocator's own, free lists, one turn's overshoot.
const constant = 16 * MiB;

function limited() {
  return demoConfig((config) => {
    config.workers = 1;
    // The configuration file itself may have a megabyte, hence not quite one of content.
    config.limits = { ...config.limits, buffered_bytes_soft: soft, buffered_bytes_hard: hard };
    config.routes.push({ path: '/large', type: 'text', body: 'x'.repeat(1000 * KiB) });
  });
}

function connectRaw(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' }, () => resolve(socket));
    socket.once('error', reject);
  }).then((socket) => {
    socket.on('error', () => {});
    socket.pause();
    return socket;
  });
}

// A request that must be answered, whatever the others do. Resolves to its time in milliseconds.
function healthy(port) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const socket = net.connect({ port, host: '127.0.0.1' }, () => {
      socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    });
    let answer = '';
    socket.setEncoding('latin1').on('data', (data) => { answer += data; });
    socket.on('error', reject);
    socket.on('close', () => {
      if (!answer.endsWith('Hello, World!')) reject(new Error(`no healthy answer: ${JSON.stringify(answer)}`));
      resolve(performance.now() - begin);
    });
  });
}

// `attack(port, i)` resolves to a socket that holds as much as it can make the server hold.
async function measure(t, count, attack) {
  const server = await startServer({ config: limited() });
  for (let i = 0; i < 20; ++i) await healthy(server.port);
  const before = server.workerMemory();
  const sockets = [];
  let most = 0;
  let slowest = 0;
  const look = async () => {
    slowest = Math.max(slowest, await healthy(server.port));
    most = Math.max(most, server.workerMemory() - before);
  };
  for (let i = 0; i < count; i += 50) {
    sockets.push(...await Promise.all(Array.from({ length: Math.min(50, count - i) }, (_, k) => attack(server.port, i + k))));
    await look();
  }
  // Until it does not grow any more.
  let received = -1;
  await eventually(async () => {
    await look();
    const now = await server.counters();
    const settled = now.bytes_received - received < 10_000;
    received = now.bytes_received;
    return settled;
  }, 'the attack is over', 60_000);
  const counters = await server.counters();
  t.diagnostic(`${(most / MiB).toFixed(1)} MiB more resident at most (limit ${hard / MiB}); ${counters.buffered_input_bytes} ` +
      `bytes of input and ${counters.buffered_output_bytes} of output held, heap ${counters.heap_bytes}; ` +
      `${counters.receive_paused_memory} paused, ${counters.closed_memory} closed; slowest health check ${slowest.toFixed(0)} ms`);
  if (!sanitized) assert.ok(most <= hard + constant, `${most} bytes more`);
  assert.ok(counters.buffered_input_bytes + counters.buffered_output_bytes <= hard + 2 * MiB);
  for (const socket of sockets) socket.destroy();
  // What was held comes back.
  await eventually(async () => {
    const now = await server.counters();
    return now.connections_open <= 1 && now.buffered_input_bytes + now.buffered_output_bytes === 0;
  }, 'nothing is held any more', 60_000);
  await server.stop();
  return counters;
}

test('1,000 clients that ask for large answers and never read', async (t) => {
  const counters = await measure(t, 1000, async (port) => {
    const socket = await connectRaw(port);
    // More than the kernel takes on the way.
    socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(8));
    return socket;
  });
  assert.ok(counters.closed_memory > 0);
});

test('500 uploads of 900 KiB that are never finished', async (t) => {
  const part = Buffer.alloc(900 * KiB, 'u');
  const counters = await measure(t, 500, async (port) => {
    const socket = await connectRaw(port);
    socket.write(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${MiB}\r\n\r\n`);
    socket.write(part);
    return socket;
  });
  assert.ok(counters.receive_paused_memory > 0);
});

test('200 unread floods of WebSocket echoes', async (t) => {
  const message = text('e'.repeat(64 * KiB));
  const counters = await measure(t, 200, async (port) => {
    const { peer } = await openWebSocket(port);
    peer.socket.pause();
    peer.socket.on('error', () => {});
    peer.send(...Array.from({ length: 40 }, () => message));
    return peer.socket;
  });
  assert.ok(counters.receive_paused_memory + counters.closed_memory > 0);
});
