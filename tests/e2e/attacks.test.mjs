// Slow, greedy and hostile clients, a thousand at a time. Each attack meets the one deadline that is there for it.

import { test } from 'node:test';
import { filePiece, limits, outputQueue, runAttack } from './lib/attack_run.mjs';
import { binary, continuation, handshakeRequest, ping, text } from './lib/websocket_client.mjs';

const deadline = 1500;
const after = `${deadline}ms`;
const crlf = '\r\n';

const post = (fields) => `POST /echo HTTP/1.1${crlf}Host: a${crlf}${fields}${crlf}${crlf}`;
const getLarge = `GET /files/large.bin HTTP/1.1${crlf}Host: a${crlf}${crlf}`;

const statusIs = (status) => (attacker) => attacker.head.toString('latin1').startsWith(`HTTP/1.1 ${status} `);
const answered408 = statusIs(408);
const saidNothing = (attacker) => attacker.how === 'end' && attacker.head.length === 0;
// An unmasked close frame with a code alone is the last that came.
const closedWith = (code) => {
  const last = Buffer.from([0x88, 0x02, code >> 8, code & 0xff]);
  return (attacker) => attacker.tail.subarray(-4).equals(last);
};
const wasReset = (attacker) => ['ECONNRESET', 'EPIPE'].includes(attacker.how);

// A byte at a time, of text without an end.
const dripHead = (attacker) => attacker.write('x');
// What a message collects until the deadline, a few bytes, and the least that is allocated for it.
const collected = 2 * 1024;
// Behind a full output queue waits what came before the receive could be cancelled: the kernel fills at most 32 buffers
// of ring.receive_buffer_bytes at a time (MULTISHOT_MAX_RETRY), and the block that keeps them doubles as it grows.
const inputHeld = 2 * 32 * 16448;

const repeated = (piece, bytes) => Buffer.concat(Array.from({ length: Math.ceil(bytes / piece.length) }, () => piece));
// More than the kernel takes from the server for a peer that does not read (some 350 KiB: twice 64 KiB of windows and
// TCP_NOTSENT_LOWAT), and then fills the output queue.
const floodBytes = 640 * 1024;
const messageBytes = 16 * 1024;
const pings = repeated(ping(''), 1200);
// The largest there are: each answer is as large.
const largePings = repeated(ping('p'.repeat(125)), floodBytes);
const messages = repeated(binary(Buffer.alloc(messageBytes)), floodBytes);

