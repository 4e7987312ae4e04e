// RFC 6455 from a strict peer's side: every case of cases/websocket_frames.mjs, sent whole, octet by octet, in pieces, and
// in one segment with the handshake; then the large ones: 16 MiB in one frame, in fragments, in small pieces.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { websocketFrames } from './cases/websocket_frames.mjs';
import { sanitized, startServer } from './lib/server.mjs';
import { binary, close, continuation, describe, frame, openWebSocket, ping, text } from './lib/websocket_client.mjs';

const server = await startServer();

// One case sent in one way; returns the events that came back.
async function play({ send, events, end }, manner) {
  const bytes = Buffer.concat(send);
  const behind = manner === 'behind the handshake' ? bytes : undefined;
  const { status, peer } = await openWebSocket(server.port, { behind });
  assert.equal(status, 101);
  if (manner === 'whole') peer.send(bytes);
  if (manner === 'octets') await peer.sendChopped(bytes, bytes.length > 3000 ? 997 : 1);
  if (manner === 'pieces') await peer.sendChopped(bytes, bytes.length > 3000 ? 16381 : 7);
  if (end === 'open') {
    await peer.waitFor(events.length);
    peer.send(close(1000));
  }
  await peer.waitForEnd();
  return peer.events;
}

function judge({ events, end, nullMayBe }, received, manner) {
  const code = end === 'open' ? 1000 : end;
  const story = `${manner}: received ${describe(received)}`;
  const messages = received.slice(0, -2);
  assert.deepEqual(messages, events, story);
  const [closing, last] = received.slice(-2);
  assert.equal(closing?.[0], 'close', story);
  assert.ok(closing[1] === code || (code === null && closing[1] === nullMayBe), `${story}; expected close ${code}`);
  // Closing the connection is the server's part (section 7.1.1), and in order: no reset.
  assert.deepEqual(last, ['end'], story);
}

async function inParallel(tasks, width) {
  const results = new Array(tasks.length);
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < tasks.length) {
      const i = next++;
      results[i] = await tasks[i]().then((value) => ({ value }), (error) => ({ error }));
    }
  }));
  return results;
}

for (const manner of ['whole', 'octets', 'pieces', 'behind the handshake']) {
  const played = await inParallel(websocketFrames.map((item) => () => play(item, manner)), 40);
  websocketFrames.forEach((item, i) => {
    test(`${manner}: ${item.name}`, () => {
      if (played[i].error) throw played[i].error;
      judge(item, played[i].value, manner);
    });
  });
}

const mebibyte = 1 << 20;
const pattern = Buffer.alloc(16 * mebibyte);
for (let i = 0; i < pattern.length; ++i) pattern[i] = (i * 7 + (i >> 8)) & 0xff;
const letters = 'The quick brown fox jumps over κόσμε. '.repeat(mebibyte / 2).slice(0, 8 * mebibyte);

async function echoes(frames, expected, chop) {
  const { peer } = await openWebSocket(server.port);
  if (chop) await peer.sendChopped(Buffer.concat(frames), chop);
  else peer.send(...frames);
  const events = await peer.waitFor(1);
  assert.equal(events[0][0], Buffer.isBuffer(expected) ? 'binary' : 'text', describe(events));
  // Not deepEqual: a difference in 16 MiB would print them.
  assert.ok(Buffer.isBuffer(expected) ? expected.equals(events[0][1]) : expected === events[0][1], 'the echo differs');
  peer.send(close(1000));
  assert.deepEqual((await peer.waitForEnd()).slice(1), [['close', 1000, ''], ['end']]);
}

function fragmentsOf(opcode, bytes, size) {
  const frames = [];
  for (let at = 0; at < bytes.length; at += size) {
    frames.push(frame(at === 0 ? opcode : 0, bytes.subarray(at, at + size), { fin: at + size >= bytes.length }));
  }
  return frames;
}

