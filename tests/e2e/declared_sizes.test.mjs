// Whoever announces or sends more than the limits allow is refused at the limit, not when memory has run out.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { limits, startTarget } from './lib/attack_run.mjs';
import { crlf, exchange } from './lib/http_client.mjs';
import { eventually, patience, sanitized, within } from './lib/server.mjs';
import { binary, handshakeRequest, openWebSocket } from './lib/websocket_client.mjs';

const rounds = 20;
const growthMax = 2 << 20;
// No client is refused later than this after the limit: what was on its way then, in buffers of both sides.
const sentMax = 32 << 20;

let server;

before(async () => {
  server = await startTarget({ timeouts: { close: '500ms' } });
  // Receive buffers, code and the allocator's own memory are there before anything is measured: every buffer is used,
  // and answers of all sizes are made.
  const content = 'x'.repeat(limits.body_bytes_max);
  const echo = `POST /echo HTTP/1.1${crlf}Host: a${crlf}Connection: close${crlf}Content-Length: ${content.length}${crlf}${crlf}${content}`;
  for (let i = 0; i < 64; ++i) await exchange(server.port, echo);
  await closedWith(1009, binary('x', { length: limits.message_bytes_max + 1 }))();
  for (let i = 0; i < rounds; ++i) await sendWithoutEnd(`GET /hello HTTP/1.1${crlf}Host: a${crlf}`, `A: ${'x'.repeat(1000)}${crlf}`);
});
after(() => server.stop());

// Sends `begin` and then `again` and again, until the server ends the connection. Resolves to what it said.
function sendWithoutEnd(begin, again) {
  const piece = Buffer.from(again.repeat(Math.ceil(16384 / again.length)), 'latin1');
  return within(new Promise((resolve, reject) => {
    const socket = net.connect({ port: server.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    let said = '';
    let sent = 0;
    const more = () => {
      if (socket.destroyed) return;
      sent += piece.length;
      if (sent > sentMax) {
        socket.destroy();
        reject(new Error(`${sent} bytes were taken`));
      } else if (socket.write(piece)) {
        setImmediate(more);
      }
    };
    const end = () => {
      socket.destroy();
      resolve({ said, sent });
    };
    socket.on('connect', () => {
      socket.write(begin);
      more();
    });
    socket.on('drain', more);
    socket.on('data', (bytes) => { said += bytes.toString('latin1'); });
    socket.on('end', end);
    socket.on('error', end);
  }), 'end of what has no end', patience);
}

// The kernel's own high-water mark of resident memory, from now on: nothing that comes and goes escapes it.
function peakGrowth(pid) {
  const figure = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const begin = figure('VmRSS');
  return () => figure('VmHWM') - begin;
}

// What `attempt` does is done `rounds` times; `counter` counts each, and the worker's memory stays.
function refused(name, counter, attempt) {
  test(name, async (t) => {
    await eventually(async () => (await server.counters()).connections_open === 0, 'no connection left');
    const countedBefore = (await server.counters())[counter];
    assert.notEqual(countedBefore, undefined, counter);
    const growth = peakGrowth(server.workers()[0]);
    for (let i = 0; i < rounds; ++i) await attempt();
    const grown = growth();
    assert.equal((await server.counters())[counter] - countedBefore, rounds, counter);
    t.diagnostic(`${rounds} times, worker memory +${(grown / 1024).toFixed(0)} KiB at its peak`);
    if (!sanitized) assert.ok(grown <= growthMax, `the worker grew by ${grown} bytes`);
  });
}

const post = (fields, content = '') => `POST /echo HTTP/1.1${crlf}Host: a${crlf}${fields}${crlf}${crlf}${content}`;
const half = 512 << 20;

function answered(status, request) {
  return async () => {
    const responses = await exchange(server.port, request);
    assert.deepEqual(responses.map((response) => response.status), [status]);
    assert.equal(responses[0].headers.connection, 'close');
  };
}

function answeredWithoutEnd(status, begin, again) {
  return async () => {
    const { said } = await sendWithoutEnd(begin, again);
    assert.match(said, new RegExp(`^HTTP/1.1 ${status} `));
    assert.equal(said.split('HTTP/1.1 ').length, 2, said);
  };
}

function closedWith(code, bytes) {
  return async () => {
    const { peer } = await openWebSocket(server.port);
    peer.send(bytes);
    const events = await peer.waitForEnd();
    assert.deepEqual(events, [['close', code, ''], ['end']]);
  };
}

refused('content of 512 MiB, announced', 'http_refused_413', answered(413, post(`Content-Length: ${half}`, 'x')));
refused('content of 2^63-1 bytes, announced', 'http_refused_413', answered(413, post('Content-Length: 9223372036854775807')));
refused('a chunk of 512 MiB, announced', 'http_refused_413',
        answered(413, post('Transfer-Encoding: chunked', `${half.toString(16)}${crlf}x`)));
refused('a chunk of 2^64-1 bytes, announced', 'http_refused_413',
        answered(413, post('Transfer-Encoding: chunked', `${'f'.repeat(16)}${crlf}x`)));
refused('chunks without an end', 'http_refused_413',
        answeredWithoutEnd(413, post('Transfer-Encoding: chunked'), `400${crlf}${'x'.repeat(1024)}${crlf}`));
refused('a request head without an end', 'http_refused_431',
        answeredWithoutEnd(431, `GET /hello HTTP/1.1${crlf}Host: a${crlf}`, `A: ${'x'.repeat(100)}${crlf}`));
refused('a field without an end', 'http_refused_431',
        answeredWithoutEnd(431, `GET /hello HTTP/1.1${crlf}Host: a${crlf}A: `, 'x'));
refused('a request target without an end', 'http_refused_414', answeredWithoutEnd(414, 'GET /', 'x'));
refused('a WebSocket handshake without an end', 'http_refused_431',
        answeredWithoutEnd(431, handshakeRequest().bytes.subarray(0, -2).toString('latin1'), `A: ${'x'.repeat(100)}${crlf}`));
refused('a chunk extension without an end', 'http_refused_400',
        answeredWithoutEnd(400, post('Transfer-Encoding: chunked', '1;a='), 'x'));
refused('trailers without an end', 'http_refused_431',
        answeredWithoutEnd(431, post('Transfer-Encoding: chunked', `0${crlf}`), `A: ${'x'.repeat(100)}${crlf}`));
refused('a frame of 2^63-1 bytes', 'websocket_failed_message_limit',
        closedWith(1009, binary('x', { length: 2n ** 63n - 1n })));
refused('a frame length with its top bit set', 'websocket_failed_protocol_error',
        closedWith(1002, binary('x', { length: 2n ** 63n })));
refused('a frame above the message limit by one byte', 'websocket_failed_message_limit',
        closedWith(1009, binary('x', { length: limits.message_bytes_max + 1 })));