const attacks = [
  {
    name: 'a request head that drips in',
    timeouts: { header: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(`GET /hello HTTP/1.1${crlf}Host: a${crlf}X: `);
      },
      drip: dripHead,
    },
    closed: 'closed_header_timeout',
    goodbye: answered408,
    held: limits.header_bytes_max,
  },
  {
    name: 'content that drips in',
    timeouts: { body: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(post('Content-Length: 60000'));
      },
      drip: dripHead,
    },
    closed: 'closed_body_timeout',
    goodbye: answered408,
    held: limits.body_bytes_max,
  },
  {
    name: 'content below the minimum rate',
    limits: { body_rate_bytes_min: 10_000, body_grace: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(post('Content-Length: 60000'));
      },
      drip: dripHead,
    },
    closed: 'closed_body_rate',
    goodbye: answered408,
    held: limits.body_bytes_max,
  },
  {
    name: 'a chunk that drips in',
    timeouts: { body: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(`${post('Transfer-Encoding: chunked')}ea60${crlf}`);
      },
      drip: dripHead,
    },
    closed: 'closed_body_timeout',
    goodbye: answered408,
    held: limits.body_bytes_max,
  },
  {
    name: 'chunks of one byte, without an end',
    timeouts: { body: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(post('Transfer-Encoding: chunked'));
      },
      drip: (attacker) => attacker.write(`1${crlf}x${crlf}`),
    },
    closed: 'closed_body_timeout',
    goodbye: answered408,
    held: limits.body_bytes_max,
  },
  {
    // What it goes on sending, the head of a next request, must not help it.
    name: 'a large answer of which nothing is read',
    timeouts: { write: after },
    attack: {
      reads: false,
      open(attacker) {
        attacker.begin();
        attacker.write(`${getLarge}GET /hello HTTP/1.1${crlf}X: `);
      },
      drip: dripHead,
    },
    fromProgress: true,
    closed: 'closed_write_timeout',
    goodbye: wasReset,
    held: filePiece + limits.header_bytes_max,
  },
  {
    name: 'a large answer that is read a byte now and then',
    timeouts: { write: after },
    attack: {
      reads: 'sips',
      open(attacker) {
        attacker.begin();
        attacker.write(`${getLarge}GET /hello HTTP/1.1${crlf}X: `);
      },
      drip: dripHead,
    },
    fromProgress: true,
    closed: 'closed_write_timeout',
    goodbye: wasReset,
    held: filePiece + limits.header_bytes_max,
  },
  {
    name: 'keep-alive and silence',
    timeouts: { read: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(`GET /hello HTTP/1.1${crlf}Host: a${crlf}${crlf}`);
      },
    },
    closed: 'closed_read_timeout',
    goodbye: statusIs(200),
    held: 0,
  },
  {
    name: 'a connection without a byte',
    timeouts: { handshake: after },
    attack: { open: (attacker) => attacker.begin(attacker.created) },
    closed: 'closed_handshake_timeout',
    goodbye: saidNothing,
    held: 0,
  },
  {
    name: 'half a WebSocket handshake',
    timeouts: { header: after },
    attack: {
      open(attacker) {
        attacker.begin();
        attacker.write(handshakeRequest().bytes.subarray(0, -4));
      },
    },
    closed: 'closed_header_timeout',
    goodbye: answered408,
    held: limits.header_bytes_max,
  },
  {
    name: 'a WebSocket handshake that drips in',
    timeouts: { header: after },
    attack: {
      open(attacker) {
        attacker.bytes = handshakeRequest().bytes;
        attacker.begin();
        attacker.write(attacker.bytes.subarray(0, 1));
      },
      // 15 of its 150 bytes until the deadline.
      drip: (attacker) => attacker.write(attacker.bytes.subarray(++attacker.step, attacker.step + 1)),
    },
    closed: 'closed_header_timeout',
    goodbye: answered408,
    held: limits.header_bytes_max,
  },
  {
    name: 'a frame that announces much and drips in',
    timeouts: { message: after },
    attack: {
      websocket: true,
      open(attacker) {
        attacker.begin();
        attacker.write(binary('', { length: limits.message_bytes_max }));
      },
      drip: dripHead,
    },
    closed: 'closed_message_timeout',
    goodbye: closedWith(1008),
    // What came, not what was announced.
    held: collected,
  },
  {
    name: 'fragments without an end',
    timeouts: { message: after },
    attack: {
      websocket: true,
      open(attacker) {
        attacker.begin();
        attacker.write(text('x', { fin: false }));
      },
      // Pings between them are no end of the message.
      drip: (attacker) => attacker.write(Buffer.concat([continuation('x', { fin: false }), ping('')])),
    },
    closed: 'closed_message_timeout',
    goodbye: closedWith(1008),
    held: collected,
  },
  {
    name: 'a WebSocket that answers no ping',
    timeouts: { read: after },
    attack: { websocket: true, open: (attacker) => attacker.begin(attacker.greeted) },
    closed: 'closed_read_timeout',
    goodbye: closedWith(1001),
    held: 0,
  },
  {
    name: 'a flood of pings, every answer read',
    timeouts: { lifetime: after },
    attack: {
      websocket: true,
      open: (attacker) => attacker.begin(attacker.created),
      drip(attacker) {
        if (!attacker.blocked) attacker.write(pings);
      },
    },
    closed: 'closed_lifetime',
    goodbye: closedWith(1001),
    held: limits.send_queue_bytes_high + outputQueue,
  },
  {
    name: 'a flood of pings, no answer read',
    timeouts: { write: after },
    attack: {
      websocket: true,
      reads: false,
      open(attacker) {
        attacker.begin();
        attacker.write(largePings);
      },
      drip: (attacker) => attacker.write(ping('')),
    },
    fromProgress: true,
    closed: 'closed_write_timeout',
    orClosed: ['closed_memory'],
    goodbye: wasReset,
    held: limits.send_queue_bytes_high + inputHeld,
  },
  {
    name: 'messages to be echoed, no echo read',
    timeouts: { write: after },
    attack: {
      websocket: true,
      reads: false,
      open(attacker) {
        attacker.begin();
        attacker.write(messages);
      },
      drip: (attacker) => attacker.write(ping('')),
    },
    fromProgress: true,
    closed: 'closed_write_timeout',
    // A thousand with inputHeld each may come to limits.buffered_bytes_hard, and the fattest go at once; an echo that
    // the output queue refuses ends its connection with a close frame, which is not read either.
    orClosed: ['closed_memory', 'closed_close_timeout'],
    goodbye: wasReset,
    held: limits.send_queue_bytes_high + messageBytes + inputHeld,
  },
];

for (const spec of attacks) test(spec.name, (t) => runAttack(t, { deadline, ...spec }));