for (const size of [64 << 10, 256 << 10, mebibyte, 4 * mebibyte, 8 * mebibyte, 16 * mebibyte]) {
  const bytes = pattern.subarray(0, size);
  test(`binary of ${size} bytes in one frame`, () => echoes([binary(bytes)], bytes));
  test(`binary of ${size} bytes in pieces of 64 KiB`, () => echoes([binary(bytes)], bytes, 64 << 10));
}
for (const size of [64, 256, 1024, 4096, 16384, 65536, mebibyte, 4 * mebibyte]) {
  const bytes = pattern.subarray(0, 4 * mebibyte);
  test(`binary of 4 MiB in fragments of ${size} bytes`, () => echoes(fragmentsOf(2, bytes, size), bytes));
}
test('binary of 16 MiB in 65,536 fragments', () => echoes(fragmentsOf(2, pattern, 256), pattern));
test('a message of 65,536 fragments of one byte', () => {
  const bytes = pattern.subarray(0, 65536);
  return echoes(fragmentsOf(2, bytes, 1), bytes);
});
const letterBytes = Buffer.from(letters);
test('text of more than 8 MiB in one frame', () => echoes([text(letterBytes)], letters));
for (const size of [61, 4099, 65537]) {
  const bytes = Buffer.from(letters.slice(0, mebibyte));
  test(`text of more than 1 MiB in fragments of ${size} bytes, cut inside characters`,
      () => echoes(fragmentsOf(1, bytes, size), letters.slice(0, mebibyte)));
}
for (const chop of [64, 128, 256, 512, 1024, 2048]) {
  const bytes = pattern.subarray(0, mebibyte);
  test(`binary of 1 MiB in pieces of ${chop} bytes`, () => echoes([binary(bytes)], bytes, chop));
}
// What a sanitizer finds in a thousand it finds in a hundred.
const inTurn = sanitized ? 100 : 1000;
for (const [kind, make] of [['text', text], ['binary', binary]]) {
  for (const size of [0, 16, 64, 256, 1024, 4096, 16384]) {
    test(`${inTurn} ${kind} messages of ${size} bytes, one after the other's echo`, async () => {
      const { peer } = await openWebSocket(server.port);
      const message = make('x'.repeat(size));
      for (let i = 1; i <= inTurn; ++i) {
        peer.send(message);
        await peer.waitFor(i);
      }
      assert.ok(peer.events.every(([got, payload]) => got === kind && payload.length === size));
      peer.send(close(1000));
      assert.deepEqual((await peer.waitForEnd()).slice(inTurn), [['close', 1000, ''], ['end']]);
    });
  }
}
test('2,000 messages without waiting come back in order', async () => {
  const { peer } = await openWebSocket(server.port);
  peer.send(...Array.from({ length: 2000 }, (_, i) => text(`message ${i}`)));
  await peer.waitFor(2000);
  peer.events.forEach(([, payload], i) => assert.equal(payload, `message ${i}`));
  peer.send(close(1000));
  await peer.waitForEnd();
});
test('pings are answered between the fragments of a large message', async () => {
  const { peer } = await openWebSocket(server.port);
  const frames = fragmentsOf(2, pattern.subarray(0, mebibyte), 65536);
  peer.send(...frames.flatMap((one, i) => [one, ping(`${i}`)]));
  await peer.waitFor(frames.length + 1);
  const kinds = peer.events.map(([kind]) => kind);
  assert.equal(kinds.filter((kind) => kind === 'pong').length, frames.length);
  assert.equal(kinds.indexOf('binary'), frames.length - 1, 'the echo leaves before the last ping is answered');
  peer.send(close(1000));
  await peer.waitForEnd();
});
test('a message above the limit is refused with 1009, in one frame or in many', async () => {
  const limit = 64 * mebibyte;
  const { peer: one } = await openWebSocket(server.port);
  one.send(binary('', { length: limit + 1, lengthForm: 64 }));
  assert.equal((await one.waitForEnd()).at(-2)?.[1], 1009, describe(one.events));
  const { peer: many } = await openWebSocket(server.port);
  const piece = pattern.subarray(0, mebibyte);
  many.send(binary(piece, { fin: false }));
  for (let i = 0; i < 80 && !many.finished; ++i) {
    many.send(continuation(piece, { fin: false, mask: Buffer.alloc(4) }));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.equal((await many.waitForEnd()).find(([kind]) => kind === 'close')?.[1], 1009, describe(many.events));
});
test('an abrupt end of the peer is no harm', async () => {
  const { peer } = await openWebSocket(server.port);
  peer.send(binary(pattern.subarray(0, 1000), { length: 5000, lengthForm: 16 }));
  peer.socket.resetAndDestroy();
  await echoes([text('still here')], 'still here');
});
test('the server stops cleanly', () => server.stop());
